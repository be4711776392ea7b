import { describe, expect, it } from "vitest";

import { readChanges } from "../../../ops/changes/changes.ts";
import { readEvents } from "../../../ops/engine/events.ts";
import { LAYER_TITLES } from "../../../stacks/resource-kinds.ts";
import { engineCounts, eventLog, recordings, stepEvent, type Recording } from "../preview/recorded.ts";

function changesOf(log: string) {
  return readChanges(readEvents(log));
}

function rowsOf(name: Recording): string[] {
  return changesOf(eventLog(name)).changes.map(({ layer, kind, label, name: resource }) =>
    [LAYER_TITLES[layer], kind, label, resource].join(" | "),
  );
}

describe("readChanges", () => {
  it.each(recordings.filter((name) => name !== "firewall"))(
    "counts the recorded run %s as the engine does",
    (name) => {
      const counts = changesOf(eventLog(name)).counts;

      const some = Object.fromEntries(Object.entries(counts).filter(([, count]) => count > 0));
      expect(some).toEqual(engineCounts(name));
    },
  );

  it("shows a version bump with the old and the new image", () => {
    const { changes } = changesOf(eventLog("bump"));

    const service = changes.find(({ name }) => name === "technicia-vector-store-service");
    expect(service).toMatchObject({ layer: "containers", label: "container service", kind: "update" });
    expect(service?.properties).toContainEqual({
      path: "taskSpec.containerSpec.image",
      before: {
        kind: "text",
        lines: [
          "technicia/vector-store:1.0.0@sha256:7336523dc29f2be3ea41c200c8110fd19d89d5fa0fbc6f9453f87470b2065abc",
        ],
      },
      after: { kind: "text", lines: ["technicia/vector-store:1.0.1"] },
      replaces: false,
    });
  });

  it("lists a renamed domain by layer, a replacement as one change", () => {
    expect(rowsOf("domain")).toEqual([
      "Cloud | update | edge firewall | edge-firewall-rules",
      "DNS | update | DNS record | dns-caa-letsencrypt.org",
      "DNS | create | DNS record | dns-other-aaaa",
      "DNS | create | DNS record | dns-other-a",
      "DNS | replace | reverse name | dns-reverse-v6",
      "DNS | replace | reverse name | dns-reverse-v4",
      "DNS | delete | DNS record | dns-test-aaaa",
      "DNS | delete | DNS record | dns-test-a",
      "Host | update | file on the host | host-firewall-table",
      "Containers | update | container service | technicia-qdrant-service",
      "Containers | update | container service | technicia-n8n-service",
      "Containers | update | container service | technicia-vector-store-service",
      "Containers | update | state of the host | technicia-gateway-placeholder",
      "Containers | update | file on the host | technicia-gateway-configuration",
      "Containers | update | container service | technicia-gateway-service",
      "Certificate | update | file on the host | certificate-settings",
      "Certificate | update | state of the host | certificate-served",
      "Checks | replace | check | public-probe",
    ]);
  });

  it("says which property replaces a resource", () => {
    const { changes } = changesOf(eventLog("domain"));

    const probe = changes.find(({ name }) => name === "public-probe");
    const replaces = probe?.properties.map(({ path, replaces }) => [path, replaces]);
    expect(replaces).toEqual([
      ["create", false],
      ["triggers[0]", true],
      ["triggers[1]", true],
      ["triggers[2]", true],
      ["triggers[3]", true],
      ["triggers[4]", true],
      ["triggers[5]", true],
    ]);
  });

  it("shows only the changed lines of a file", () => {
    const { changes } = changesOf(eventLog("domain"));

    expect(changes.find(({ name }) => name === "technicia-gateway-configuration")?.properties).toEqual([
      {
        path: "content",
        before: {
          kind: "text",
          lines: [
            "location / { return 301 https://test.technicia.example$request_uri; }",
            "server_name test.technicia.example;",
          ],
        },
        after: {
          kind: "text",
          lines: [
            "location / { return 301 https://other.technicia.example$request_uri; }",
            "server_name other.technicia.example;",
          ],
        },
        replaces: false,
      },
    ]);
  });

  it("marks what is known only after the deployment", () => {
    const { changes } = changesOf(eventLog("secret"));

    const service = changes.find(({ name }) => name === "technicia-vector-store-service");
    expect(service?.properties.find(({ path }) => path.endsWith("secretId"))?.after).toEqual({
      kind: "unknown",
    });
  });

  it("puts every resource of a whole environment into a layer", () => {
    const { changes } = changesOf(eventLog("destroy"));

    expect(changes.filter(({ layer }) => layer === "other")).toEqual([]);
    expect(changes.filter(({ layer }) => layer === "data").map(({ name }) => name)).toEqual([
      "qdrant-collection",
      "n8n-owner",
      "technicia-qdrant-snapshots",
      "technicia-n8n-data",
      "technicia-qdrant-storage",
    ]);
    expect(changes.map(({ label }) => label)).not.toContain("component Service");
  });

  it("compares the inputs where the provider gives no details", () => {
    const step = stepEvent({
      op: "update",
      chain: "cloudflare:index/dnsRecord:DnsRecord",
      name: "record",
      old: { inputs: { ttl: 300, name: "a", __defaults: [], tags: ["x", "y"] } },
      new: { inputs: { ttl: 60, name: "a", __defaults: ["ttl"], tags: ["x", "z", "w"] } },
    });

    const [record] = changesOf(step).changes;
    expect(record?.properties).toEqual([
      {
        path: "ttl",
        before: { kind: "text", lines: ["300"] },
        after: { kind: "text", lines: ["60"] },
        replaces: false,
      },
      {
        path: "tags[1]",
        before: { kind: "text", lines: ["y"] },
        after: { kind: "text", lines: ["z"] },
        replaces: false,
      },
      { path: "tags[2]", before: { kind: "none" }, after: { kind: "text", lines: ["w"] }, replaces: false },
    ]);
  });

  it("calls a resource forgotten, not deleted, when the engine only removes it from the state", () => {
    const step = stepEvent({
      op: "delete",
      chain: "docker:index/volume:Volume",
      name: "data",
      old: { retainOnDelete: true },
    });

    expect(changesOf(step).changes.map(({ kind }) => kind)).toEqual(["forget"]);
  });

  it("keeps errors and warnings once, and nothing that only serves debugging", () => {
    const diagnostic = (severity: string, message: string) =>
      JSON.stringify({ diagnosticEvent: { severity, message, urn: "urn:pulumi:t::p::a::vps" } });
    const log = [
      diagnostic("debug", "a=1"),
      diagnostic("warning", "it ends soon\n"),
      diagnostic("warning", "it ends soon\n"),
      diagnostic("info#err", "told by the program"),
    ].join("\n");

    expect(changesOf(log).messages).toEqual([
      { severity: "warning", resource: "vps", text: "it ends soon" },
      { severity: "info", resource: "vps", text: "told by the program" },
    ]);
  });
});

describe("readEvents", () => {
  it("skips the line that a killed engine did not finish", () => {
    const log = eventLog("bump");
    const lines = log.trim().split("\n").length;

    expect(readEvents(log.slice(0, -10))).toHaveLength(lines - 1);
  });

  it("fails when a line is not the engine's, without repeating it", () => {
    expect(() => readEvents("{}\nhunter2 is no JSON\n{}\n")).toThrow(
      /^event log line 2: not JSON of the engine; use the version of the Pulumi CLI that package.json names$/,
    );
  });

  it("fails when an event has another form", () => {
    const log = JSON.stringify({ resourcePreEvent: { metadata: { op: 1, urn: "urn", type: "t" } } });

    expect(() => readEvents(log)).toThrow(/event log line 1: .*resourcePreEvent\.metadata\.op/);
  });
});
