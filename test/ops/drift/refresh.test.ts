import { existsSync } from "node:fs";
import { dirname } from "node:path";

import { describe, expect, it } from "vitest";

import { readDifferences } from "../../../ops/drift/differences.ts";
import { causesAmong, readUnchecked } from "../../../ops/drift/causes.ts";
import { refresh } from "../../../ops/drift/refresh.ts";
import { readDeployedState } from "../../../ops/drift/state.ts";
import { readEvents } from "../../../ops/engine/events.ts";
import { fakeEngine, recorded, stateOf, stateOfRecording } from "./world.ts";

const URN = "urn:pulumi:test::technicia::technicia:host:File::";
const resources = ["a", "b", "c", "d"].map((name) => ({
  urn: `${URN}${name}`,
  type: "technicia:host:File",
  id: "",
  custom: true,
  delete: false,
  inputs: {},
  outputs: {},
}));

const came = (name: string) =>
  JSON.stringify({
    resOutputsEvent: { metadata: { op: "same", urn: `${URN}${name}`, type: "technicia:host:File" } },
  });
const failed = (name: string, message: string) =>
  JSON.stringify({ diagnosticEvent: { urn: `${URN}${name}`, severity: "error", message } });
const log = (...lines: string[]) => ({ log: `${lines.join("\n")}\n` });

describe("refresh", () => {
  it("asks the engine for a preview of a refresh, excludes unreachable resources, and deletes the log", async () => {
    const engine = fakeEngine({ runs: [log(came("a"), came("b"), came("c"))], state: {} });
    const found = await refresh({ stack: "test", resources, without: resources.slice(3) }, engine.pulumi);

    expect([...found.unreadable]).toEqual([]);
    expect(engine.calls).toHaveLength(1);
    expect(engine.calls[0]).toEqual(
      expect.arrayContaining(["refresh", "--preview-only", "--exclude", `${URN}d`]),
    );
    const file = engine.calls[0]?.[engine.calls[0].indexOf("--event-log") + 1];
    expect(file).toMatch(/events\.jsonl$/);
    expect(existsSync(dirname(file ?? ""))).toBe(false);
  });

  it("asks again for resources that a failing provider hid, and names each failing resource", async () => {
    const engine = fakeEngine({
      runs: [
        { ...log(came("a"), failed("b", "Preview failed: no answer\n")), failure: "preview failed" },
        { ...log(came("c"), failed("d", "Preview failed: no answer\n")), failure: "preview failed" },
      ],
      state: {},
    });
    const found = await refresh({ stack: "test", resources, without: [] }, engine.pulumi);

    expect(engine.calls[1]).toEqual(expect.arrayContaining(["--target", `${URN}c`, "--target", `${URN}d`]));
    expect(engine.calls[1]).not.toContain(`${URN}a`);
    expect(found.steps.map(({ urn }) => urn)).toEqual([`${URN}a`, `${URN}c`]);
    expect([...found.unreadable]).toEqual([
      [`${URN}b`, "no answer"],
      [`${URN}d`, "no answer"],
    ]);
  });

  it("gives up when a pass reads nothing more, with the reason for every resource left", async () => {
    const engine = fakeEngine({
      runs: [{ log: "", failure: "error: could not decrypt the state" }],
      state: {},
    });
    const found = await refresh({ stack: "test", resources, without: [] }, engine.pulumi);

    expect(engine.calls).toHaveLength(1);
    expect([...found.unreadable.keys()]).toEqual(resources.map(({ urn }) => urn));
    expect(new Set(found.unreadable.values())).toEqual(
      new Set(["pulumi refresh failed: error: could not decrypt the state"]),
    );
  });

  it("does not take a resource for read that a successful engine never mentioned", async () => {
    const engine = fakeEngine({ runs: [log(came("a"), came("b"), came("c"))], state: {} });
    const found = await refresh({ stack: "test", resources, without: [] }, engine.pulumi);

    expect([...found.unreadable]).toEqual([[`${URN}d`, "the engine did not say how it is"]]);
  });

  it("reports the host while dockerd is down", async () => {
    const state = await stateOfRecording("dockerd-down");
    const engine = fakeEngine({
      runs: [{ log: await recorded("dockerd-down"), failure: "preview failed" }],
      state,
    });
    const { resources: seen } = await readDeployedState("test", engine.pulumi);
    const urns = readEvents(await recorded("dockerd-down")).map(
      ({ diagnosticEvent }) => diagnosticEvent?.urn ?? "",
    );
    const unseen = [...new Set(urns)].filter((urn) => urn.includes("docker:index"));
    const all = [
      ...seen,
      ...unseen.map((urn) => ({ ...resources[0]!, urn, type: "docker:index/service:Service" })),
    ];
    const found = await refresh({ stack: "test", resources: all, without: [] }, engine.pulumi);

    expect(unseen).toHaveLength(8);
    expect(readDifferences(found.steps).map(({ resource, what }) => `${resource}: ${what}`)).toEqual([
      "extra-containers: docker does not answer",
      "extra-files: cron entry /etc/cron.d/evil",
      "host-docker: active",
      "host-docker: enabled",
    ]);
    const gaps = readUnchecked(found.unreadable, causesAmong(readDifferences(found.steps), all));
    expect(gaps).toHaveLength(1);
    expect(gaps[0]?.what.split(", ")).toHaveLength(8);
    expect(gaps[0]).toMatchObject({ because: "extra-containers" });
    expect(gaps[0]?.reason).toContain("Is the docker daemon running?");
  });
});

