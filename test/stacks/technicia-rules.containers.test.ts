import { describe, expect, it } from "vitest";

import { WEBHOOK_SECRETS } from "../../common/alert-webhooks.ts";
import { goDuration } from "../../components/service.ts";
import { isExact } from "../../common/image-reference.ts";
import { tryRun } from "../../common/run.ts";
import { type Recording, type Registration, reveal, Sealed, valueOf } from "../support/engine.ts";
import { strongSecrets } from "../support/fixtures.ts";
import { deploy, everything, least, secretsOf, usual, type Variant } from "../support/technicia.ts";

const oauth: Variant = { without: ["ovhApplicationKey", "ovhApplicationSecret", "ovhConsumerKey"] };

const variants: [string, Variant][] = [
  ["the usual", usual],
  ["everything", everything],
  ["the least", least],
  ["an OAuth2 account at OVH", oauth],
];

/** The parts of a service's inputs that the rules are about. */
interface ServiceInputs {
  readonly name: string;
  readonly taskSpec: {
    readonly containerSpec: {
      readonly image: string;
      readonly healthcheck: { readonly tests: readonly string[] };
      readonly capDrops: readonly string[];
      readonly stopGracePeriod: string;
      readonly secrets: readonly { readonly fileName: string; readonly secretName: string }[];
    };
    readonly networksAdvanceds: readonly { readonly id: string; readonly aliases: readonly string[] }[];
    readonly resources: { readonly limits: { readonly memoryBytes: number; readonly nanoCpus: number } };
    readonly restartPolicy: unknown;
    readonly logDriver: unknown;
  };
  readonly endpointSpec: { readonly ports: readonly { readonly publishedPort: number }[] };
  readonly updateConfig: Readonly<Record<string, unknown>>;
  readonly rollbackConfig: Readonly<Record<string, unknown>>;
  readonly convergeConfig: unknown;
}

const services = ({ ofType }: Recording<unknown>): ServiceInputs[] =>
  ofType("docker:index/service:Service").map(({ inputs }) => inputs as unknown as ServiceInputs);

const byName = <T>(recording: Recording<unknown>, pick: (service: ServiceInputs) => T): Record<string, T> =>
  Object.fromEntries(
    services(recording).map((service) => [service.name.replace("technicia-", ""), pick(service)]),
  );

/** Every text among the values, with the keys that lead to it. */
function texts(value: unknown, path: readonly string[] = []): { path: readonly string[]; text: string }[] {
  if (value instanceof Sealed) return texts(value.value, path);
  if (typeof value === "string") return [{ path, text: value }];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => texts(inner, [...path, key]));
}

/** What would give a secret away: the value itself, as Docker takes it, and inside of JSON. */
function traces(value: string): string[] {
  const inJson = JSON.stringify(value).slice(1, -1);
  return [value, inJson, JSON.stringify(inJson).slice(1, -1), Buffer.from(value).toString("base64")];
}

/** The program makes the keys of a bucket that it makes itself. */
const OF_OWN_BUCKET = ["backupWriterKey", "backupReaderKey"];

/** Of the tunnel between servers. */
const OF_SEVERAL_SERVERS = ["wireguardKey"];

const OF_MONITORING = ["smtpPassword", "slackUrl", ...WEBHOOK_SECRETS, "pingUrl", "neighbourToken"];

