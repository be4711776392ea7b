import { describe, expect, it } from "vitest";

import { entryOf, isSecretName, secretNames, type SecretName } from "../../secrets/catalog.ts";
import { weaknessOf } from "../../secrets/weakness.ts";
import { validSettings } from "../support/fixtures.ts";
import { runCli } from "../support/fake-pulumi.ts";

const NEEDED: readonly SecretName[] = [
  "ovhApplicationKey",
  "ovhApplicationSecret",
  "ovhConsumerKey",
  "cloudflareApiToken",
  "voyageApiKey",
  "googleCredentials",
  "n8nEncryptionKey",
  "n8nOwnerPassword",
  "n8nJwtSecret",
  "n8nRunnersToken",
  "qdrantApiKey",
];
const OURS = secretNames.filter((name) => entryOf(name).givenBy === "us");

interface Entry {
  readonly secret: boolean;
  readonly value?: string;
  readonly objectValue?: unknown;
}

/** What `pulumi config --json` prints of the valid settings, the named secrets encrypted and all others at their empty default. */
function configuration(
  encrypted: readonly SecretName[],
  changes: Record<string, Entry> = {},
): Record<string, Entry> {
  const settings = Object.entries(validSettings()).map(([name, value]): [string, Entry] => [
    `technicia:${name}`,
    typeof value === "object"
      ? { secret: false, value: JSON.stringify(value), objectValue: value }
      : { secret: false, value: `${value as string | number | boolean}` },
  ]);
  const secrets = secretNames.map((name): [string, Entry] => [
    `technicia:${name}`,
    encrypted.includes(name) ? { secret: true } : { secret: false, value: "" },
  ]);
  return { ...Object.fromEntries([...settings, ...secrets]), ...changes };
}

/** State of each secret in the printed table, by name. */
function states(stdout: string): Record<string, string> {
  const cells = stdout.split("\n").map((line) => line.split(/ {2,}/));
  return Object.fromEntries(
    cells.flatMap((row) => {
      const index = row.findIndex(isSecretName);
      return index < 0 ? [] : [[row[index], row[index + 2]]];
    }),
  ) as Record<string, string>;
}

const resource = (type: string) => ({ urn: `urn:pulumi:test::technicia::${type}::n`, type });
const empty = { deployment: { resources: [resource("pulumi:pulumi:Stack")] } };
const deployed = {
  deployment: { resources: [...empty.deployment.resources, resource("docker:index/volume:Volume")] },
};

describe("npm run secrets -- <stack>", () => {
  it("succeeds when every needed secret is set", async () => {
    const run = await runCli(["secrets", "test"], { "config --json": configuration(NEEDED) });

    expect(run).toMatchObject({ code: 0, stderr: "" });
    expect(states(run.stdout)).toEqual(
      Object.fromEntries(
        secretNames.map((name) => [name, NEEDED.includes(name) ? "configured" : "not needed"]),
      ),
    );
  });

  it("lists the services in one order, each with its secrets", async () => {
    const { stdout } = await runCli(["secrets", "test"], { "config --json": configuration(NEEDED) });

    const services = stdout
      .split("\n")
      .slice(2)
      .flatMap((line) => /^(\S.*?) {2}/.exec(line)?.[1] ?? []);
    expect(services).toEqual([
      "Google Document AI",
      "Google Vision AI",
      "VoyageAI",
      "Anthropic",
      "n8n",
      "Qdrant",
      "Cloudflare",
      "OVH",
      "Registry",
      "Backup",
      "Monitoring",
    ]);
  });

  it("reads the settings without the values of secrets", async () => {
    const { calls } = await runCli(["secrets", "test"], { "config --json": configuration(NEEDED) });

    expect(calls).toEqual([
      { args: ["config", "--json", "--stack", "test", "--non-interactive"], input: "", debugCommands: "" },
    ]);
  });

  it("reads another settings file when given one", async () => {
    const args = ["secrets", "test", "--config-file", "elsewhere.yaml"];
    const { calls } = await runCli(args, { "config --json": configuration(NEEDED) });

    expect(calls[0]?.args).toEqual([
      "config",
      "--json",
      "--stack",
      "test",
      "--config-file",
      "elsewhere.yaml",
      "--non-interactive",
    ]);
  });

  it("fails when secrets are missing, and prints the command for each", async () => {
    const there = NEEDED.filter((name) => name !== "voyageApiKey" && name !== "n8nJwtSecret");
    const run = await runCli(["secrets", "test"], { "config --json": configuration(there) });

    expect(run.code).toBe(1);
    expect(states(run.stdout)).toMatchObject({ voyageApiKey: "missing", n8nJwtSecret: "missing" });
    expect(run.stdout.trimEnd().split("\n").slice(-2)).toEqual([
      "voyageApiKey is missing (VoyageAI API key, for the vectors of texts and images); " +
        "set it with pulumi config set --secret technicia:voyageApiKey --stack test",
      "n8nJwtSecret is missing (Key with which n8n signs its sessions); set it with npm run secrets -- test --init",
    ]);
  });

  it("fails when a secret is in clear, and does not print it", async () => {
    const inClear = { "technicia:voyageApiKey": { secret: false, value: "pa-canary" } };
    const run = await runCli(["secrets", "test"], { "config --json": configuration(NEEDED, inClear) });

    expect(run.code).toBe(1);
    expect(states(run.stdout)["voyageApiKey"]).toBe("in clear");
    expect(run.stdout).toContain(
      "voyageApiKey is in clear and counts as known; set a new value with pulumi config set --secret technicia:voyageApiKey --stack test",
    );
    expect(run.stdout + run.stderr).not.toContain("canary");
  });

  it("asks for every secret while the settings do not say what is used", async () => {
    const run = await runCli(["secrets", "test"], { "config --json": {} });

    const needed = Object.entries(states(run.stdout)).filter(([, state]) => state === "missing");
    expect(needed.map(([name]) => name).sort()).toEqual([...NEEDED, "postgresPassword"].sort());
  });

  it.each([
    [
      "error: no stack named 'test' found",
      "test: there is no stack of that name; pulumi stack ls lists yours, and pulumi stack init test would create it",
    ],
    [
      "error: PULUMI_ACCESS_TOKEN must be set for login during non-interactive CLI sessions",
      "pulumi: not logged in to where the state is kept; run pulumi login (the README shows the choices)",
    ],
    [
      "error: no Pulumi.yaml project file found (searching upwards from /home).",
      "pulumi: this is not the project's folder; change to the folder of Pulumi.yaml",
    ],
    ["error: disk full", "pulumi config failed: error: disk full"],
  ])("explains the CLI's error %j", async (stderr, told) => {
    const run = await runCli(["secrets", "test"], { "config --json": { stderr } });

    expect(run).toMatchObject({ code: 1, stdout: "", stderr: `${told}\n` });
  });

  it("fails when there is no Pulumi CLI", async () => {
    const run = await runCli(["secrets", "test"]);

    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(/^pulumi: the Pulumi CLI is not on PATH; /);
  });
});

