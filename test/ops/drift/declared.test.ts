/** One case per layer of what a state has taken in, as the engine and the plugins tell it. */
import { describe, expect, it } from "vitest";

import { compareWithDeclared, readDeclared } from "../../../ops/drift/declared.ts";
import { deployedSettings } from "../../../ops/drift/deployed-settings.ts";
import { readDifferences } from "../../../ops/drift/differences.ts";
import type { StepMetadata } from "../../../ops/engine/events.ts";
import { SECRET_SIGNATURE, SIGNATURE_KEY, UNKNOWN_TEXT } from "../../../common/property-signatures.ts";
import { declarationEvent, fakeEngine, RECORD, settingsOf, stateOf } from "./world.ts";

const EXTRA = "nothing beside what is declared";
const SECRET = { [SIGNATURE_KEY]: SECRET_SIGNATURE, ciphertext: "[secret]" };

interface Case {
  readonly layer: string;
  readonly type: string;
  readonly name: string;
  readonly declared: object;
  readonly found: object;
  readonly paths: readonly string[];
  readonly expected: string;
}

const FILE = "technicia:host:File";
const STATE = "technicia:host:State";
const scripts = { observe: "cat x", apply: "true" };

const CASES: readonly Case[] = [
  {
    ...{ layer: "the server", type: "technicia:ovh:Vps", name: "vps-server", paths: ["name"] },
    ...{ declared: { name: "technicia-test" }, found: { name: "mine" } },
    expected: "vps-server: name: technicia-test → mine",
  },
  {
    ...{ layer: "the edge firewall", type: "technicia:ovh:EdgeFirewall", name: "edge-firewall-rules" },
    declared: { rules: [{ sequence: 1, action: "permit", protocol: "tcp", port: 443 }] },
    ...{ found: { rules: [] }, paths: ["rules[0]"] },
    expected: "edge-firewall-rules: rule 1: permit tcp port 443 → nothing",
  },
  {
    ...{ layer: "Cloudflare's records", type: "cloudflare:index/dnsRecord:DnsRecord", name: "dns-a" },
    ...{ declared: { content: "203.0.113.10" }, found: { content: "203.0.113.66" }, paths: ["content"] },
    expected: "dns-a: content: 203.0.113.10 → 203.0.113.66",
  },
  {
    ...{ layer: "OVH's records", type: "ovh:Domain/zoneRecord:ZoneRecord", name: "dns-a" },
    ...{ declared: { target: "203.0.113.10" }, found: { target: "203.0.113.66" }, paths: ["target"] },
    expected: "dns-a: target: 203.0.113.10 → 203.0.113.66",
  },
  {
    ...{ layer: "files", type: FILE, name: "host-login-keys", paths: ["content"] },
    ...{ declared: { content: "ours\n" }, found: { content: "ours\nmallory's\n" } },
    expected: "host-login-keys: content: nothing → mallory's",
  },
  {
    ...{ layer: "files in whose place is a link", type: FILE, name: "host-docker-settings" },
    declared: { content: "ours\n" },
    found: { content: "ours\n", replacedBy: "a symbolic link to /tmp/mallory" },
    ...{ paths: ["replacedBy"] },
    expected: "host-docker-settings: replacedBy: nothing → a symbolic link to /tmp/mallory",
  },
  {
    ...{ layer: "units", type: "technicia:host:Unit", name: "host-docker", paths: ["enabled"] },
    ...{
      declared: { unit: "docker.service", enabled: true },
      found: { unit: "docker.service", enabled: false },
    },
    expected: "host-docker: enabled: true → false",
  },
  {
    ...{ layer: "the host firewall", type: STATE, name: "host-firewall-loaded", paths: ["desired"] },
    ...{ declared: { ...scripts, desired: "as in the file" }, found: { ...scripts, desired: "otherwise" } },
    expected: "host-firewall-loaded: host firewall loaded: as in the file → otherwise",
  },
  {
    ...{ layer: "what nobody declared", type: STATE, name: "extra-access", paths: ["desired"] },
    declared: { ...scripts, desired: EXTRA },
    found: { ...scripts, desired: "account mallory\nkey SHA256:abc" },
    expected: `extra-access: account mallory: ${EXTRA} → account mallory | extra-access: key SHA256:abc: ${EXTRA} → key SHA256:abc`,
  },
  {
    ...{ layer: "packages", type: "technicia:host:Packages", name: "host-packages", paths: ["names[1]"] },
    ...{ declared: { names: ["curl", "nftables"] }, found: { names: ["curl"] } },
    expected: "host-packages: packages: nftables → not installed",
  },
  {
    ...{ layer: "networks", type: "docker:index/network:Network", name: "technicia-data" },
    ...{ declared: { internal: true }, found: { internal: false }, paths: ["internal"] },
    expected: "technicia-data: internal: true → false",
  },
  {
    ...{ layer: "volumes", type: "docker:index/volume:Volume", name: "technicia-n8n-data" },
    ...{ declared: { driver: "local" }, found: { driver: "mallory" }, paths: ["driver"] },
    expected: "technicia-n8n-data: driver: local → mallory",
  },
  {
    ...{ layer: "services", type: "docker:index/service:Service", name: "technicia-n8n-service" },
    declared: { taskSpec: { containerSpec: { image: "n8n:1", env: { A: "1" } } } },
    found: { taskSpec: { containerSpec: { image: "n8n:1", env: { A: "1", MALLORY: "1" } } } },
    paths: ["taskSpec.containerSpec.env.MALLORY"],
    expected: "technicia-n8n-service: env.MALLORY: nothing → 1",
  },
  {
    ...{
      layer: "services with one property more",
      type: "docker:index/service:Service",
      name: "technicia-n8n",
    },
    declared: { taskSpec: { containerSpec: { image: "n8n:1" } } },
    found: { taskSpec: { containerSpec: { image: "n8n:1", dir: "/mallory" } } },
    ...{ paths: ["taskSpec.containerSpec.dir"] },
    expected: "technicia-n8n: dir: nothing → /mallory",
  },
  {
    ...{ layer: "configs", type: "docker:index/serviceConfig:ServiceConfig", name: "technicia-n8n-config" },
    ...{ declared: { data: "b3Vycw==" }, found: { data: "bWFsbG9yeQ==" }, paths: ["data"] },
    expected: "technicia-n8n-config: data: b3Vycw== → bWFsbG9yeQ==",
  },
  {
    ...{ layer: "the collection", type: STATE, name: "qdrant-collection", paths: ["desired"] },
    ...{ declared: { ...scripts, desired: "1024, Cosine" }, found: { ...scripts, desired: "1536, Cosine" } },
    expected: "qdrant-collection: qdrant collection: 1024, Cosine → 1536, Cosine",
  },
  {
    ...{ layer: "n8n", type: STATE, name: "n8n-owner", paths: ["desired"] },
    ...{ declared: { ...scripts, desired: "set up" }, found: { ...scripts, desired: "not set up" } },
    expected: "n8n-owner: n8n owner: set up → not set up",
  },
];

