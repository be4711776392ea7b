import * as pulumi from "@pulumi/pulumi";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { WEBHOOK_SECRETS } from "../../common/alert-webhooks.ts";
import { secretNames, type SecretName } from "../../secrets/catalog.ts";
import { resolveSecrets, SecretsError } from "../../secrets/resolve.ts";
import { strongSecrets, environmentWith } from "../support/fixtures.ts";

type Values = Partial<Record<SecretName, string>>;

/** Configures the running stack; all values are encrypted but the named ones. */
function configure(values: Values, inClear: readonly SecretName[] = []): void {
  const keys = Object.fromEntries(
    Object.entries(values).map(([name, value]) => [`technicia:${name}`, value]),
  );
  const encrypted = Object.keys(keys).filter((key) => !inClear.some((name) => key === `technicia:${name}`));
  pulumi.runtime.setAllConfig(keys, encrypted);
}

/** Every secret that the valid environment needs. */
function needed(): Values {
  const without: readonly SecretName[] = [
    "ovhClientId",
    "ovhClientSecret",
    "anthropicApiKey",
    "backupPassword",
    "backupWriterKey",
    "backupReaderKey",
    "postgresPassword",
    "registryPassword",
    "wireguardKey",
    ...(["smtpPassword", "slackUrl", ...WEBHOOK_SECRETS, "pingUrl", "neighbourToken"] as const),
  ];
  return Object.fromEntries(
    Object.entries(strongSecrets()).filter(([name]) => !without.includes(name as SecretName)),
  );
}

function problems(): string[] {
  try {
    resolveSecrets(environmentWith());
  } catch (error) {
    if (!(error instanceof SecretsError)) throw error;
    const [heading, ...lines] = error.message.split("\n  ");
    expect(heading).toBe('the secrets of stack "test" have problems:');
    return lines;
  }
  return [];
}

const command = (name: SecretName) => `pulumi config set --secret technicia:${name} --stack test`;

beforeEach(async () => {
  await pulumi.runtime.setMocks(
    { call: () => ({}), newResource: ({ name }) => ({ id: name, state: {} }) },
    "technicia",
    "test",
  );
});
afterEach(() => pulumi.runtime.setAllConfig({}));

describe("a rotation that is under way", () => {
  const next = `pa-${"next-of-voyage".repeat(3)}`;
  const rotation = (value: string) =>
    JSON.stringify({ step: "switch", isDone: false, values: { voyageApiKey: value } });
  const plainOf = (output: pulumi.Output<string>) => new Promise((resolve) => output.apply(resolve));
  const configureBoth = (value: string, isEncrypted = true) => {
    const keys = Object.entries(needed()).map(([name, text]) => [`technicia:${name}`, text] as const);
    const all = Object.fromEntries([...keys, ["technicia:rotation", rotation(value)]]);
    const encrypted = Object.keys(all).filter((key) => isEncrypted || key !== "technicia:rotation");
    pulumi.runtime.setAllConfig(all, encrypted);
  };

  it("gives readers the next value as a secret, and who checks it both", async () => {
    configureBoth(next);
    const secrets = resolveSecrets(environmentWith());

    expect(await pulumi.isSecret(secrets.value("voyageApiKey"))).toBe(true);
    expect(await plainOf(secrets.value("voyageApiKey"))).toBe(next);
    const accepted = secrets.accepted("voyageApiKey");
    expect(await Promise.all(accepted.map(plainOf))).toEqual([strongSecrets().voyageApiKey, next]);
    expect(await Promise.all(accepted.map((one) => pulumi.isSecret(one)))).toEqual([true, true]);
  });

  it.each([
    ["is in clear", next, false, "expected an encrypted value, got one in clear"],
    ["has a weak value", "short", true, "voyageApiKey: expected at least 20 characters, got 5"],
  ] as const)("is refused when it %s", (_what, value, isEncrypted, problem) => {
    configureBoth(value, isEncrypted);

    expect(problems().join("\n")).toContain(problem);
    expect(problems().join("\n")).not.toContain(next);
  });
});