describe("npm run secrets -- <stack> --init", () => {
  const answers = { "config --json": configuration([]), "config set": "", "stack export": empty };

  it("generates strong secrets of ours, and passes them on standard input only", async () => {
    const { calls } = await runCli(["secrets", "test", "--init"], answers);

    const set = calls.filter(({ args }) => args[1] === "set");
    expect(set.map(({ args }) => args)).toEqual(
      OURS.map((name) => [
        "config",
        "set",
        "--secret",
        `technicia:${name}`,
        "--stack",
        "test",
        "--non-interactive",
      ]),
    );
    for (const [index, name] of OURS.entries()) expect(weaknessOf(name, set[index]!.input)).toBeUndefined();
    const everyArgument = calls.flatMap(({ args }) => args).join("\n");
    for (const { input } of set) expect(everyArgument).not.toContain(input);
  });

  it("prints no generated secret", async () => {
    const { calls, stdout, stderr } = await runCli(["secrets", "test", "--init"], answers);

    const made = calls.flatMap(({ input }) => (input === "" ? [] : [input]));
    expect(made).toHaveLength(OURS.length);
    for (const value of made) expect(stdout + stderr).not.toContain(value);
    expect(stdout.split("\n")[0]).toBe(`generated ${OURS.join(", ")}`);
  });

  it("still fails while a person's secrets are missing", async () => {
    const run = await runCli(["secrets", "test", "--init"], answers);

    expect(run.code).toBe(1);
    expect(states(run.stdout)).toMatchObject({ n8nJwtSecret: "configured", voyageApiKey: "missing" });
  });

  it("keeps secrets that are set, encrypted or not", async () => {
    const inClear = { "technicia:qdrantApiKey": { secret: false, value: "in clear" } };
    const there = configuration([...NEEDED, "backupPassword", "postgresPassword", "wireguardKey"], inClear);
    const { calls, stdout } = await runCli(["secrets", "test", "--init"], {
      ...answers,
      "config --json": there,
    });

    expect(calls.map(({ args }) => args.slice(0, 2))).toEqual([["config", "--json"]]);
    expect(stdout).toMatch(/^no generated secret was missing\n/);
  });

  it("fails when the deployed stack has lost n8n's encryption key, and generates nothing", async () => {
    const run = await runCli(["secrets", "test", "--init"], { ...answers, "stack export": deployed });

    expect(run.code).toBe(1);
    expect(run.stderr).toBe(
      "technicia:n8nEncryptionKey: stack test was deployed with a value that is now missing, and another one would lose data; " +
        "set the old value with pulumi config set --secret technicia:n8nEncryptionKey --stack test\n",
    );
    expect(run.calls.filter(({ args }) => args[1] === "set")).toEqual([]);
  });

  it("generates another missing secret of a deployed stack", async () => {
    const there = configuration(NEEDED.filter((name) => name !== "n8nJwtSecret"));
    const deployedAnswers = { ...answers, "config --json": there, "stack export": deployed };
    const { calls } = await runCli(["secrets", "test", "--init"], deployedAnswers);

    expect(calls.filter(({ args }) => args[1] === "set").map(({ args }) => args[3])).toEqual([
      "technicia:n8nJwtSecret",
      "technicia:backupPassword",
      "technicia:postgresPassword",
      "technicia:wireguardKey",
    ]);
  });

  it("fails when the passphrase is missing", async () => {
    const stderr = "error: passphrase must be set with PULUMI_CONFIG_PASSPHRASE";
    const run = await runCli(["secrets", "test", "--init"], { ...answers, "config set": { stderr } });

    expect(run.code).toBe(1);
    expect(run.stderr).toBe(
      "PULUMI_CONFIG_PASSPHRASE: not the passphrase of stack test; export the right one, then run this again\n",
    );
  });
});
