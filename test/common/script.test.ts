import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { script, scriptFunctions, scriptParts } from "../../common/script.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "technicia-script-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function write(text: string): Promise<URL> {
  const file = join(folder, "sample.sh");
  await writeFile(file, text);
  return pathToFileURL(file);
}

const SAMPLE = `# shellcheck shell=bash
# For readers.

# part: observe
cat state || true

# part: apply
# Twice.
echo one
echo two
`;

describe("script", () => {
  it("gives the text of a file to the last byte", async () => {
    expect(script(await write(SAMPLE))).toBe(SAMPLE);
  });

  it("ends lines as Linux does, whatever wrote the checkout", async () => {
    expect(script(await write(SAMPLE.replaceAll("\n", "\r\n")))).toBe(SAMPLE);
  });
});

describe("scriptParts", () => {
  it("gives a program of one line without its newline, and a longer one between two newlines", async () => {
    expect(scriptParts(await write(SAMPLE), ["observe", "apply"])).toEqual({
      observe: "cat state || true",
      apply: "\n# Twice.\necho one\necho two\n",
    });
  });

  it.each([[["observe"]], [["observe", "apply", "remove"]]])(
    "fails when the file's parts are not %j",
    async (parts) => {
      const file = await write(SAMPLE);

      expect(() => scriptParts(file, parts)).toThrow(
        `${fileURLToPath(file)}: expected the parts ${parts.join()}, got observe,apply`,
      );
    },
  );
});

describe("the scripts that run on servers", () => {
  it("use no option of curl that Debian 11's lacks", async () => {
    const root = fileURLToPath(new URL("../../", import.meta.url));
    const folders = ["components", "infra", "ops", "provider"].map((name) => join(root, name));
    const files = (await Promise.all(folders.map((one) => readdir(one, { recursive: true })))).flatMap(
      (names, at) =>
        names.filter((name) => /\.(sh|ts|py)$/.test(name)).map((name) => join(folders[at]!, name)),
    );
    const texts = await Promise.all(files.map((file) => readFile(file, "utf8")));

    expect(files.length).toBeGreaterThan(100);
    expect(
      files.filter((_, at) => /curl[^\n]* --(fail-with-body|json|url-query)\b/.test(texts[at]!)),
    ).toEqual([]);
  });
});

describe("scriptFunctions", () => {
  const FUNCTIONS = `set -eu

one() { echo "{1}"; }

# Says why.
# In two lines.
two() {
  if one; then
    echo "}"
  fi
}
three() {
  two
}
`;

  it("gives functions of one line and of several, with the comment above, in the order asked for", async () => {
    expect(scriptFunctions(await write(FUNCTIONS), ["two", "one"])).toBe(
      '# Says why.\n# In two lines.\ntwo() {\n  if one; then\n    echo "}"\n  fi\n}\n\none() { echo "{1}"; }\n',
    );
  });

  it("fails when the file has no such function", async () => {
    const file = await write(FUNCTIONS);

    expect(() => scriptFunctions(file, ["one", "four"])).toThrow(
      `${fileURLToPath(file)}: expected the function four, got none of that name`,
    );
  });
});