describe("resolveSecrets", () => {
  it("returns every value as a secret output", async () => {
    configure(needed());
    const secrets = resolveSecrets(environmentWith());

    const value = secrets.value("voyageApiKey");
    expect(await pulumi.isSecret(value)).toBe(true);
    const plain = await new Promise((resolve) => value.apply(resolve));
    expect(plain).toBe(strongSecrets().voyageApiKey);
  });

  it("knows which secrets are set", () => {
    configure(needed());
    const secrets = resolveSecrets(environmentWith());

    expect(secrets.has("qdrantApiKey")).toBe(true);
    expect(secrets.has("anthropicApiKey")).toBe(false);
    expect([...secrets.configured].sort()).toEqual(Object.keys(needed()).sort());
    expect(() => secrets.value("postgresPassword")).toThrow(
      "secrets.postgresPassword: expected a secret that this environment has",
    );
  });

  it("fails with every missing secret and the command for each", () => {
    configure(Object.fromEntries(secretNames.map((name) => [name, ""])));

    const found = problems();

    expect(found.map((line) => line.split(": ")[0])).toEqual(
      Object.keys(needed()).map((name) => `technicia:${name}`),
    );
    expect(found).toContain(
      `technicia:voyageApiKey: expected a value, got nothing; set it with ${command("voyageApiKey")} ` +
        "(VoyageAI API key, for the vectors of texts and images)",
    );
    expect(found).toContain(
      `technicia:n8nJwtSecret: expected a value, got nothing; set it with ${command("n8nJwtSecret")} ` +
        "(or let npm run secrets -- test --init make it)",
    );
    expect(found.find((line) => line.startsWith("technicia:googleCredentials"))).toContain("< key.json");
  });

  it("fails when a value is weak, missing and in clear at once, and shows none", () => {
    const values: Values = { ...needed(), voyageApiKey: "canary-short", qdrantApiKey: "a1b2".repeat(16) };
    delete values.cloudflareApiToken;
    configure(values, ["ovhConsumerKey"]);

    const found = problems();

    expect(found).toEqual([
      `technicia:cloudflareApiToken: expected a value, got nothing; set it with ${command("cloudflareApiToken")} ` +
        "(Cloudflare API token that may edit the DNS of the one zone)",
      `technicia:ovhConsumerKey: expected an encrypted value, got one in clear, which has to count as known; set another with ${command("ovhConsumerKey")}`,
      `technicia:voyageApiKey: expected at least 20 characters, got 12; set another with ${command("voyageApiKey")}`,
      `technicia:qdrantApiKey: expected a random value, got one of few characters repeated; set another with ${command("qdrantApiKey")}`,
    ]);
    for (const value of Object.values(values)) expect(found.join("\n")).not.toContain(value);
  });

  it("fails when a weak value is configured that this environment does not need", () => {
    configure({ ...needed(), postgresPassword: "password" });

    expect(problems()).toEqual([
      `technicia:postgresPassword: expected the real value, got a placeholder; set another with ${command("postgresPassword")}`,
    ]);
  });

  it("fails when two secrets have the same value", () => {
    configure({ ...needed(), n8nJwtSecret: strongSecrets().n8nEncryptionKey });

    expect(problems()).toEqual([
      `technicia:n8nJwtSecret: expected a value of its own, got that of technicia:n8nEncryptionKey; set another with ${command("n8nJwtSecret")}`,
    ]);
  });

  it("fails when both kinds of OVH credentials are set", () => {
    configure({
      ...needed(),
      ovhClientId: strongSecrets().ovhClientId,
      ovhClientSecret: strongSecrets().ovhClientSecret,
    });

    expect(problems()).toEqual([
      "technicia:ovhClientId: expected one way to reach OVHcloud, got two; " +
        "remove one, for example with pulumi config rm technicia:ovhApplicationKey --stack test",
    ]);
  });
});
