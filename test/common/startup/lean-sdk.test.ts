import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";

import { describe, expect, it } from "vitest";

import { startEngineLog } from "../../support/engine-log.ts";

const ROOT = join(import.meta.dirname, "../../..");

/** What the lines print, as JSON, in a process of their own that has loaded Pulumi's SDK as the program does. */
async function inProgram(lines: string, environment: NodeJS.ProcessEnv = {}): Promise<unknown> {
  const script = `
    import "./common/startup/lean-sdk.ts";
    const pulumi = await import("@pulumi/pulumi");
    console.log(JSON.stringify(await (async () => { ${lines} })()));`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", script], {
    cwd: ROOT,
    env: { ...process.env, ...environment },
  });
  return JSON.parse(stdout);
}

describe("common/startup/lean-sdk.ts", () => {
  it("does not load what the SDK needs to serialize functions", async () => {
    const loaded = await inProgram(`
      const { createRequire } = await import("node:module");
      return Object.values(createRequire(import.meta.url).cache).filter((module) => module.children !== undefined).map(({ id }) => id);`);

    expect(loaded).toContainEqual(expect.stringContaining("/node_modules/@pulumi/pulumi/index.js"));
    const needless = /\/node_modules\/(typescript|@npmcli\/arborist|pacote|@sigstore\/sign)\//;
    expect((loaded as string[]).filter((path) => needless.test(path))).toEqual([]);
  });

  it("throws, and says why, when a function is to be serialized", async () => {
    const message = await inProgram(`
      return pulumi.runtime.serializeFunction(() => 1).then(() => "serialized", (error) => String(error));`);

    expect(message).toMatch(
      /expected a program that hands no function to the engine, got one; remove common\/startup\/lean-sdk\.ts/,
    );
  });
});

describe("the program's messages to the engine", () => {
  it("contain what the program logs and none of the SDK's debug messages", async () => {
    expect(await told({ NODE_DEBUG: "" })).toEqual(["of ours"]);
  });

  it("contain the same where NODE_DEBUG is set for pulumi", async () => {
    const messages = await told({ NODE_DEBUG: "pulumi" });

    expect(messages).toContainEqual(expect.stringMatching(/^Registering resource: t=a:b:C, name=one/));
    expect(messages).toContain("of ours");
  });
});

/** What reaches an engine of a program that registers one resource and says one thing. */
async function told(environment: NodeJS.ProcessEnv): Promise<string[]> {
  const engine = await startEngineLog();
  try {
    await inProgram(
      `
      const call = () => ({ id: "1", state: {} });
      await pulumi.runtime.setMocks({ newResource: call, call });
      const one = new pulumi.CustomResource("a:b:C", "one");
      await new Promise((resolve) => one.urn.apply(resolve));
      await pulumi.log.info("of ours");
      pulumi.runtime.disconnectSync();
      return true;`,
      { ...environment, PULUMI_NODEJS_ENGINE: engine.address },
    );
  } finally {
    engine.stop();
  }
  return engine.lines.map(({ message }) => message);
}