type Step = Pick<StepMetadata, "op" | "type"> & {
  readonly name: string;
  readonly state?: object;
  readonly now?: object;
};

function urnOf({ type, name }: Pick<Step, "type" | "name">): string {
  return `urn:pulumi:test::technicia::${type}::${name}`;
}

/** A step as the engine writes it: our provider's and the bridges' outputs hold the inputs too. */
function metadata({ op, type, name, state, now }: Step, paths: readonly string[] = []): StepMetadata {
  const side = (inputs: object | undefined) =>
    inputs === undefined
      ? null
      : {
          custom: true,
          protect: false,
          retainOnDelete: false,
          inputs: { ...inputs },
          outputs: { ...inputs },
        };
  const detail = paths.map((path) => [path, { diffKind: "update", inputDiff: true }] as const);
  const urn = urnOf({ type, name });
  return { op, urn, type, old: side(state), new: side(now), detailedDiff: Object.fromEntries(detail) };
}

interface Run {
  readonly read?: StepMetadata;
  readonly declares: StepMetadata;
  readonly record?: { readonly basis: string; readonly digests: Record<string, string> };
  readonly current?: object;
}

/** What a check says of these answers of the engine. */
async function differences({ read, declares, record = RECORD, current = record }: Run) {
  const event = JSON.stringify({ resourcePreEvent: { metadata: declares } });
  const engine = fakeEngine({
    runs: [],
    state: stateOf([]),
    declared: `${event}\n`,
    record: current,
  });
  const settings = deployedSettings({
    stack: "test",
    configuration: {},
    record: undefined,
    readFile: () => Promise.reject(new Error("no other settings are expected")),
  });
  const declared = await readDeclared(
    { stack: "test", record: { ...record, settings: {} }, settings },
    engine.pulumi,
  );
  const steps = compareWithDeclared(read === undefined ? [] : [read], declared.altered);
  const told = readDifferences(steps).map(
    ({ resource, what, expected, found }) => `${resource}: ${what}: ${expected.join()} → ${found.join()}`,
  );
  return { told: told.join(" | "), pending: declared.pending, gap: declared.gap };
}

