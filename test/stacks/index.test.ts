import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import * as pulumi from "@pulumi/pulumi";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { secretNames } from "../../secrets/catalog.ts";
import { change, publicKey, type Settings, validSettings } from "../support/fixtures.ts";
import { listed, twoAndWitness } from "../support/servers.ts";
import { secretsOf, usual } from "../support/technicia.ts";

const mocks: pulumi.runtime.Mocks = {
  call: () => ({}),
  newResource: ({ name }) => ({ id: name, state: {} }),
};

let folder: string;

/** Names a new key pair in the settings. */
function createKeyFor(settings: Settings): void {
  const path = join(folder, "key");
  expect(spawnSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", path]).status).toBe(0);
  change(settings, "ssh.privateKeyFile", path);
  change(settings, "ssh.publicKey", readFileSync(`${path}.pub`, "utf8").trim());
}

/** What the program throws when the engine starts it with these settings and secrets. */
async function failure(values: Readonly<Record<string, unknown>>): Promise<unknown> {
  const texts = Object.entries(values).map(([key, value]) => [
    `technicia:${key}`,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  pulumi.runtime.setAllConfig(
    Object.fromEntries(texts) as Record<string, string>,
    secretNames.map((name) => `technicia:${name}`),
  );
  return import("../../stacks/index.ts").then(
    () => undefined,
    (error: unknown) => error,
  );
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "operator-"));
  vi.resetModules();
  await pulumi.runtime.setMocks(mocks, "technicia", "test");
});
afterEach(() => {
  rmSync(folder, { recursive: true });
  vi.unstubAllEnvs();
  vi.doUnmock("../../stacks/cloud.ts");
  pulumi.runtime.setAllConfig({});
});

describe("stacks/index.ts", () => {
  it("fails without a stack trace and with every problem when settings are wrong", async () => {
    const error = await failure({ domain: "no domain", adminEmail: "nobody" });

    expect(pulumi.RunError.isInstance(error)).toBe(true);
    expect((error as Error).message).toContain("technicia:domain: expected");
    expect((error as Error).message).toContain("technicia:adminEmail: expected");
  });

  it("fails without a stack trace and with every problem when secrets are missing", async () => {
    const error = await failure(validSettings());

    expect(pulumi.RunError.isInstance(error)).toBe(true);
    expect((error as Error).message).toContain("technicia:voyageApiKey: expected a value, got nothing");
    expect((error as Error).message).toContain("technicia:n8nJwtSecret: expected a value, got nothing");
  });

  it("prints the problems of the settings, the secrets and the key together", async () => {
    const wrong = { ...validSettings(), domain: "Exemple.FR" };
    const secrets = Object.fromEntries([...secretsOf(usual)].filter(([name]) => name !== "voyageApiKey"));
    const bothWrong = await failure({ ...wrong, ...secrets });

    expect((bothWrong as Error).message).toMatch(
      /^the settings of stack "test" have problems:\n {2}technicia:domain: expected .*\nthe secrets of stack "test" have problems:\n {2}technicia:voyageApiKey: expected a value/s,
    );

    vi.resetModules();
    const settings = validSettings();
    change(settings, "ssh.privateKeyFile", join(folder, "absent"));
    const alsoKey = await failure({ ...settings, ...secrets });

    expect((alsoKey as Error).message).toMatch(
      /technicia:voyageApiKey: .*\n.*technicia:ssh\.privateKeyFile: expected/s,
    );
    expect((alsoKey as Error).message).not.toContain("technicia:domain");
  });

  it("keeps the stack trace of an error that is none of the user's", async () => {
    const bug = new TypeError("a bug");
    vi.doMock("../../stacks/cloud.ts", () => ({
      createCloud: () => {
        throw bug;
      },
    }));
    const secrets = Object.fromEntries(secretsOf(usual));
    const settings = validSettings();
    createKeyFor(settings);

    expect(await failure({ ...settings, ...secrets })).toBe(bug);
  });

  it("goes on where several servers take visitors", async () => {
    const begun = new TypeError("it has begun");
    vi.doMock("../../stacks/cloud.ts", () => ({
      createCloud: () => {
        throw begun;
      },
    }));
    const settings = validSettings();
    createKeyFor(settings);
    for (const [path, value] of Object.entries(listed(twoAndWitness))) change(settings, path, value);

    expect(await failure({ ...settings, ...Object.fromEntries(secretsOf(usual)) })).toBe(begun);
  });

  it.each([
    ["nobody", { enabled: true }, 1],
    ["Slack", { enabled: true, receivers: { slack: true } }, 0],
    ["nobody, where nothing is watched,", { enabled: false }, 0],
  ])("warns once, with the settings, that alerts reach %s", async (_whom, monitoring, count) => {
    vi.doMock("../../stacks/cloud.ts", () => ({
      createCloud: () => {
        throw new TypeError("it has begun");
      },
    }));
    const warn = vi.spyOn(pulumi.log, "warn").mockResolvedValue();
    const settings = validSettings();
    change(settings, "monitoring", monitoring);
    createKeyFor(settings);
    const slackUrl = "https://hooks.slack.com/services/T00000000/B00000000/0123456789abcdefghijklmn";
    const secrets = { ...Object.fromEntries(secretsOf(usual)), slackUrl };
    await failure({ ...settings, ...secrets });
    const warned = warn.mock.calls.map(([text]) => text).filter((text) => text.includes("nobody"));
    warn.mockRestore();

    expect(warned).toHaveLength(count);
    for (const name of ["mail", "receivers.slack", "receivers.webhooks", "escalation"])
      for (const text of warned) expect(text).toContain(`technicia:monitoring.${name}`);
  });

  it("fails before anything is created when the operator's key would not let the deployment in", async () => {
    const secrets = Object.fromEntries(secretsOf(usual));
    const settings = validSettings();
    createKeyFor(settings);
    change(settings, "ssh.publicKey", publicKey);

    const error = await failure({ ...settings, ...secrets });

    expect(pulumi.RunError.isInstance(error)).toBe(true);
    expect((error as Error).message).toContain(
      "technicia:ssh.publicKey: expected the public half of ssh.privateKeyFile, SHA256:",
    );
  });

  it("goes on without a key in a preview that a CI makes", async () => {
    const bug = new TypeError("a bug");
    vi.doMock("../../stacks/cloud.ts", () => ({
      createCloud: () => {
        throw bug;
      },
    }));
    const settings = validSettings();
    change(settings, "ssh.privateKeyFile", join(folder, "absent"));
    vi.stubEnv("CI", "true");
    await pulumi.runtime.setMocks(mocks, "technicia", "test", true);

    expect(await failure({ ...settings, ...Object.fromEntries(secretsOf(usual)) })).toBe(bug);
  });

  it("fails without a key in a CI, too, unless it only makes a preview", async () => {
    const secrets = Object.fromEntries(secretsOf(usual));
    const settings = validSettings();
    change(settings, "ssh.privateKeyFile", join(folder, "absent"));
    vi.stubEnv("CI", "true");

    const error = await failure({ ...settings, ...secrets });

    expect((error as Error).message).toContain(
      `technicia:ssh.privateKeyFile: expected a private key at ${join(folder, "absent")}, got no file there; create one with`,
    );
  });
});
