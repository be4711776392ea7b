import { describe, expect, it } from "vitest";
import { parse } from "yaml";

import { withImages, withSettings } from "../../../ops/engine/settings-file.ts";

const TEXT = `# Settings of production.
encryptionsalt: v1:abc
config:
  # One exact version each.
  technicia:images:
    # Upgraded one minor version at a time.
    qdrant:   qdrant/qdrant:v1.19.0  # tried in test
    n8n: "n8nio/n8n:2.41.3"
    gateway: 'nginx:1.30.4-alpine'
  technicia:voyageApiKey:
    secure: v1:cipher
`;
const FILE = { path: "Pulumi.prod.yaml", text: TEXT };

describe("withImages", () => {
  it("changes the values and nothing else", () => {
    const digest = `sha256:${"a".repeat(64)}`;
    const images = { qdrant: `qdrant/qdrant:v1.20.0@${digest}`, n8n: `n8nio/n8n:2.41.4@${digest}` };

    expect(withImages(FILE, images)).toBe(
      TEXT.replace("qdrant/qdrant:v1.19.0", images.qdrant).replace('"n8nio/n8n:2.41.3"', images.n8n),
    );
  });

  it("leaves the text as it is when nothing changes", () => {
    expect(withImages(FILE, { gateway: "nginx:1.30.4-alpine" })).toBe(TEXT);
  });

  it("fails with every image that the file does not have", () => {
    expect(() => withImages(FILE, { frontend: "a:1.0.0", qdrant: "b:1.0.0", certbot: "c:1.0.0" })).toThrow(
      "Pulumi.prod.yaml: technicia:images has no frontend; write the line frontend: a:1.0.0\n" +
        "Pulumi.prod.yaml: technicia:images has no certbot; write the line certbot: c:1.0.0",
    );
  });

  it("fails when the file is no YAML", () => {
    expect(() => withImages({ ...FILE, text: "config: [" }, { qdrant: "a:1.0.0" })).toThrow(
      "Pulumi.prod.yaml: expected YAML",
    );
  });
});

describe("withSettings", () => {
  it("replaces whole settings, and keeps the salt and the secrets", () => {
    const text = withSettings(FILE, { images: { qdrant: "a:1.0.0" }, uploadMaxMib: 50 });

    expect(parse(text)).toEqual({
      encryptionsalt: "v1:abc",
      config: {
        "technicia:images": { qdrant: "a:1.0.0" },
        "technicia:voyageApiKey": { secure: "v1:cipher" },
        "technicia:uploadMaxMib": 50,
      },
    });
  });

  it("removes a setting that has no value", () => {
    expect(parse(withSettings(FILE, { images: undefined }))).toEqual({
      encryptionsalt: "v1:abc",
      config: { "technicia:voyageApiKey": { secure: "v1:cipher" } },
    });
  });
});
