import { readFile } from "node:fs/promises";

import { describe, expect, it } from "vitest";
import { parse } from "yaml";

import { secretNames } from "../../secrets/catalog.ts";
import { renderProject, renderReference, settingRows } from "../../stacks/settings-reference.ts";
import { parseSettings, settingNames } from "../../stacks/settings.ts";
import { change, type Settings } from "../support/fixtures.ts";

const read = (file: string) => readFile(new URL(`../../${file}`, import.meta.url), "utf8");
const rows = settingNames.flatMap(settingRows);

/** Settings made of every example; of two alternatives, the one that the filter keeps. */
function settingsOfExamples(isWanted: (key: string) => boolean): Settings {
  const settings: Settings = {};
  for (const { key, example } of rows) {
    if (key.includes("[]") || !isWanted(key)) continue;
    key.split(".").reduce((map, name, index, names) => {
      if (index < names.length - 1) return (map[name] ??= {}) as Settings;
      map[name] = example;
      return map;
    }, settings);
  }
  return settings;
}

describe("Pulumi.yaml", () => {
  it("declares what the schema and the catalogue say; otherwise run npm run settings", async () => {
    const file = await read("Pulumi.yaml");

    expect(file).toBe(await renderProject(file));
  });

  it("gets back a declaration that is missing, and keeps what is above the declarations", async () => {
    const file = await read("Pulumi.yaml");
    const without = file.replace(/ {2}protectData:\n(?: {4}.*\n)+/, "");

    expect(without).not.toBe(file);
    expect(await renderProject(without)).toBe(file);
  });

  it("gives every key its type, default and secrecy, and the empty map to what requires nothing", async () => {
    const { config } = parse(await read("Pulumi.yaml")) as { config: Record<string, Settings> };
    const declared = Object.fromEntries(
      Object.entries(config).map(([name, { description: _description, ...rest }]) => [name, rest]),
    );
    const object = { type: "object" };
    const optional = { type: "object", default: {} };

    expect(declared).toEqual({
      domain: { type: "string", default: "" },
      adminEmail: { type: "string", default: "" },
      locale: object,
      server: object,
      servers: { type: "array", items: object, default: [] },
      wireguard: optional,
      ssh: object,
      ovh: object,
      dns: object,
      host: object,
      acme: object,
      images: object,
      services: object,
      uploadMaxMib: { type: "integer" },
      timeouts: object,
      protectData: { type: "boolean" },
      documents: optional,
      backup: optional,
      monitoring: object,
      workflows: optional,
      policy: optional,
      operations: object,
      ...Object.fromEntries(secretNames.map((name) => [name, { secret: true, default: "" }])),
    });
  });
});