describe("a difference that the state has taken in", () => {
  it.each(CASES)("is found in $layer", async ({ type, name, declared, found, paths, expected }) => {
    const read = metadata({ op: "same", type, name, state: found, now: found });
    const declares = metadata({ op: "update", type, name, state: found, now: declared }, paths);

    expect((await differences({ read, declares })).told).toBe(expected);
  });

  it.each(CASES)("is none in $layer once what exists is as declared", async (one) => {
    const { type, name, declared, found, paths } = one;
    const read = metadata({ op: "update", type, name, state: found, now: declared }, paths);
    const declares = metadata({ op: "update", type, name, state: found, now: declared }, paths);

    expect((await differences({ read, declares })).told).toBe("");
  });

  it.each(CASES)("is found in $layer when it is gone from the state as well", async (one) => {
    const { type, name, declared } = one;
    const declares = metadata({ op: "create", type, name, now: declared });

    expect((await differences({ declares })).told).toMatch(
      new RegExp(`^${name}: .*: there → not in the state$`),
    );
  });

  it.each(CASES)("is not what the program declares otherwise since: $layer", async (one) => {
    const { type, name, declared, found, paths } = one;
    const read = metadata({ op: "same", type, name, state: found, now: found });
    const declares = metadata({ op: "update", type, name, state: found, now: declared }, paths);
    const key = `${type}::${name}`;
    const record = { basis: "then", digests: { [key]: "then" } };
    const current = { basis: "now", digests: { [key]: "now" } };

    expect(await differences({ read, declares, record, current })).toMatchObject({
      told: "",
      pending: [name],
    });
  });

  it("is found where the program declares the same, although other files of it have changed", async () => {
    const [{ type, name, declared, found, paths, expected }] = CASES as [Case];
    const read = metadata({ op: "same", type, name, state: found, now: found });
    const declares = metadata({ op: "update", type, name, state: found, now: declared }, paths);
    const digests = { [`${type}::${name}`]: "same" };

    const { told } = await differences({
      ...{ read, declares, record: { basis: "then", digests }, current: { basis: "now", digests } },
    });
    expect(told).toBe(expected);
  });

  it("is found in a secret, of which both sides look alike", async () => {
    const content = { path: "/root/.docker/config.json", content: SECRET };
    const about = { type: FILE, name: "host-registry-login", state: content, now: content };

    const { told } = await differences({
      read: metadata({ ...about, op: "same" }),
      declares: metadata({ ...about, op: "update" }, ["content"]),
    });
    expect(told).toBe("host-registry-login: content: [secret] → [secret]");
  });

  it("is found in a resource that somebody put into the state", async () => {
    const about = { type: "docker:index/container:Container", name: "mallory", state: { name: "mallory" } };

    const { told } = await differences({
      read: metadata({ ...about, op: "same", now: about.state }),
      declares: metadata({ ...about, op: "delete" }),
    });
    expect(told).toBe(`mallory: container that nobody declared, in the state: ${EXTRA} → mallory, container`);
  });

  it("is not that something is made of what is gone, which nobody knows before it is made again", async () => {
    const type = "docker:index/service:Service";
    const there = { taskSpec: { networksAdvanceds: [{ name: "abc" }] } };
    const declared = { taskSpec: { networksAdvanceds: [{ name: UNKNOWN_TEXT }] } };
    const path = "taskSpec.networksAdvanceds[0].name";

    const { told } = await differences({
      read: metadata({ op: "same", type, name: "technicia-n8n-service", state: there, now: there }),
      declares: metadata({ op: "update", type, name: "technicia-n8n-service", state: there, now: declared }, [
        path,
      ]),
    });
    expect(told).toBe("");
  });
});

describe("readDeclared", () => {
  const settings = (changes: Record<string, unknown> = {}) =>
    deployedSettings({
      stack: "test",
      configuration: Object.fromEntries(
        Object.entries(settingsOf({ settings: changes })).map(([name, value]) => [
          name,
          { secret: false, value },
        ]),
      ),
      // What nobody has set is an empty default there.
      record: { ...RECORD, settings: { ...settingsOf({}), "technicia:unset": "" } },
      readFile: () =>
        Promise.resolve(
          "config:\n  technicia:domain: other.fr\n  technicia:voyageApiKey:\n    secure: v1:abc\n",
        ),
    });
  const record = { ...RECORD, settings: settingsOf({}) };

  it("runs the program with the settings of the last deployment, whatever the file says", async () => {
    const engine = fakeEngine({ runs: [], state: stateOf([]) });
    const changed = settings({ domain: "other.fr" });

    expect(await readDeclared({ stack: "test", record, settings: changed }, engine.pulumi)).toMatchObject({
      altered: [],
      gap: undefined,
    });
    expect(changed.pending).toEqual(["domain"]);
    expect(changed.environment.domain).toBe("technicia.exemple.fr");
    expect(engine.calls[0]).toEqual(expect.arrayContaining(["preview", "--config-file"]));
    expect(engine.calls[0]).not.toContain("--refresh");
  });

  it("names the gap when the program fails, and how to see why", async () => {
    const engine = fakeEngine({ runs: [], state: stateOf([]), programFailure: "technicia:domain: expected" });
    const { gap } = await readDeclared({ stack: "test", record, settings: settings() }, engine.pulumi);

    expect(gap?.reason).toBe("error: technicia:domain: expected; see npm run preview -- test");
  });

  it("names the gap when the program says nothing of itself", async () => {
    const engine = fakeEngine({ runs: [], state: stateOf([]), record: "" });
    const { gap } = await readDeclared({ stack: "test", record, settings: settings() }, engine.pulumi);

    expect(gap?.reason).toContain("the program did not say what it declares");
    expect(declarationEvent()).toContain(RECORD.basis);
  });

  it("does not run the program for a state without the record, and says how it gets one", async () => {
    const engine = fakeEngine({ runs: [], state: stateOf([]) });
    const { gap } = await readDeclared(
      { stack: "test", record: undefined, settings: settings() },
      engine.pulumi,
    );

    expect(gap?.reason).toContain("npm run deploy -- test");
    expect(engine.calls).toEqual([]);
  });
});