describe.each(variants)("the secrets with %s", (_name, variant) => {
  it("are nowhere in clear: inputs, outputs of components, outputs of the program", async () => {
    const recording = await deploy(variant);
    const outputs = await valueOf({ ...recording.result });
    const visible = JSON.stringify([recording.registrations, recording.componentOutputs, outputs]);
    const leaked = secretsOf(variant).filter(([, value]) =>
      traces(value).some((trace) => visible.includes(trace)),
    );

    expect(leaked.map(([name]) => name)).toEqual([]);
  });

  it("all arrive somewhere, but for those of what is not set up", async () => {
    const { registrations } = await deploy(variant);
    const hidden = reveal(registrations);
    const idle = secretsOf(variant).filter(
      ([, value]) => !traces(value).some((trace) => hidden.includes(trace)),
    );

    expect(idle.map(([name]) => name)).toEqual(
      variant === everything
        ? [...OF_OWN_BUCKET, ...OF_SEVERAL_SERVERS]
        : [
            ...["anthropicApiKey", "registryPassword", "backupPassword"],
            ...[...OF_OWN_BUCKET, ...OF_MONITORING, "postgresPassword", ...OF_SEVERAL_SERVERS],
          ],
    );
  });

  it("are Swarm secrets without a fixed name, whose made-up one fits in Swarm's 64 characters", async () => {
    const { ofType } = await deploy(variant);
    const secrets = ofType("docker:index/secret:Secret");

    expect(secrets.length).toBeGreaterThan(2);
    for (const { name, inputs } of secrets) {
      expect(inputs, name).toEqual({ data: expect.any(Sealed) as Sealed });
      expect(`${name}-1a2b3c4`.length, name).toBeLessThanOrEqual(64);
    }
  });

  it("reach each service in files of its own and nobody else's", async () => {
    const files = byName(await deploy(everything), ({ taskSpec }) =>
      taskSpec.containerSpec.secrets.map(({ fileName }) => fileName),
    );

    expect(files).toEqual({
      alerts: OF_MONITORING.map((name) => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)),
      "document-processor": ["google_credentials"],
      frontend: [],
      gateway: [],
      logs: [],
      "log-rules": [],
      metrics: ["qdrant_api_key"],
      "metric-rules": [],
      n8n: ["n8n_encryption_key", "n8n_jwt_secret", "n8n_runners_token", "postgres_password"],
      "n8n-runners": ["n8n_runners_token"],
      postgres: ["postgres_password"],
      probes: [],
      qdrant: ["/qdrant/config/production.yaml"],
      "vector-store": ["voyage_api_key", "qdrant_api_key"],
      "vision-classifier": ["google_credentials"],
    });
  });
});

describe("the keys of the clouds", () => {
  const account = ({ resource }: Recording<unknown>) =>
    Object.fromEntries(
      ["cloud", "ovh"].map((name) => [
        name,
        Object.fromEntries(
          Object.entries(resource(name).inputs).filter(([, value]) => value instanceof Sealed),
        ),
      ]),
    );

  it("are the application's three, for both providers that speak to OVH", async () => {
    const { ovhApplicationKey, ovhApplicationSecret, ovhConsumerKey, cloudflareApiToken } = strongSecrets();
    const [key, secret, consumer] = [ovhApplicationKey, ovhApplicationSecret, ovhConsumerKey].map(
      (value) => new Sealed(value),
    );
    const recording = await deploy();

    expect(account(recording)).toEqual({
      cloud: { ovhApplicationKey: key, ovhApplicationSecret: secret, ovhConsumerKey: consumer },
      ovh: { applicationKey: key, applicationSecret: secret, consumerKey: consumer },
    });
    expect(recording.resource("cloudflare").inputs).toEqual({ apiToken: new Sealed(cloudflareApiToken) });
  });

  it("are the service account's two instead", async () => {
    const { ovhClientId, ovhClientSecret } = strongSecrets();
    const [id, secret] = [new Sealed(ovhClientId), new Sealed(ovhClientSecret)];

    expect(account(await deploy(oauth))).toEqual({
      cloud: { ovhClientId: id, ovhClientSecret: secret },
      ovh: { clientId: id, clientSecret: secret },
    });
  });
});

