import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { actOn, requireSense, type RotationCommand } from "../../../ops/rotation/command.ts";
import { splitGiven } from "../../../ops/rotation/given.ts";
import { runCli } from "../../support/fake-pulumi.ts";
import { RotatingStack } from "./rotating-stack.ts";

const command = (change: Partial<RotationCommand>): RotationCommand => ({
  ...{ stack: "test", name: undefined, undo: false, done: false, yes: true, emergency: false, reason: "" },
  fromFile: undefined,
  ...change,
});

describe("npm run secrets -- <stack> rotate", () => {
  let rotating: RotatingStack;
  beforeEach(async () => {
    rotating = await RotatingStack.open();
  });
  afterEach(() => rotating[Symbol.asyncDispose]());

  it("lists every secret with its age, and no value", async () => {
    const { text, exitCode } = await actOn(command({}), rotating.world);

    expect(exitCode).toBe(0);
    expect(text).toMatch(/^qdrantApiKey +2026-11-24 +2027-05-23 +generated/m);
    expect(text).toMatch(/^passphrase +2026-11-24/m);
    expect(text).not.toMatch(/^n8nEncryptionKey/m);
    for (const value of Object.values(rotating.stored.values)) expect(text).not.toContain(value);
  });

  it("says what a person does for a secret elsewhere, and records it once it is done", async () => {
    const { text } = await actOn(command({ name: "stateKeys" }), rotating.world);
    expect(text).toContain("AWS_ACCESS_KEY_ID");
    expect(text).toContain("npm run secrets -- test rotate stateKeys --done");

    await actOn(command({ name: "stateKeys", done: true }), rotating.world);
    expect(await rotating.stack.history()).toContain("secret: rotation terminée : stateKeys");
  });
});

describe("the words of the command", () => {
  it.each([
    ["a name that does not exist", { name: "canary" }, "rotate: expected one of"],
    [
      "--done for one that it rotates itself",
      { name: "qdrantApiKey", done: true },
      "--done: expected it with",
    ],
    [
      "--undo for one outside of the settings",
      { name: "ssh", undo: true, fromFile: "k" },
      "--undo: expected it with",
    ],
    ["ssh without a file", { name: "ssh" }, "ssh: expected --from-file <new private key>"],
    [
      "an emergency without a reason",
      { name: "qdrantApiKey", emergency: true },
      "--emergency needs a reason",
    ],
    [
      "a file for a generated one",
      { name: "qdrantApiKey", fromFile: "k" },
      "--from-file: expected it with a secret that you give",
    ],
  ] as const)("are refused with %s", (_what, change, problem) => {
    expect(() => requireSense(command(change), true)).toThrow(problem);
  });

  it("need --yes where nobody can be asked, before a value is read", () => {
    expect(() => requireSense(command({ name: "voyageApiKey", yes: false }), false)).toThrow("add --yes");
    expect(() => requireSense(command({ name: "voyageApiKey", yes: true }), false)).not.toThrow();
  });

  it("are refused where rotate is missing", async () => {
    const { code, stderr } = await runCli(["secrets", "test", "--undo"], {});

    expect(code).toBe(1);
    expect(stderr).toContain("--undo: expected rotate before it");
  });
});

describe("a given value", () => {
  it("is whole, without the line end that an editor adds", () => {
    expect(splitGiven(["googleCredentials"], '{\n  "a": 1\n}\n')).toEqual(['{\n  "a": 1\n}']);
  });

  it("is one of several, a line each in their order", () => {
    expect(splitGiven(["a", "b"], "one\r\ntwo\r\n")).toEqual(["one", "two"]);
  });

  it.each([
    ["nothing", ["a"], "\n"],
    ["too few", ["a", "b"], "canary\n"],
    ["an empty line among them", ["a", "b"], "canary\n\n"],
  ] as const)("is refused with %s, and not shown", (_what, names, text) => {
    expect(() => splitGiven(names, text)).toThrow(`${names.join(", ")}: expected`);
    expect(() => splitGiven(names, text)).not.toThrow("canary");
  });
});
