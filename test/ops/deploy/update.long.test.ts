import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";

import { update } from "../../../ops/deploy/update.ts";
import { inPrivateFolder } from "../../../ops/engine/events.ts";
import { withSettings } from "../../../ops/engine/settings-file.ts";
import { PulumiFailure, type Pulumi } from "../../../ops/engine/cli.ts";
import { prepareEngine, type Engine } from "../../../rehearsal/engine/prepare.ts";
import { createStack, type Stack } from "../../rehearsal/engine/stack.ts";

const BUILD_MS = 1_500_000;
const STACK_MS = 300_000;

const PROGRAM = `
  import * as command from "@pulumi/command";
  import * as pulumi from "@pulumi/pulumi";
  const config = new pulumi.Config("technicia");
  const image = config.require("image");
  const service = new command.local.Command("service", { create: "echo " + image, update: "echo " + image });
  if (config.getBoolean("ill")) new command.local.Command("ill", { create: "exit 3" }, { dependsOn: service });
  export const runs = service.stdout;
  export const key = config.requireSecret("key");
`;

let home: string;
let engine: Engine;

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "technicia-home-"));
  engine = await prepareEngine({ progress: () => undefined, home });
}, BUILD_MS);

afterAll(async () => {
  await rm(home, { recursive: true, force: true });
});

/** A stack that runs image 1, and whose settings ask for image 2. */
async function open(): Promise<Stack> {
  vi.stubEnv("PULUMI_DEBUG_COMMANDS", "true");
  const stack = await createStack(engine, PROGRAM);
  await stack.pulumi("config", "set", "technicia:image", "one");
  await stack.pulumi("config", "set", "--secret", "technicia:key", "hush");
  expect(await update(common(stack))).toEqual({ failure: undefined, rotated: [] });
  await stack.pulumi("config", "set", "technicia:image", "two");
  return stack;
}

function common(stack: Stack) {
  const pulumi: Pulumi = async ({ args }) => {
    const { code, output } = await stack.pulumi(...args);
    if (code !== 0) throw new PulumiFailure(output, { stdout: output, stderr: "" });
    return output;
  };
  return { stack: "test", pulumi, message: "release 1", onLine: () => undefined };
}

async function savePlan(stack: Stack) {
  const file = join(stack.folder, "plan.json");
  expect(await stack.pulumi("preview", "--save-plan", file)).toMatchObject({ code: 0 });
  return { file, reviewed: false, refreshed: false };
}

const running = async (stack: Stack) => (await stack.pulumi("stack", "output", "runs")).output.trim();

describe("update, with a real engine", { timeout: STACK_MS }, () => {
  it("applies a plan", async () => {
    await using stack = await open();

    expect((await update({ ...common(stack), plan: await savePlan(stack) })).failure).toBeUndefined();
    expect(await running(stack)).toBe("two");
  });

  it("refuses what exceeds a reviewed plan before anything is changed", async () => {
    await using stack = await open();
    const plan = { ...(await savePlan(stack)), reviewed: true };
    await stack.pulumi("config", "set", "technicia:image", "three");

    expect((await update({ ...common(stack), plan })).failure).toMatchObject({
      changed: [],
      output: expect.stringContaining("violates plan") as string,
    });
    expect(await running(stack)).toBe("one");
  });

  it("distinguishes an update that failed half way from one that changed nothing, and keeps the outputs", async () => {
    await using stack = await open();
    await stack.pulumi("config", "set", "technicia:ill", "true");

    const { failure } = await update(common(stack));
    expect(failure?.output).toContain("exit status 3");
    expect(failure?.changed).not.toHaveLength(0);
    // They say where the server is: the next deployment takes its lock there.
    expect(await running(stack)).toMatch(/^(one|two)$/);

    await stack.write("throw new Error('the settings are wrong');");
    expect((await update(common(stack))).failure).toEqual({
      changed: [],
      output: expect.stringContaining("failed with an unhandled exception") as string,
    });
    expect(await running(stack)).toMatch(/^(one|two)$/);
  });

  it("fails on a corrupt plan without a change", async () => {
    await using stack = await open();
    const file = join(stack.folder, "plan.json");
    await writeFile(file, "{ not a plan");

    const { failure } = await update({ ...common(stack), plan: { file, reviewed: true, refreshed: false } });
    expect(failure).toMatchObject({ changed: [] });
    expect(await running(stack)).toBe("one");
  });

  it("restores with a copy of the settings, which includes the secrets, and leaves the stack's own file unchanged", async () => {
    await using stack = await open();
    await update(common(stack));
    const file = join(stack.folder, "Pulumi.test.yaml");
    const text = await readFile(file, "utf8");
    await inPrivateFolder(async (folder) => {
      const configFile = join(folder, "Pulumi.test.yaml");
      await writeFile(configFile, withSettings({ path: file, text }, { image: "one" }));
      expect((await update({ ...common(stack), configFile, refresh: true })).failure).toBeUndefined();
    });

    expect(await running(stack)).toBe("one");
    expect((await stack.pulumi("stack", "output", "key", "--show-secrets")).output.trim()).toBe("hush");
    expect(await readFile(file, "utf8")).toBe(text);
  });
});
