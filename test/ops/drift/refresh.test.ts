import { existsSync } from "node:fs";
import { dirname } from "node:path";

import { describe, expect, it } from "vitest";

import { readDifferences } from "../../../ops/drift/differences.ts";
import { readGaps } from "../../../ops/drift/gaps.ts";
import { refresh } from "../../../ops/drift/refresh.ts";
import { readDeployedState } from "../../../ops/drift/state.ts";
import { readEvents } from "../../../ops/engine/events.ts";
import { fakeEngine, recorded, stateOf, stateOfRecording } from "./world.ts";

const URN = "urn:pulumi:test::technicia::technicia:host:File::";
const things = ["a", "b", "c", "d"].map((name) => ({
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
  it("asks the engine for a preview of a refresh, leaves out what cannot be reached, and leaves no log behind", async () => {
    const engine = fakeEngine({ runs: [log(came("a"), came("b"), came("c"))], state: {} });
    const found = await refresh({ stack: "test", things, without: things.slice(3) }, engine.pulumi);

    expect([...found.unread]).toEqual([]);
    expect(engine.calls).toHaveLength(1);
    expect(engine.calls[0]).toEqual(
      expect.arrayContaining(["refresh", "--preview-only", "--exclude", `${URN}d`]),
    );
    const file = engine.calls[0]?.[engine.calls[0].indexOf("--event-log") + 1];
    expect(file).toMatch(/events\.jsonl$/);
    expect(existsSync(dirname(file ?? ""))).toBe(false);
  });

  it("asks again for what a failure kept from being looked at, and names what fails, once a reason", async () => {
    const engine = fakeEngine({
      runs: [
        { ...log(came("a"), failed("b", "Preview failed: no answer\n")), failure: "preview failed" },
        { ...log(came("c"), failed("d", "Preview failed: no answer\n")), failure: "preview failed" },
      ],
      state: {},
    });
    const found = await refresh({ stack: "test", things, without: [] }, engine.pulumi);

    expect(engine.calls[1]).toEqual(expect.arrayContaining(["--target", `${URN}c`, "--target", `${URN}d`]));
    expect(engine.calls[1]).not.toContain(`${URN}a`);
    expect(found.steps.map(({ urn }) => urn)).toEqual([`${URN}a`, `${URN}c`]);
    expect([...found.unread]).toEqual([
      [`${URN}b`, "no answer"],
      [`${URN}d`, "no answer"],
    ]);
  });

  it("gives up where nothing more comes to light, and says why of all that is left", async () => {
    const engine = fakeEngine({
      runs: [{ log: "", failure: "error: could not decrypt the state" }],
      state: {},
    });
    const found = await refresh({ stack: "test", things, without: [] }, engine.pulumi);

    expect(engine.calls).toHaveLength(1);
    expect([...found.unread.keys()]).toEqual(things.map(({ urn }) => urn));
    expect(new Set(found.unread.values())).toEqual(
      new Set(["pulumi refresh failed: error: could not decrypt the state"]),
    );
  });

  it("counts a thing of which an engine that ended well said nothing as not looked at", async () => {
    const engine = fakeEngine({ runs: [log(came("a"), came("b"), came("c"))], state: {} });
    const found = await refresh({ stack: "test", things, without: [] }, engine.pulumi);

    expect([...found.unread]).toEqual([[`${URN}d`, "the engine did not say how it is"]]);
  });

  it("tells what is known of the host while dockerd is down", async () => {
    const state = await stateOfRecording("dockerd-down");
    const engine = fakeEngine({
      runs: [{ log: await recorded("dockerd-down"), failure: "preview failed" }],
      state,
    });
    const { things: seen } = await readDeployedState("test", engine.pulumi);
    const urns = readEvents(await recorded("dockerd-down")).map(
      ({ diagnosticEvent }) => diagnosticEvent?.urn ?? "",
    );
    const unseen = [...new Set(urns)].filter((urn) => urn.includes("docker:index"));
    const all = [
      ...seen,
      ...unseen.map((urn) => ({ ...things[0]!, urn, type: "docker:index/service:Service" })),
    ];
    const found = await refresh({ stack: "test", things: all, without: [] }, engine.pulumi);

    expect(unseen).toHaveLength(8);
    expect(readDifferences(found.steps).map(({ resource, what }) => `${resource}: ${what}`)).toEqual([
      "extra-containers: docker does not answer",
      "extra-files: cron entry /etc/cron.d/evil",
      "host-docker: active",
      "host-docker: enabled",
    ]);
    const gaps = readGaps(found.unread, readDifferences(found.steps), all);
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
      "test: expected a deployed stack, got an empty one",
    );
  });

  it("knows the way to the server from the program's own connection", async () => {
    const { pulumi } = fakeEngine({ runs: [], state: stateOf(things) });

    expect((await readDeployedState("test", pulumi)).ssh).toEqual({
      address: "203.0.113.10",
      port: 22,
      user: "debian",
      privateKeyFile: "/project/key",
      hostKey: "ssh-ed25519 AAAA",
    });
  });

  it("says that a run was cut short, by the names of what it left", async () => {
    const more = {
      pending_operations: [
        { type: "creating", resource: { urn: `${URN}half`, type: "technicia:host:File" } },
      ],
    };
    const { pulumi } = fakeEngine({ runs: [], state: stateOf(things, more) });

    expect((await readDeployedState("test", pulumi)).incomplete).toContain(
      "half; settle it with npm run resume -- test",
    );
  });

  it("says that a deployment never came to its end", async () => {
    const state = stateOf(things);
    state.deployment.resources[0] = { ...state.deployment.resources[0]!, outputs: {} } as never;
    const { pulumi } = fakeEngine({ runs: [], state });

    expect((await readDeployedState("test", pulumi)).incomplete).toContain("never come to its end");
  });
});

describe("readGaps", () => {
  const TUNNEL = "urn:pulumi:test::technicia::docker:index/container:Container::technicia-tunnel";
  const SETTINGS = `${URN}host-docker-settings`;
  const graph = [
    { ...things[0]!, urn: TUNNEL, type: "docker:index/container:Container" },
    { ...things[0]!, urn: SETTINGS },
    { ...things[0]!, urn: `${URN}collection`, dependencies: [TUNNEL, SETTINGS] },
    { ...things[0]!, urn: `${URN}owner`, dependencies: [`${URN}collection`] },
    { ...things[0]!, urn: `${URN}other` },
  ];
  const stopped = { layer: "containers", resource: "technicia-tunnel", kind: "changed" } as const;
  const rest = { what: "mustRun", expected: ["true"], found: ["false"], inputs: {} };
  const unread = new Map(["collection", "owner", "other"].map((name) => [`${URN}${name}`, "no answer"]));

  it("explains what is read through something that was found stopped, and nothing else", () => {
    expect(readGaps(unread, [{ ...stopped, ...rest, urn: TUNNEL }], graph)).toEqual([
      { what: "collection, owner", reason: "no answer", because: "technicia-tunnel" },
      { what: "other", reason: "no answer" },
    ]);
  });

  it("explains nothing by a thing that others are not read through", () => {
    expect(readGaps(unread, [{ ...stopped, ...rest, urn: SETTINGS }], graph)).toEqual([
      { what: "collection, owner, other", reason: "no answer" },
    ]);
  });
});