describe.each(variants)("every service with %s", (_name, variant) => {
  it("restarts for ever, in all four words that the daemon reads back", async () => {
    for (const { name, taskSpec } of services(await deploy(variant))) {
      expect(taskSpec.restartPolicy, name).toEqual({
        condition: "any",
        delay: "2s",
        maxAttempts: 0,
        window: "0s",
      });
    }
  });

  it("has a health check, limits, bounded logs and no capability that it was not given", async () => {
    for (const { name, taskSpec } of services(await deploy(variant))) {
      const { healthcheck, capDrops } = taskSpec.containerSpec;
      expect(healthcheck.tests[0], name).toMatch(/^CMD(-SHELL)?$/);
      expect(healthcheck.tests.length, name).toBeGreaterThan(1);
      expect(capDrops, name).toEqual(["ALL"]);
      expect(taskSpec.resources.limits.memoryBytes, name).toBeGreaterThan(0);
      expect(taskSpec.resources.limits.nanoCpus, name).toBeGreaterThan(0);
      // The journal bounds all lines together.
      expect(taskSpec.logDriver, name).toEqual(
        variant !== least
          ? { name: "journald", options: { tag: name.replace("technicia-", "") } }
          : { name: "json-file", options: { "max-size": "10m", "max-file": "5" } },
      );
    }
  });

  it("is rolled back when an update fails, which the deployment waits to see, unless it may have migrated data", async () => {
    for (const { name, updateConfig, rollbackConfig, convergeConfig } of services(await deploy(variant))) {
      const ownsData = /^technicia-(n8n|qdrant|postgres|metrics|logs|alerts)$/.test(name);
      expect(updateConfig, name).toMatchObject({
        ...{ failureAction: ownsData ? "pause" : "rollback", monitor: "10s", parallelism: 1 },
      });
      expect(rollbackConfig, name).toMatchObject({ failureAction: "pause", order: updateConfig["order"] });
      expect(convergeConfig, name).toEqual({
        delay: "10s",
        timeout: "5m",
      });
    }
  });

  it("names its networks by id, since by name it would be replaced at every preview", async () => {
    for (const { name, taskSpec } of services(await deploy(variant))) {
      expect(taskSpec.networksAdvanceds.length, name).toBeGreaterThan(0);
      for (const network of taskSpec.networksAdvanceds) {
        expect(Object.keys(network).sort(), name).toEqual(["aliases", "id"]);
        expect(network.id, name).toMatch(/^id-of-technicia-(edge|app|data|runners|monitoring|outside)$/);
      }
    }
  });
});

describe("the services together", () => {
  it("stop first where two would write the same data or hold the same port, and start first elsewhere", async () => {
    expect(byName(await deploy(everything), ({ updateConfig }) => updateConfig["order"])).toEqual({
      alerts: "stop-first",
      "document-processor": "start-first",
      frontend: "start-first",
      gateway: "stop-first",
      logs: "stop-first",
      "log-rules": "start-first",
      metrics: "stop-first",
      "metric-rules": "start-first",
      n8n: "stop-first",
      "n8n-runners": "start-first",
      postgres: "stop-first",
      probes: "start-first",
      qdrant: "stop-first",
      "vector-store": "start-first",
      "vision-classifier": "start-first",
    });
  });

  it("have the time that each needs to stop", async () => {
    const times = byName(await deploy(everything), ({ taskSpec }) => taskSpec.containerSpec.stopGracePeriod);
    const usualTime = Object.fromEntries(Object.keys(times).map((name) => [name, "30s"]));

    expect(times).toEqual({ ...usualTime, n8n: "40s", postgres: "1m", qdrant: "1m" });
  });

  it("meet only those they have to, under both spellings of their names", async () => {
    const both = (name: string) => [name, `technicia-${name}`];
    const met = byName(await deploy(everything), ({ taskSpec }) =>
      Object.fromEntries(
        taskSpec.networksAdvanceds.map(({ id, aliases }) => [id.replace("id-of-technicia-", ""), aliases]),
      ),
    );

    expect(met).toEqual({
      alerts: { monitoring: both("alerts"), outside: [] },
      "document-processor": { app: both("document-processor") },
      frontend: { edge: both("frontend") },
      gateway: { edge: [] },
      logs: { monitoring: both("logs") },
      "log-rules": { monitoring: both("log-rules") },
      metrics: { monitoring: both("metrics"), edge: [], data: [] },
      "metric-rules": { monitoring: both("metric-rules") },
      n8n: { edge: both("n8n"), app: both("n8n"), data: [], runners: ["n8n"] },
      "n8n-runners": { runners: [] },
      postgres: { data: ["postgres"] },
      probes: { monitoring: both("probes"), outside: [], edge: [], app: [], data: [] },
      qdrant: { data: both("qdrant") },
      "vector-store": { edge: both("vector-store"), app: both("vector-store"), data: both("vector-store") },
      "vision-classifier": { app: both("vision-classifier") },
    });
  });

  it("publish 80 and 443 of the gateway, and the tunnel's ports on the loopback, nothing else", async () => {
    const recording = await deploy(everything);
    const published = byName(recording, ({ endpointSpec }) =>
      endpointSpec.ports.map(({ publishedPort }) => publishedPort),
    );

    expect(Object.entries(published).filter(([, ports]) => ports.length > 0)).toEqual([
      ["gateway", [80, 443]],
    ]);
    const ports = [5678, 6333, 8428, 8880, 8881, 9093, 9115, 9428];
    expect(recording.ofType("docker:index/container:Container").map(({ inputs }) => inputs["ports"])).toEqual(
      [ports.map((port) => ({ internal: port, external: port, ip: "127.0.0.1" }))],
    );
  });
});

