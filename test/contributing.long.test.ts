/** Follows CONTRIBUTING's list for a new service with a made-up one, in a copy of the project. */
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "..");
const STACK_FILES = ["Pulumi.test.yaml", "Pulumi.staging.yaml", "Pulumi.prod.yaml"];

interface Edit {
  readonly file: string;
  /** Text that stands in the file once; `insert` goes in front of it. */
  readonly before: string;
  readonly insert: string;
}

const EDITS: readonly Edit[] = [
  { file: "common/services.ts", before: '"n8nRunners", "documentProcessor"', insert: '"translator", ' },
  {
    file: "common/services.ts",
    before: "  frontend: { alias",
    insert: '  translator: { alias: "translator", isOn: isSwitchedOn("translator") },\n',
  },
  {
    file: "stacks/settings-schema.ts",
    before: '    frontend: image("',
    insert: '    translator: image("technicia/translator:1.0.0"),\n',
  },
  {
    file: "stacks/settings-schema.ts",
    before: "    frontend: map({",
    insert: "    translator: map({ ...limits(64, 0.5), enabled: enabled() }),\n",
  },
  ...STACK_FILES.flatMap((file) => [
    { file, before: "    frontend: technicia/", insert: "    translator: technicia/translator:1.0.0\n" },
    {
      file,
      before: "    frontend:\n",
      insert: "    translator:\n      enabled: false\n      memoryMib: 64\n      cpus: 0.5\n",
    },
  ]),
  {
    file: "test/support/fixtures.ts",
    before: '      frontend: "',
    insert: '      translator: "technicia/translator:1.0.0",\n',
  },
  {
    file: "test/support/fixtures.ts",
    before: "      frontend: {",
    insert: "      translator: { memoryMib: 16, cpus: 0.05, enabled: false },\n",
  },
  {
    file: "test/support/technicia.ts",
    before: '    "services.gateway.editorCidrs"',
    insert: '    "services.translator.enabled": true,\n',
  },
  {
    file: "stacks/parts/services.ts",
    before: "export function createFrontend(",
    insert: `export function createTranslator(site: Site): Service | undefined {
  if (!isServiceOn("translator", site.environment)) return undefined;
  const translator = new PythonService(
    "technicia-translator",
    { ...site.common("translator"), alias: "translator", networks: [site.networks.app] },
    site.onSwarm,
  );
  return translator.service;
}

`,
  },
  { file: "stacks/technicia.ts", before: "  createFrontend,\n", insert: "  createTranslator,\n" },
  {
    file: "stacks/technicia.ts",
    before: "  const frontend = ",
    insert: "  const translator = createTranslator(site);\n",
  },
  {
    file: "stacks/technicia.ts",
    before: "documentProcessor, visionClassifier, frontend];",
    insert: "translator, ",
  },
  { file: "stacks/technicia.ts", before: "      frontend,\n", insert: "      translator,\n" },
  {
    file: "test/stacks/technicia.test.ts",
    before: '  "technicia-vector-store",\n  "technicia-vision',
    insert: '  "technicia-translator",\n',
  },
];

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "technicia-contributing-"));
  const { stdout } = await run(ROOT, ["git", "ls-files", "--cached", "--others", "--exclude-standard"]);
  for (const file of stdout.split("\n").filter((line) => line !== "")) {
    await cp(join(ROOT, file), join(folder, file));
  }
  await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
  for (const { file, before, insert } of EDITS) {
    const text = await readFile(join(folder, file), "utf8");
    expect(text.split(before), `${file}: ${before}`).toHaveLength(2);
    await writeFile(
      join(folder, file),
      text.replace(before, () => insert + before),
    );
  }
});
afterAll(() => rm(folder, { recursive: true }));

function run(cwd: string, [program = "", ...args]: readonly string[]) {
  return promisify(execFile)(program, args, { cwd, maxBuffer: 16 * 1024 * 1024 });
}

async function output(command: readonly string[]): Promise<string> {
  const ended = await run(folder, command).catch(
    (error: unknown) => error as Awaited<ReturnType<typeof run>>,
  );
  return `${ended.stdout}${ended.stderr}`;
}

describe("CONTRIBUTING's list for a new service", () => {
  it("names every file that has to be changed, in the order of the steps", async () => {
    const text = await readFile(join(ROOT, "CONTRIBUTING.md"), "utf8");
    const [, section = ""] = /### A service\n([^]*?)\n###/.exec(text) ?? [];
    const byHand = section.split("`npm run settings`")[0] ?? "";
    const files = [...byHand.matchAll(/`([\w./-]+\.(?:ts|yaml))`/g)].map(([, file]) => file);

    expect(files).toEqual([...new Set(EDITS.map(({ file }) => file))]);
  });

  it("leads to a program that the type checker accepts", async () => {
    expect(await output(["npx", "tsc", "--noEmit"])).toBe("");
  });

  it("leads to green tests of settings, inventory and program", async () => {
    await run(folder, ["npm", "run", "settings"]);
    expect(await readFile(join(folder, "docs/settings.md"), "utf8")).toContain(
      "`services.translator.enabled`",
    );
    const vitest = ["npx", "vitest", "run", "--project", "parts"];
    await run(folder, [...vitest, "test/stacks/technicia-urns", "--update"]);
    expect(await readFile(join(folder, "test/stacks/urns.golden.txt"), "utf8")).toContain(
      "technicia-translator",
    );

    expect(await output([...vitest, "test/stacks", "test/secrets", "test/ops/secrets.test.ts"])).not.toMatch(
      /FAIL/,
    );
  });
});
