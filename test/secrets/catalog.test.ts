import { describe, expect, it } from "vitest";

import { WEBHOOK_SECRETS } from "../../common/alert-webhooks.ts";
import { optionalServices, type OptionalService } from "../../common/services.ts";
import { entryOf, keysByService, requiredSecrets, secretNames } from "../../secrets/catalog.ts";
import { secretServices, type SecretsContext } from "../../secrets/entry.ts";
import { weaknessOf } from "../../secrets/weakness.ts";

/** An environment that switches everything on, but for one thing that a test changes. */
function context(change: (services: Writable) => void = () => undefined): SecretsContext {
  const everything: Writable = {
    dns: { provider: "cloudflare" },
    services: {
      qdrant: { apiKey: true },
      n8n: { database: "postgres" },
      ...(Object.fromEntries(optionalServices.map((name) => [name, { enabled: true }])) as Switches),
    },
    builds: { registryUser: "technicia" },
    backup: { project: "0123456789abcdef0123456789abcdef" },
    monitoring: {
      enabled: true,
      mail: { user: "alertes" },
      receivers: { slack: true, webhooks: WEBHOOK_SECRETS.map((secret) => ({ secret })) },
      neighbours: ["prod"],
      ping: true,
    },
    servers: ["gra-1", "gra-2", "gra-3"],
  };
  change(everything);
  return everything;
}

interface Writable {
  dns: { provider: "cloudflare" | "ovh" };
  builds: { registryUser: string };
  backup: { project: string; bucket?: object };
  monitoring: {
    enabled: boolean;
    mail?: { user: string };
    receivers: { slack: boolean; webhooks: { secret: string }[] };
    neighbours: string[];
    ping: boolean;
  };
  servers: string[];
  services: {
    qdrant: { apiKey: boolean };
    n8n: { database: "sqlite" | "postgres" };
  } & Switches;
}

type Switches = Record<OptionalService, { enabled: boolean }>;

const nothing = new Set<string>();
const ours = secretNames.filter((name) => entryOf(name).givenBy === "us");

describe("catalog", () => {
  it("generates exactly the secrets that no person gives", () => {
    expect(secretNames.filter((name) => entryOf(name).generate)).toEqual(ours);
    expect(ours).toEqual([
      "n8nEncryptionKey",
      "n8nOwnerPassword",
      "n8nJwtSecret",
      "n8nRunnersToken",
      "qdrantApiKey",
      "backupPassword",
      "postgresPassword",
      "wireguardKey",
    ]);
  });

  it("says what is lost only for what stored data is encrypted with", () => {
    const irreplaceable = secretNames.filter((name) => entryOf(name).irreplaceable);

    expect(irreplaceable).toEqual(["n8nEncryptionKey", "backupPassword"]);
  });

  it("has a key for every service", () => {
    const served = new Set(secretNames.flatMap((name) => entryOf(name).services));

    expect([...secretServices].filter((service) => !served.has(service))).toEqual([]);
  });
});

describe("generate", () => {
  it.each(ours)("generates a different %s each time, which passes its own rule", (name) => {
    const made = Array.from({ length: 200 }, () => entryOf(name).generate!());

    expect(new Set(made).size).toBe(made.length);
    expect(made.flatMap((value) => weaknessOf(name, value) ?? [])).toEqual([]);
  });

  it("draws passwords from 144 bits and keys from 256", () => {
    expect(entryOf("n8nOwnerPassword").generate!()).toMatch(/^[\w-]{24}$/);
    for (const name of ours.filter((name) => name !== "n8nOwnerPassword")) {
      expect(entryOf(name).generate!()).toMatch(/^[0-9a-f]{64}$/);
    }
  });
});