describe("docs/settings.md", () => {
  it("says what the schema and the catalogue say; otherwise run npm run settings", async () => {
    expect(await read("docs/settings.md")).toBe(await renderReference());
  });

  it("has one line for every setting and every secret", async () => {
    const keys = [...(await read("docs/settings.md")).matchAll(/^\| `([^`]+)`/gm)].map(([, key]) => key);

    expect(keys.toSorted()).toEqual([...rows.map(({ key }) => key), ...secretNames].sort());
  });
});

describe("settingRows", () => {
  it.each(rows)("gives $key a type, a meaning, an example and what it affects", (row) => {
    expect(row.type).not.toBe("");
    expect(row.description).toMatch(/^.+\.$/);
    expect(row.example).toBeDefined();
    expect(row.affects).not.toBe("");
  });

  it("lets every setting of the monitoring be left out but those of an entry", () => {
    const required = rows.filter(
      ({ key, default: value }) => key.startsWith("monitoring.") && value === "required",
    );

    expect(required.map(({ key }) => key)).toEqual([
      "monitoring.mail.host",
      "monitoring.mail.from",
      "monitoring.receivers.webhooks[].name",
      "monitoring.receivers.webhooks[].secret",
      "monitoring.escalation[].level",
      "monitoring.escalation[].afterMinutes",
      "monitoring.neighbours[].stack",
      "monitoring.neighbours[].url",
      "monitoring.observation.once[].path",
    ]);
  });

  it("says which settings may be left out", () => {
    const monitoring =
      /^monitoring\.|^(images|services)\.(metrics|logs|rules|metricRules|logRules|alerts|probes)\b/;
    const left = rows.filter(({ key, default: value }) => value !== "required" && !monitoring.test(key));

    expect(Object.fromEntries(left.map(({ key, default: value }) => [key, value]))).toEqual({
      "backup.project": "none",
      "backup.region": "none",
      "backup.bucket": "none",
      "backup.retentionDays": "30",
      "backup.hours": "1",
      "backup.qdrantHours": "24",
      "backup.maxAgeHours": "3",
      "backup.drillDays": "7",
      "backup.memoryMib": "256",
      "backup.drillMemoryMib": "768",
      "images.restic": '"restic/restic:0.19.1"',
      "services.qdrant.otherCollections": "[]",
      "services.gateway.hold.drainSeconds": "20",
      "services.gateway.hold.enabled": "false",
      "services.gateway.hold.exclude": "[]",
      "services.gateway.hold.maxSeconds": "60",
      "services.gateway.hold.probes": "[]",
      "server.diskGib": "40",
      "server.files": "[]",
      "server.serviceName": "none",
      servers: "none",
      "servers[].serviceName": "none",
      "servers[].order": "none",
      "servers[].order.again": "none",
      "servers[].labels": "[]",
      "servers[].vcores": "none",
      "servers[].memoryGib": "none",
      "servers[].diskGib": "none",
      "servers[].datacentre": "none",
      "servers[].image": "none",
      "wireguard.cidr": JSON.stringify("10.86.0.0/16"),
      "wireguard.port": "51820",
      "server.order": "none",
      "server.order.again": "none",
      "documents.enabled": "false",
      "documents.failedDays": "7",
      "workflows.enabled": "false",
      "workflows.folder": '"workflows"',
      "workflows.source": "none",
      "workflows.keyDays": "30",
      "workflows.webhookSeconds": "60",
      "policy.exceptions": "[]",
      "ssh.nextPort": "none",
      "ssh.otherPublicKey": "none",
      "server.loginUser": "none",
      "server.ipv6": "none",
      "ssh.adminCidrs.v6": "[]",
      "ssh.addressService": '"https://1.1.1.1/cdn-cgi/trace"',
      "ssh.hostKey": "none",
      "ssh.admins": "[]",
      "dns.zoneId": "none",
      "dns.cloudflareBaseUrl": "none",
      "acme.trusted": "none",
      "services.qdrant.apiKey": "true",
      "images.registry": "none",
      "images.registryUser": "none",
      "images.sources.vectorStore": "none",
      "images.sources.documentProcessor": "none",
      "images.sources.visionClassifier": "none",
      "images.sources.frontend": "none",
      "services.n8n.startEmpty": "false",
      "services.gateway.editorCidrs": "[]",
      "services.gateway.openPaths": "[]",
      "services.gateway.visitors.requestsPerSecond": "10",
      "services.gateway.visitors.burst": "50",
      "services.gateway.visitors.connections": "100",
      "services.gateway.visitors.silentSeconds": "20",
      "services.documentProcessor.project": "none",
      "services.documentProcessor.location": "none",
      "services.documentProcessor.processorId": "none",
      "operations.window": "none",
      "operations.holidays.country": "none",
      "operations.holidays.extra": "[]",
      "operations.maxMonthlyEur": "none",
      "operations.modelPrices": "[]",
      "operations.freezes": "[]",
      "operations.supplyChain.digests": "none",
      "operations.supplyChain.scan": "none",
      "operations.supplyChain.exceptions": "[]",
    });
  });

  it("gives examples that together make an environment with a server to adopt", () => {
    const settings = settingsOfExamples(
      (key) => !/^servers|^server\.order|^acme\.trusted|^backup\.(project|region)/.test(key),
    );

    expect(parseSettings("test", settings).server.source.kind).toBe("adopt");
  });

  it("gives examples that together make an environment with a list of servers", () => {
    const settings = settingsOfExamples(
      (key) => !/^server\.(serviceName|order)|^acme\.trusted|^backup\.bucket/.test(key),
    );

    expect(parseSettings("test", settings).servers.map(({ name }) => name)).toEqual(["gra-1"]);
  });

  it("gives examples that together make an environment with a server to order and another authority", () => {
    const settings = settingsOfExamples((key) => !/^servers|^server\.serviceName|^backup\.bucket/.test(key));
    change(settings, "acme.directory", "https://acme.example/directory");

    expect(parseSettings("test", settings)).toMatchObject({
      server: { source: { kind: "order" } },
      acme: { trusted: false },
    });
  });
});
