import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

import { describe, expect, it } from "vitest";

import { POLICY_PACK, withPolicyPack } from "../../common/policy-pack.ts";

const ROOT = join(import.meta.dirname, "../..");
const FLAG = ["--policy-pack", POLICY_PACK];

/** Files of the repository with these endings: their paths and texts. */
function files(folders: readonly string[], endings: RegExp): { path: string; text: string }[] {
  return folders
    .flatMap((folder) => readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && endings.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => ({ path: relative(ROOT, path), text: readFileSync(path, "utf8") }));
}

describe("withPolicyPack", () => {
  it.each([
    ["up", "--yes", "--stack", "test"],
    ["preview", "--refresh", "--stack", "test"],
    ["--non-interactive", "--stack", "test", "up"],
  ])("adds the pack to %s", (...args) => {
    expect(withPolicyPack(args)).toEqual([...args, ...FLAG]);
  });

  it.each([
    ["refresh", "--yes", "--stack", "test"],
    ["destroy", "--yes"],
    ["config", "set", "technicia:domain", "up"],
    ["stack", "init", "preview"],
    ["--stack", "preview", "cancel"],
    ["up", "--help"],
    ["--cwd", "/another/project", "up"],
    ["up", ...FLAG],
  ])("leaves %s %s %s as it is", (...args) => {
    expect(withPolicyPack(args)).toEqual(args);
  });
});

describe("a preview or an update without the policy pack", () => {
  it("is in no document, message or workflow", () => {
    const all = [
      ...files(
        ["docs", ".github", "ops", "provider", "rehearsal", "stacks", "test/e2e"],
        /\.(md|ts|sh|yml|mjs)$/,
      ),
      ...["README.md", "CONTRIBUTING.md"].map((path) => ({
        path,
        text: readFileSync(join(ROOT, path), "utf8"),
      })),
    ];
    const commands = all.flatMap(({ path, text }) =>
      // To the end of the line, of the code, or of the sentence.
      [...text.matchAll(/npx pulumi (?:up|preview)\b[^`"\n]*/g)].map(([command]) => ({ path, command })),
    );

    expect(commands.length).toBeGreaterThan(5);
    expect(
      commands.filter(
        ({ command }) => !/--policy-pack (?:stacks\\?\/policy|\$\{POLICY_PACK\})/.test(command),
      ),
    ).toEqual([]);
  });

  it("starts nowhere: commands have one way to the CLI, and so has the rehearsal", () => {
    const sources = files(["common", "ops", "reports", "rehearsal", "secrets", "stacks"], /\.ts$/);
    const using = (sign: RegExp) => sources.filter(({ text }) => sign.test(text)).map(({ path }) => path);

    expect(using(/\bfindPulumi\(/).sort()).toEqual(["ops/engine/cli.ts", "ops/engine/program.ts"]);
    expect(using(/\b(?:tryRun|run|spawn|execFile)\(\s*\[?\s*"(?:npx|pulumi)"/)).toEqual([]);
    // The words of the operator's command are completed where it is run.
    expect(using(/engine\.pulumi\b/)).toEqual(["rehearsal/engine/prepare.ts"]);
    expect(using(/withPolicyPack\((?:args|typed)/).sort()).toEqual([
      "common/policy-pack.ts",
      "ops/engine/cli.ts",
      "rehearsal/run-as-operator.ts",
    ]);
  });
});
