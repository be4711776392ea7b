import { describe, expect, it } from "vitest";

import { NOTHING_EXTRA } from "../../../common/nothing-extra.ts";
import { readDifferences } from "../../../ops/drift/differences.ts";
import type { StepMetadata } from "../../../ops/engine/events.ts";
import { recordedSteps } from "./world.ts";

async function differencesOf(recording: string): Promise<string[]> {
  return readDifferences(await recordedSteps(recording)).map(
    ({ layer, resource, what, expected, found }) =>
      `${layer} ${resource}: ${what}: ${expected.join("|")} → ${found.join("|")}`,
  );
}

describe("readDifferences", () => {
  it("finds none where only the engine's view of an image differs, by its digest", async () => {
    const steps = await recordedSteps("quiet");

    expect(steps.filter(({ op }) => op === "update").length).toBe(4);
    expect(readDifferences(steps)).toEqual([]);
  });

  it("finds none in the platforms that an image brings, and still another placement", () => {
    const placed = (placement: object) => ({
      inputs: { taskSpec: { placement } },
      outputs: { taskSpec: { placement } },
      custom: true,
    });
    const step = (now: object, ...paths: readonly string[]): StepMetadata =>
      ({
        ...{ op: "update", type: "docker:index/service:Service" },
        urn: "urn:pulumi:test::technicia::docker:index/service:Service::technicia-n8n-service",
        old: placed({ constraints: ["node.labels.technicia.n8n==1"] }),
        new: placed(now),
        detailedDiff: Object.fromEntries(paths.map((path) => [path, { kind: "update", inputDiff: false }])),
      }) as unknown as StepMetadata;
    const platforms = [{ architecture: "amd64", os: "linux" }];
    const [own, other] = [["node.labels.technicia.n8n==1"], ["node.labels.mallory==1"]];

    expect(
      readDifferences([step({ constraints: own, platforms }, "taskSpec.placement.platforms[0]")]),
    ).toEqual([]);
    expect(
      readDifferences([
        step(
          { constraints: other, platforms },
          "taskSpec.placement.platforms[0]",
          "taskSpec.placement.constraints[0]",
        ),
      ]).map(({ what }) => what),
    ).toEqual(["placement.constraints[0]"]);
  });

  it("lists every property that differs, and every line of an exclusive set", async () => {
    expect(await differencesOf("drifted")).toEqual([
      `host extra-access: account mallory with the shell /bin/bash: ${NOTHING_EXTRA} → account mallory with the shell /bin/bash`,
      `containers extra-containers: container rogue of tiny:1: ${NOTHING_EXTRA} → container rogue of tiny:1`,
      `host extra-files: cron entry /etc/cron.d/evil: ${NOTHING_EXTRA} → cron entry /etc/cron.d/evil`,
      `host extra-ports: listener tcp 0.0.0.0:4444 by python3.11: ${NOTHING_EXTRA} → listener tcp 0.0.0.0:4444 by python3.11`,
      `host extra-rules: rule tcp dport 4444 counter accept in ip filter INPUT: ${NOTHING_EXTRA} → rule tcp dport 4444 counter accept in ip filter INPUT`,
      'host host-docker-settings: content: {} → { "debug": true }',
      "host host-packages: packages: less → not installed",
      "host host-upgrades-timer: active: true → false",
      "host host-upgrades-timer: enabled: true → false",
      "containers technicia-n8n-service: env.EVIL: nothing → 1",
      "containers technicia-n8n-service: env.MODE: one → nothing",
      "containers technicia-n8n-service: mode.replicated.replicas: 1 → 0",
      "containers technicia-qdrant-key: container secret: there → not there",
      "containers technicia-qdrant-service: container service: there → not there",
    ]);
  });

  it("lists what is gone, data apart from what runs", async () => {
    expect(await differencesOf("gone")).toEqual([
      'host host-docker-settings: content: {} → { "debug": true }',
      "host host-upgrades-timer: active: true → false",
      "host host-upgrades-timer: enabled: true → false",
      "containers technicia-app: container network: there → not there",
      "data technicia-n8n-data: data volume: there → not there",
      "containers technicia-n8n-service: container service: there → not there",
      "containers technicia-qdrant-key: container secret: there → not there",
      "containers technicia-qdrant-service: container service: there → not there",
    ]);
  });

  it("shows no secret, whichever side has it", () => {
    const secret = { "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270" };
    const differences = readDifferences([file({ content: secret }, { content: "typed by hand" })]);

    expect(differences.map(({ expected, found }) => [expected, found])).toEqual([
      [["[secret]"], ["[secret]"]],
    ]);
  });

  it("shows of a long text the lines that differ, and counts what it leaves out", () => {
    const lines = Array.from({ length: 40 }, (_, index) => `line ${index}`);
    const [difference] = readDifferences([
      file(
        { content: lines.join("\n") },
        { content: ["first", ...lines.map((line) => `${line}!`)].join("\n") },
      ),
    ]);

    expect(difference?.expected).toHaveLength(13);
    expect(difference?.found.at(0)).toBe("first");
    expect(difference?.found.at(-1)).toBe("… and 29 more lines");
  });

  it("finds a difference that only the outputs have", () => {
    const ports = [{ publishedPort: 8003, targetPort: 8000 }];
    const step = file({ content: "a" }, { content: "a" });
    const [old, now] = [step.old!, step.new!];
    const published: StepMetadata = {
      ...step,
      old: { ...old, inputs: { spec: { ports: [] } }, outputs: { spec: { ports: [] } } },
      new: { ...now, inputs: { spec: { ports: [] } }, outputs: { spec: { ports } } },
      detailedDiff: { "spec.ports": { diffKind: "add", inputDiff: false } },
    };

    expect(readDifferences([published])).toMatchObject([
      { what: "spec.ports[0]", expected: ["nothing"], found: [JSON.stringify(ports[0])] },
    ]);
  });

  it("keeps a difference for which the engine names no property", () => {
    const same = file({ content: "a" }, { content: "a" });

    expect(readDifferences([{ ...same, detailedDiff: null }])).toMatchObject([
      { what: "file on the host", expected: ["as deployed"], found: ["otherwise"] },
    ]);
    expect(readDifferences([{ ...same, detailedDiff: null, diffs: ["other"] }])).toMatchObject([
      { what: "other", expected: ["as deployed"] },
    ]);
  });

  it("names the rule of the edge firewall that differs, not those that moved", () => {
    const ssh = { sequence: 1, action: "permit", protocol: "tcp", port: 22, source: "198.51.100.1/32" };
    const web = { sequence: 2, action: "permit", protocol: "tcp", port: 80 };
    const deny = { sequence: 19, action: "deny", protocol: "ipv4" };
    const dns = { sequence: 5, action: "permit", protocol: "udp", sourcePort: 53 };
    const step: StepMetadata = {
      ...file({ rules: [ssh, web, deny] }, { rules: [{ ...ssh, source: undefined }, dns, deny] }),
      urn: "urn:pulumi:test::technicia::technicia:infra:EdgeFirewall$technicia:ovh:EdgeFirewall::edge-firewall-rules",
      type: "technicia:ovh:EdgeFirewall",
      detailedDiff: { rules: { diffKind: "update", inputDiff: true } },
    };

    expect(readDifferences([step]).map(({ what, expected, found }) => [what, ...expected, ...found])).toEqual(
      [
        ["rule 1", "permit tcp port 22 from 198.51.100.1/32", "permit tcp port 22"],
        ["rule 2", "permit tcp port 80", "nothing"],
        ["rule 5", "nothing", "permit udp from port 53"],
      ],
    );
  });

  it("names a state of the host that no script sees any more", () => {
    const step: StepMetadata = { ...file({ content: "a" }, {}), op: "delete", new: null };

    expect(readDifferences([step])).toMatchObject([
      { kind: "gone", what: "file on the host", expected: ["there"], found: ["not there"] },
    ]);
  });
});

function file(before: Record<string, unknown>, after: Record<string, unknown>): StepMetadata {
  const side = (inputs: Record<string, unknown>) => ({
    custom: true,
    protect: false,
    retainOnDelete: false,
    inputs: { path: "/etc/a", ...inputs },
    outputs: { path: "/etc/a", ...inputs },
  });
  return {
    op: "update",
    urn: "urn:pulumi:test::technicia::technicia:infra:Host$technicia:host:File::host-a",
    type: "technicia:host:File",
    old: side(before),
    new: side(after),
    detailedDiff: { content: { diffKind: "update", inputDiff: true } },
  };
}