describe("requiredSecrets", () => {
  it("requires OVH's application keys when no service account is given", () => {
    expect(requiredSecrets(context(), nothing)).toEqual([
      "ovhApplicationKey",
      "ovhApplicationSecret",
      "ovhConsumerKey",
      "cloudflareApiToken",
      "voyageApiKey",
      "googleCredentials",
      "registryPassword",
      ...ours.filter((name) => !["postgresPassword", "wireguardKey"].includes(name)),
      ...["smtpPassword", "slackUrl", ...WEBHOOK_SECRETS, "pingUrl", "neighbourToken"],
      "postgresPassword",
      "wireguardKey",
    ]);
  });

  it("requires the other half of a service account when one half is given", () => {
    for (const half of ["ovhClientId", "ovhClientSecret"]) {
      const required = requiredSecrets(context(), new Set([half])).filter((name) => name.startsWith("ovh"));
      expect(required).toEqual(["ovhClientId", "ovhClientSecret"]);
    }
  });

  it("requires the key of the tunnel of several servers alone", () => {
    const requiredOf = (servers: readonly string[]) =>
      requiredSecrets({ ...context(), servers }, nothing).includes("wireguardKey");

    expect([[], ["a"], ["a", "b"]].map(requiredOf)).toEqual([false, false, true]);
  });

  it("requires the two keys of a bucket that the operator has, and the password, when no project is named", () => {
    const required = requiredSecrets(
      context(({ backup }) => Object.assign(backup, { project: "", bucket: {} })),
      nothing,
    );

    expect(required.filter((name) => name.startsWith("backup"))).toEqual([
      "backupPassword",
      "backupWriterKey",
      "backupReaderKey",
    ]);
  });

  it.each<[string, (everything: Writable) => void]>([
    ["cloudflareApiToken", ({ dns }) => (dns.provider = "ovh")],
    ["registryPassword", ({ builds }) => (builds.registryUser = "")],
    ["qdrantApiKey", ({ services }) => (services.qdrant.apiKey = false)],
    ["postgresPassword", ({ services }) => (services.n8n.database = "sqlite")],
    ["smtpPassword", ({ monitoring }) => delete monitoring.mail],
    ["slackUrl", ({ monitoring }) => (monitoring.receivers.slack = false)],
    ...WEBHOOK_SECRETS.map((name): [string, (everything: Writable) => void] => [
      name,
      ({ monitoring: { receivers } }) =>
        (receivers.webhooks = receivers.webhooks.filter(({ secret }) => secret !== name)),
    ]),
    ["pingUrl", ({ monitoring }) => (monitoring.ping = false)],
    ["neighbourToken", ({ monitoring }) => (monitoring.neighbours = [])],
    ["backupPassword", ({ backup }) => (backup.project = "")],
    ["n8nRunnersToken", ({ services }) => (services.n8nRunners.enabled = false)],
    [
      "googleCredentials",
      ({ services }) => (services.documentProcessor.enabled = services.visionClassifier.enabled = false),
    ],
  ])("does not require %s when nothing reads it", (name, change) => {
    const before = requiredSecrets(context(), nothing);

    expect(requiredSecrets(context(change), nothing)).toEqual(before.filter((other) => other !== name));
    expect(before).toContain(name);
  });
});

describe("keysByService", () => {
  it("says per service what is required, configured and missing", () => {
    const some = new Set(["voyageApiKey", "ovhApplicationKey", "anthropicApiKey"]);
    const keys = Object.fromEntries(keysByService(context(), some).map((entry) => [entry.service, entry]));

    expect(keys["VoyageAI"]).toMatchObject({ required: true, configured: true, missing: [] });
    expect(keys["OVH"]).toMatchObject({
      required: true,
      configured: false,
      missing: ["ovhApplicationSecret", "ovhConsumerKey", "wireguardKey"],
    });
    expect(keys["Anthropic"]).toMatchObject({ required: false, configured: true, missing: [] });
    expect(keys["Cloudflare"]).toMatchObject({ required: true, configured: false });
  });

  it("lists the two uses of Google's key separately", () => {
    const documents = context(({ services }) => (services.visionClassifier.enabled = false));
    const keys = keysByService(documents, nothing).filter(({ service }) => service.startsWith("Google"));

    expect(keys.map(({ service, required }) => [service, required])).toEqual([
      ["Google Document AI", true],
      ["Google Vision AI", false],
    ]);
  });
});
