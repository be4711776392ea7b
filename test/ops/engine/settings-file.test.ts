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
      "Pulumi.prod.yaml: technicia:images has no frontend of its own; write the line frontend: a:1.0.0\n" +
        "Pulumi.prod.yaml: technicia:images has no certbot of its own; write the line certbot: c:1.0.0",
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

/** Legal ways to write the same settings, which people and editors use. */
const WRITTEN: readonly (readonly [how: string, text: string])[] = [
  ["with the line ends of Windows", TEXT.replaceAll("\n", "\r\n")],
  ["with a byte order mark", `\ufeff${TEXT}`],
  ["with a mark and the line ends of Windows", `\ufeff${TEXT.replaceAll("\n", "\r\n")}`],
  ["with characters of four bytes before it", `# 😀 é\n${TEXT}`],
  [
    "in one line",
    TEXT.replace(
      /images:\n(?:.*\n){4}/,
      "images: { qdrant: 'qdrant/qdrant:v1.19.0', n8n: n8nio/n8n:2.41.3 }\n",
    ),
  ],
  ["as an alias", `x-image: &q qdrant/qdrant:v1.19.0\n${TEXT.replace("  qdrant/qdrant:v1.19.0", " *q")}`],
  ["with an anchor that nothing uses", TEXT.replace("  qdrant/qdrant:v1.19.0", " &q qdrant/qdrant:v1.19.0")],
  [
    "with other keys merged in",
    `x-more: &more\n  gateway: nginx:1.30.4\n${TEXT.replace("    # Upgraded", "    <<: *more\n    # Upgraded")}`,
  ],
];

describe.each(WRITTEN)("a settings file %s", (_, text) => {
  const image = "qdrant/qdrant:v1.20.0";
  const before = parse(text, { merge: true }) as { config: Record<string, Record<string, string>> };

  it("gets another image, and nothing else changes", () => {
    const after = withImages({ ...FILE, text }, { qdrant: image });

    expect(parse(after, { merge: true })).toEqual({
      ...before,
      config: {
        ...before.config,
        "technicia:images": { ...before.config["technicia:images"], qdrant: image },
      },
    });
    expect([after.startsWith("\ufeff"), after.includes("\r\n"), after.length - text.length]).toEqual([
      text.startsWith("\ufeff"),
      text.includes("\r\n"),
      text.includes("*q") ? image.length - 2 : text.includes("'qdrant") ? -2 : 0,
    ]);
  });

  it("gets other settings in a copy, and keeps the rest", () => {
    const after = withSettings({ ...FILE, text }, { images: { qdrant: image } });

    expect(parse(after, { merge: true })).toEqual({
      ...before,
      config: { ...before.config, "technicia:images": { qdrant: image } },
    });
  });
});

describe("what is written for the engine", () => {
  it("has quotes around a day, which the engine would take for a time", () => {
    const policy = { exceptions: [{ rule: "backups", until: "2026-12-24", reason: "a trial" }] };

    const after = withSettings(FILE, { policy });

    expect(parse(after, { customTags: ["timestamp"] })).toMatchObject({
      config: { "technicia:policy": policy },
    });
  });
});

describe("a settings file that one edit would change in two places", () => {
  const image = { qdrant: "qdrant/qdrant:v1.20.0" };

  it.each([
    [
      "an alias elsewhere",
      TEXT.replace("  qdrant/qdrant:v1.19.0", " &q qdrant/qdrant:v1.19.0").replace(
        '"n8nio/n8n:2.41.3"',
        "*q",
      ),
    ],
    [
      "lines of its own",
      TEXT.replace("  qdrant/qdrant:v1.19.0  # tried in test", " >-\n      qdrant/qdrant:v1.19.0"),
    ],
  ])("is left alone (%s)", (__, text) => {
    expect(() => withImages({ ...FILE, text }, image)).toThrow(
      "Pulumi.prod.yaml: technicia:images.qdrant: expected a value in one line that nothing else refers to, got another; write qdrant: qdrant/qdrant:v1.20.0",
    );
  });

  it.each([
    ["a merge", `x-i: &i\n  qdrant: a:1.0.0\n${TEXT.replace(/ {4}qdrant:.*\n/, "    <<: *i\n")}`],
    [
      "an alias of the whole map",
      `x-i: &i { qdrant: "a:1.0.0" }\n${TEXT.replace(/images:\n(?:.*\n){4}/, "images: *i\n")}`,
    ],
  ])("is left alone (%s)", (__, text) => {
    expect(() => withImages({ ...FILE, text }, image)).toThrow(
      "Pulumi.prod.yaml: technicia:images has no qdrant of its own; write the line qdrant: qdrant/qdrant:v1.20.0",
    );
  });

  it("keeps what an anchor in a replaced setting carried elsewhere", () => {
    const text =
      TEXT.replace("  qdrant/qdrant:v1.19.0", " &q qdrant/qdrant:v1.19.0") +
      "  technicia:locale: { language: *q }\n";

    expect(parse(withSettings({ ...FILE, text }, { images: image }))).toMatchObject({
      config: { "technicia:images": image, "technicia:locale": { language: "qdrant/qdrant:v1.19.0" } },
    });
  });
});

describe("a settings file that is not what it should be", () => {
  it.each([
    ["twice the same key", TEXT.replace("    n8n:", "    n8n: a:1.0.0\n    n8n:"), "Map keys must be unique"],
    ["a tab as indentation", TEXT.replace("    n8n:", "\tn8n:"), "Tabs are not allowed as indentation"],
    ["a second document", `${TEXT}---\nconfig: {}\n`, "multiple documents"],
    [
      "UTF-16",
      Buffer.from(`\ufeff${TEXT}`, "utf16le").toString("utf8"),
      "expected text in UTF-8, got another encoding",
    ],
    [
      "Latin 1",
      Buffer.from("# é\n", "latin1").toString("utf8") + TEXT,
      "expected text in UTF-8, got another encoding",
    ],
    ["no map", "- config\n", "expected a map of settings under config, got none"],
    ["nothing", "", "expected a map of settings under config, got none"],
  ])("is refused (%s)", (__, text, says) => {
    for (const edit of [
      () => withImages({ ...FILE, text }, { qdrant: "a:1.0.0" }),
      () => withSettings({ ...FILE, text }, { uploadMaxMib: 1 }),
    ]) {
      expect(edit).toThrow(new RegExp(`^Pulumi\\.prod\\.yaml: .*${says}`, "s"));
    }
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