describe("what is kept", () => {
  const users = ["reader", "writer"].flatMap((user) => [user, `${user}-key`, `${user}-policy`]);
  const STORAGE = ["bucket", "lifecycle", ...users].map((name) => `backup-storage-${name}`);
  const guarded = ({ registrations }: Recording<unknown>, isGuarded: (one: Registration) => boolean) =>
    registrations
      .filter(isGuarded)
      .map(({ name }) => name)
      .sort();
  const volumes = ["documents-data", "n8n-data", "postgres-data", "qdrant-snapshots", "qdrant-storage"].map(
    (name) => `technicia-${name}`,
  );

  it("is every volume, the server and the bucket, when data are protected", async () => {
    const recording = await deploy(everything);

    // What was measured and logged goes with the monitoring.
    const measured = ["alerts-data", "logs-data", "metrics-data"].map((name) => `technicia-${name}`);
    const all = recording.ofType("docker:index/volume:Volume").map(({ name }) => name);
    expect(all).toEqual([...measured, ...volumes].sort());
    expect(guarded(recording, ({ protect }) => protect)).toEqual([
      "backup-storage-bucket",
      ...volumes,
      "vps-server",
    ]);
    expect(guarded(recording, ({ retainOnDelete }) => retainOnDelete)).toEqual([...STORAGE, ...volumes]);
  });

  it("is the backups' storage with its keys, when they are not", async () => {
    const recording = await deploy({
      ...everything,
      settings: { ...everything.settings, protectData: false },
    });

    expect(guarded(recording, ({ protect }) => protect)).toEqual([]);
    expect(guarded(recording, ({ retainOnDelete }) => retainOnDelete)).toEqual(STORAGE);
  });

  it("is nothing, without backups", async () => {
    const recording = await deploy(least);

    expect(guarded(recording, ({ protect, retainOnDelete }) => protect || retainOnDelete)).toEqual([]);
  });

  it("can be replaced by no label: volumes and networks have none", async () => {
    const { ofType } = await deploy(everything);

    for (const { name, inputs } of ofType("docker:index/volume:Volume")) expect(inputs).toEqual({ name });
    for (const { inputs } of ofType("docker:index/network:Network"))
      expect(inputs).not.toHaveProperty("labels");
  });
});

describe.each(variants)("every text with %s", (_name, variant) => {
  it("names images by exact version", async () => {
    const { registrations } = await deploy(variant);
    const images = registrations
      .filter(({ type }) => type.startsWith("docker:"))
      .flatMap(({ inputs }) => texts(inputs))
      .filter(({ path }) => path.at(-1) === "image");

    expect(images.length).toBeGreaterThan(4);
    expect(images.filter(({ text }) => !isExact(text))).toEqual([]);
    expect(JSON.stringify(registrations)).not.toContain(":latest");
  });

  it("writes durations as the plugin reads them back", async () => {
    const durations = services(await deploy(variant))
      .flatMap((service) => texts(service))
      .filter(({ path }) =>
        /^(interval|timeout|startPeriod|stopGracePeriod|delay|window|monitor)$/.test(path.at(-1) ?? ""),
      );
    const seconds = (text: string) => {
      const [, h = 0, m = 0, s = 0] = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(text) ?? [];
      return Number(h) * 3600 + Number(m) * 60 + Number(s);
    };

    expect(durations.length).toBeGreaterThan(30);
    expect(durations.filter(({ text }) => text !== goDuration(seconds(text)))).toEqual([]);
  });

  it("is bash that parses, wherever it is bash", async () => {
    const { ofType } = await deploy(variant);
    const scripts = [...ofType("technicia:host:State"), ...ofType("technicia:host:File")].flatMap(
      ({ name, inputs }) =>
        ["observe", "apply", "remove", "validate", "onChange"]
          .filter((role) => inputs[role] !== undefined)
          .map((role) => ({ script: `${name}.${role}`, text: String(inputs[role]) })),
    );
    const refused: string[] = [];
    for (const { script, text } of scripts) {
      const { code, stderr } = await tryRun(["bash", "-n"], { input: text });
      if (code !== 0 || stderr !== "") refused.push(`${script}: ${stderr}`);
    }

    expect(scripts.length).toBeGreaterThan(30);
    expect(refused).toEqual([]);
  });
});