describe("readDeployedState", () => {
  it("fails when nothing was ever deployed", async () => {
    const { pulumi } = fakeEngine({ runs: [], state: { deployment: { resources: [] } } });

    await expect(readDeployedState("test", pulumi)).rejects.toThrow(
      "test: nothing is deployed; deploy it with npm run deploy -- test",
    );
  });

  it("reads the way to the server from the program's own connection", async () => {
    const { pulumi } = fakeEngine({ runs: [], state: stateOf(resources) });

    expect((await readDeployedState("test", pulumi)).ssh).toEqual({
      address: "203.0.113.10",
      port: 22,
      user: "debian",
      privateKeyFile: "/project/key",
      hostKey: "ssh-ed25519 AAAA",
    });
  });

  it("reports an interrupted run with the names of what it left", async () => {
    const more = {
      pending_operations: [
        { type: "creating", resource: { urn: `${URN}half`, type: "technicia:host:File" } },
      ],
    };
    const { pulumi } = fakeEngine({ runs: [], state: stateOf(resources, more) });

    expect((await readDeployedState("test", pulumi)).incomplete).toContain(
      "half; fix that with npm run resume -- test",
    );
  });

  it("reports a deployment that never finished", async () => {
    const state = stateOf(resources);
    state.deployment.resources[0] = { ...state.deployment.resources[0]!, outputs: {} } as never;
    state.deployment.resources.pop();
    const { pulumi } = fakeEngine({ runs: [], state });

    expect((await readDeployedState("test", pulumi)).incomplete).toContain("the deployment never finished");
  });
});

describe("readUnchecked", () => {
  const TUNNEL = "urn:pulumi:test::technicia::docker:index/container:Container::technicia-tunnel";
  const SETTINGS = `${URN}host-docker-settings`;
  const graph = [
    { ...resources[0]!, urn: TUNNEL, type: "docker:index/container:Container" },
    { ...resources[0]!, urn: SETTINGS },
    { ...resources[0]!, urn: `${URN}collection`, dependencies: [TUNNEL, SETTINGS] },
    { ...resources[0]!, urn: `${URN}owner`, dependencies: [`${URN}collection`] },
    { ...resources[0]!, urn: `${URN}other` },
  ];
  const stopped = { layer: "containers", resource: "technicia-tunnel", kind: "changed" } as const;
  const rest = { what: "mustRun", expected: ["true"], found: ["false"], inputs: {} };
  const unreadable = new Map(["collection", "owner", "other"].map((name) => [`${URN}${name}`, "no answer"]));

  it("names the stopped resource through which others are read, and nothing else", () => {
    expect(readUnchecked(unreadable, causesAmong([{ ...stopped, ...rest, urn: TUNNEL }], graph))).toEqual([
      { what: "collection, owner", reason: "no answer", because: "technicia-tunnel" },
      { what: "other", reason: "no answer" },
    ]);
  });

  it("says how a key of the storage comes back that somebody deleted, and nothing of another failure", () => {
    const urn =
      "urn:pulumi:test::technicia::ovh:CloudProject/s3Credential:S3Credential::backup-storage-writer-key";
    const reasons = ["OVHcloud API error (status code 404): Client::NotFound", "status code 500"];
    const [gone, other] = reasons.map((reason) => readUnchecked(new Map([[urn, reason]]), () => undefined));

    expect(gone?.[0]?.reason).toContain(
      `: npx pulumi up --replace '${urn}' --stack test --policy-pack stacks/policy makes another one`,
    );
    expect(other?.[0]?.reason).toBe("status code 500");
  });

  it("explains nothing by a resource that others are not read through", () => {
    expect(readUnchecked(unreadable, causesAmong([{ ...stopped, ...rest, urn: SETTINGS }], graph))).toEqual([
      { what: "collection, owner, other", reason: "no answer" },
    ]);
  });
});
