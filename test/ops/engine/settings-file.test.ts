import {
  chmod,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";

import { replaceFile, withImages, withSettings } from "../../../ops/engine/settings-file.ts";

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

  it("refuses what is no image's name, because it could add lines, and does not print it", () => {
    expect(() => withImages(FILE, { qdrant: "a:1.0.0\n  technicia:protectData: false" })).toThrow(
      /^Pulumi\.prod\.yaml: technicia:images\.qdrant: expected the name of an image, got another text$/,
    );
  });

  it("fails when the file is no YAML", () => {
    expect(() => withImages({ ...FILE, text: "config: [" }, { qdrant: "a:1.0.0" })).toThrow(
      "Pulumi.prod.yaml: expected YAML",
    );
  });
});

describe("replaceFile", () => {
  let folder: string;
  let path: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "settings-"));
    path = join(folder, "Pulumi.test.yaml");
    await writeFile(path, "old");
    await chmod(path, 0o664);
  });
  afterEach(() => rm(folder, { recursive: true }));

  it("puts another file in its place, with the same mode, so that nobody ever reads half of it", async () => {
    const reader = await open(path);
    const before = await stat(path);
    await replaceFile(path, "new");

    // Whoever had opened the file still reads the old text as a whole.
    expect(await reader.readFile("utf8")).toBe("old");
    await reader.close();
    expect(await readFile(path, "utf8")).toBe("new");
    expect((await stat(path)).mode).toBe(before.mode);
    expect((await stat(path)).ino).not.toBe(before.ino);
    expect(await readdir(folder)).toEqual(["Pulumi.test.yaml"]);
  });

  it("leaves a link a link", async () => {
    const link = join(folder, "link.yaml");
    await symlink("Pulumi.test.yaml", link);
    await replaceFile(link, "new");

    expect(await readlink(link)).toBe("Pulumi.test.yaml");
    expect(await readFile(path, "utf8")).toBe("new");
  });

  it("fails where there is no such file, and leaves none behind", async () => {
    await expect(replaceFile(join(folder, "none.yaml"), "new")).rejects.toThrow("ENOENT");
    expect(await readdir(folder)).toEqual(["Pulumi.test.yaml"]);
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
