/** The pack, the language host and the engine together. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";

import { readEvents, readViolations, type Violation } from "../../../ops/engine/events.ts";
import { prepareEngine, type Engine } from "../../../rehearsal/engine/prepare.ts";
import { RULES } from "../../../stacks/policy/rules.ts";
import { createStack, type Stack } from "../../rehearsal/engine/stack.ts";
import { validSettings } from "../../support/fixtures.ts";
import { CANARY, CASES } from "./violations.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

// The first run on a machine may have to build the engine.
const BUILD_MS = 1_500_000;
const STACK_MS = 900_000;

const PREVIEW = ["preview", "--policy-pack", join(ROOT, "stacks/policy")];

const DOCKER = CASES.filter(({ plugin }) => plugin === "docker");

let home: string;
let engine: Engine;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "technicia-home-"));
  engine = await prepareEngine({ progress: () => undefined, home });
}, BUILD_MS);

afterAll(async () => {
  await rm(home, { recursive: true, force: true });
});

/** A stack whose program runs cases, with valid settings and these changes. */
async function open(indexes: readonly number[], settings: object = {}): Promise<Stack> {
  // Without the variable the CLI has no --event-log.
  vi.stubEnv("PULUMI_DEBUG_COMMANDS", "true");
  const cases = JSON.stringify(join(ROOT, "test/stacks/policy/violations.ts"));
  const stack = await createStack(
    engine,
    `const { CASES } = await import(${cases});
     for (const index of ${JSON.stringify(indexes)}) CASES[index].create(CASES[index].name ?? "case-" + index);`,
  );
  const config = Object.fromEntries(
    Object.entries({ ...validSettings(), ...settings }).map(([key, value]) => [`technicia:${key}`, value]),
  );
  await writeFile(join(stack.folder, "Pulumi.test.yaml"), JSON.stringify({ config, ...(await salt(stack)) }));
  await stack.pulumi("config", "set", "--secret", "technicia:qdrantApiKey", CANARY);
  return stack;
}

/** What the stack's passphrase was made with. */
async function salt({ folder }: Stack): Promise<object> {
  const text = await readFile(join(folder, "Pulumi.test.yaml"), "utf8");
  return { encryptionsalt: /encryptionsalt: (\S+)/.exec(text)?.[1] };
}

async function preview(stack: Stack): Promise<{ code: number; output: string; found: Violation[] }> {
  const log = join(stack.folder, "events.jsonl");
  const ended = await stack.pulumi(...PREVIEW, "--event-log", log);
  return { ...ended, found: readViolations(readEvents(await readFile(log, "utf8"))) };
}

const BACKED_UP = { backup: { project: "0123456789abcdef0123456789abcdef", region: "RBX" } };

describe("the policy pack in the engine", { timeout: STACK_MS }, () => {
  it("refuses a preview for every broken rule, names it, and prints no secret", async () => {
    const indexes = DOCKER.map((one) => CASES.indexOf(one));
    await using stack = await open(indexes, { protectData: true, monitoring: { enabled: false } });

    const { code, output, found } = await preview(stack);

    const expected = [...DOCKER.map(({ rule }) => rule), "backups-enabled", "monitoring-enabled"];
    expect(code, output).not.toBe(0);
    expect([...new Set(found.map(({ rule }) => rule))].sort()).toEqual([...new Set(expected)].sort());
    for (const index of indexes) {
      const { rule, at, name = `case-${index}` } = CASES[index]!;
      expect(found).toContainEqual({
        ...{ rule, refuses: rule !== "sizes", resource: name },
        text: expect.stringContaining(`\n${at}: expected `) as string,
      });
    }
    expect(output).not.toContain(CANARY);
    expect(JSON.stringify(found)).not.toContain(CANARY);
  });

  it("lets a program pass that breaks none, and shows an exception", async () => {
    const exceptions = [{ rule: "monitoring", until: "2099-12-31", reason: "reprise" }];
    const monitoring = { enabled: false };
    await using stack = await open([], {
      ...BACKED_UP,
      monitoring,
      policy: { exceptions },
      protectData: false,
    });

    const { code, output, found } = await preview(stack);

    expect(code, output).toBe(0);
    expect(found.map(({ rule, refuses }) => [rule, refuses])).toEqual([["exceptions", false]]);
    expect(found[0]?.text).toContain(
      'policy.exceptions[0]: "monitoring" is excepted until 2099-12-31: reprise',
    );
  });

  it("refuses a program that lacks what the settings promise", async () => {
    await using stack = await open([], { ...BACKED_UP, monitoring: { enabled: true } });

    const { code, found } = await preview(stack);

    expect(code).not.toBe(0);
    expect(found.map(({ rule }) => rule).sort()).toEqual([
      "backups-enabled-in-program",
      "monitoring-enabled-in-program",
    ]);
  });

  it("creates nothing that a rule refuses", async () => {
    const index = CASES.findIndex(({ rule }) => rule === "memory-limits");
    await using stack = await open([index], { protectData: false, monitoring: { enabled: false } });

    const { code, output } = await stack.pulumi("up", "--yes", "--skip-preview", ...PREVIEW.slice(1));

    expect(code).not.toBe(0);
    expect(output).toContain("[mandatory]  memory-limits");
    expect(await stack.readState()).not.toContain(`"docker:index/service:Service"`);
  });
});

it("tries rules that exist", () => {
  expect(RULES.map(({ name }) => name)).toEqual(expect.arrayContaining(CASES.map(({ rule }) => rule)));
});
