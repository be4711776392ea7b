import { access, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { rotatePassphrase } from "../../../ops/rotation/passphrase.ts";
import type { PulumiCall } from "../../../ops/engine/cli.ts";
import { UserError } from "../../../common/user-error.ts";
import { RotatingStack } from "./rotating-stack.ts";

const NEXT = "the next passphrase, of four words";
const FILE = "Pulumi.test.yaml";

/** What `pulumi stack change-secrets-provider passphrase` was seen to do: the settings first, then the state. */
class Provider {
  /** Passphrase → salt. */
  settings = { passphrase: "old", salt: "v1:old" };
  state = { passphrase: "old", salt: "v1:old" };
  isKilledBetween = false;
  readonly calls: PulumiCall[] = [];

  async run(call: PulumiCall): Promise<string | undefined> {
    const { args, input = "", environment = {} } = call;
    this.calls.push(call);
    const passphrase = environment["PULUMI_CONFIG_PASSPHRASE"] ?? "old";
    const [command, verb] = args;
    if (command === "config" && this.settings.passphrase !== passphrase)
      throw new UserError("incorrect passphrase");
    if (command !== "stack") return undefined;
    if (verb === "export") {
      if (args.includes("--show-secrets") && this.state.passphrase !== passphrase)
        throw new UserError("incorrect passphrase");
      const provider = { type: "passphrase", state: { salt: this.state.salt } };
      return JSON.stringify({ deployment: { secrets_providers: provider } });
    }
    if (verb !== "change-secrets-provider") return undefined;
    if (this.settings.passphrase !== passphrase) throw new UserError("incorrect passphrase");
    const next = { passphrase: input.trim(), salt: `v1:${input.length}` };
    this.settings = next;
    await writeFile(FILE, `encryptionsalt: ${next.salt}\n`);
    if (this.isKilledBetween) throw new UserError("killed");
    this.state = next;
    return "";
  }
}

let rotating: RotatingStack;
let provider: Provider;
let folder: string;

beforeEach(async () => {
  rotating = await RotatingStack.open();
  provider = new Provider();
  folder = await mkdtemp(join(tmpdir(), "passphrase-"));
  const before = process.cwd();
  process.chdir(folder);
  await writeFile(FILE, "encryptionsalt: v1:old\n");
  rotating.given = [NEXT];
  return () => process.chdir(before);
});
afterEach(async () => {
  await rm(folder, { recursive: true });
  await rotating[Symbol.asyncDispose]();
});

function run() {
  const { world } = rotating;
  const { operator } = world;
  return rotatePassphrase("test", {
    ...world,
    operator: {
      ...operator,
      pulumi: async (call) => (await provider.run(call)) ?? (await operator.pulumi(call)),
      readSettingsFile: () => readFile(FILE, "utf8"),
    },
  });
}

const hasCopy = () =>
  access(`${FILE}.before`).then(
    () => true,
    () => false,
  );

describe("the rotation of the passphrase", () => {
  it("encrypts the settings and the state again, and records it", async () => {
    const { text, exitCode } = await run();

    expect(exitCode).toBe(0);
    expect([provider.settings.passphrase, provider.state.passphrase]).toEqual([NEXT, NEXT]);
    expect(text).toContain("the environments test-preview, test-drift and test of your CI");
    expect(await rotating.stack.history()).toContain("secret: rotation terminée : passphrase");
    expect(await hasCopy()).toBe(false);
  });

  it("passes the passphrase on no command line, and prints none", async () => {
    const { text } = await run();

    expect(
      JSON.stringify([provider.calls.map(({ args }) => args), rotating.stack.printed, text]),
    ).not.toContain(NEXT);
  });

  it("begins again after it was killed between the settings and the state", async () => {
    provider.isKilledBetween = true;
    await writeFile(`${FILE}.before`, "encryptionsalt: v1:old\n");
    await writeFile(FILE, "encryptionsalt: v1:half\n");
    provider.isKilledBetween = false;

    await run();
    expect([provider.settings.passphrase, provider.state.passphrase]).toEqual([NEXT, NEXT]);
    expect(rotating.stack.printed.join("\n")).toContain("the settings have the old one again");
    expect(await hasCopy()).toBe(false);
  });

  it("puts the settings back when the CLI fails half way", async () => {
    provider.isKilledBetween = true;

    await expect(run()).rejects.toThrow("killed");
    expect(await readFile(FILE, "utf8")).toBe("encryptionsalt: v1:old\n");
    expect(await hasCopy()).toBe(false);
  });

  it.each([
    ["short", "too short"],
    ["of two lines", "the first line is\nnot the whole of it"],
    ["with other characters", "phrase de passe très longue"],
  ])("refuses one that is %s, before anything is encrypted", async (_what, next) => {
    rotating.given = [next];

    await expect(run()).rejects.toThrow("passphrase: expected at least 16 characters of ASCII");
    expect(provider.settings.passphrase).toBe("old");
  });

  it("fails for a stack whose secrets another provider encrypts", async () => {
    await writeFile(FILE, "secretsprovider: awskms://key\n");

    await expect(run()).rejects.toThrow("expected an encryptionsalt, got none");
  });
});
