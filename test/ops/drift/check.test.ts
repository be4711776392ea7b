import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { checkDrift, type World } from "../../../ops/drift/check.ts";
import { driftReport, EXIT_CODES } from "../../../ops/drift/report.ts";
import { DECLARATION_TYPE } from "../../../stacks/declaration-record.ts";
import { validSettings } from "../../support/fixtures.ts";
import { three } from "../../support/servers.ts";
import { startCloudflare, type FakeCloudflare } from "../../../rehearsal/fake-clouds/cloudflare/server.ts";
import {
  fakeEngine,
  fakeServer,
  recorded,
  stateOf,
  stateOfRecording,
  TOKEN,
  ZONE_ID,
  type FakeServer,
} from "./world.ts";

const ZONE = "exemple.fr";
const DOMAIN = "technicia.exemple.fr";

let cloudflare: FakeCloudflare;

beforeAll(async () => {
  cloudflare = await startCloudflare({ zones: [{ name: ZONE, id: ZONE_ID }], tokens: [{ token: TOKEN }] });
});
afterAll(() => cloudflare.close());
beforeEach(() => {
  cloudflare.state.zones[0]!.records = [];
  cloudflare.faults.clear();
});

async function addRecord(record: Record<string, unknown>): Promise<string> {
  const answer = await fetch(`${cloudflare.url}/zones/${ZONE_ID}/dns_records`, {
    method: "POST",
    headers: { authorization: `Bearer ${TOKEN}` },
    body: JSON.stringify({ ttl: 300, ...record }),
  });
  expect(answer.status).toBe(200);
  return ((await answer.json()) as { result: { id: string } }).result.id;
}

interface Stage {
  readonly recording?: string;
  readonly state?: unknown;
  readonly failure?: string;
  readonly server?: FakeServer;
  readonly settings?: Record<string, unknown>;
}

async function stage({ recording = "quiet", state, failure, server = fakeServer(), settings }: Stage = {}) {
  const engine = fakeEngine({
    runs: [
      {
        log: recording === "" ? "" : await recorded(recording),
        ...(failure === undefined ? {} : { failure }),
      },
    ],
    state: state ?? (await stateOfRecording(recording)),
    cloudflareUrl: cloudflare.url,
    ...(settings === undefined ? {} : { settings }),
  });
  let time = Date.parse("2026-11-21T02:17:00Z");
  const world: World = {
    pulumi: engine.pulumi,
    openServer: () => server,
    fetch,
    readSettingsFile: () => Promise.reject(new Error("no other settings are expected")),
    now: () => new Date((time += 1_500)),
  };
  return { world, server, ...engine };
}

describe("checkDrift", () => {
  it("is clean where nothing differs and everything could be read", async () => {
    const { world, server } = await stage();
    const checked = await checkDrift("test", world);
    checked.close();
    const { report } = checked;

    expect(driftReport.parse(report)).toEqual({
      stack: "test",
      at: "2026-11-21T02:17:01.500Z",
      seconds: 1.5,
      outcome: "clean",
      findings: [],
      gaps: [],
      pending: [],
    });
    expect(EXIT_CODES[report.outcome]).toBe(0);
    expect(server.closed).toBe(1);
  });

  it("lists what differs from the outside in, since when, and what repairing it does and interrupts", async () => {
    await addRecord({ type: "A", name: DOMAIN, content: "203.0.113.66" });
    // One answer a question, in the order of the questions: nothing is known of rules in the kernel.
    const server = fakeServer({
      since: Array.from({ length: 12 }, (_, index) => `${1_795_000_000 + index}\n`).join(""),
    });
    const { report } = await checkDrift("test", (await stage({ recording: "drifted", server })).world);

    expect(report.outcome).toBe("drift");
    expect(EXIT_CODES[report.outcome]).toBe(7);
    expect([...new Set(report.findings.map(({ layer }) => layer))]).toEqual(["dns", "host", "containers"]);
    expect(report.findings[0]).toMatchObject({
      resource: DOMAIN,
      what: "A record that nobody declared",
      found: ["A 203.0.113.66"],
    });
    expect(report.findings.find(({ resource }) => resource === "host-docker-settings")).toMatchObject({
      since: "2026-11-18T11:06:44.000Z",
      repair: "the file is restored and dockerd restarts",
      interruption: expect.stringContaining("dockerd") as string,
    });
    expect(report.findings.find(({ resource }) => resource === "extra-rules")).not.toHaveProperty("since");
  });

  it("leaves alone declared records, the zone's own at its top, and names that are not ours", async () => {
    const id = await addRecord({ type: "A", name: ZONE, content: "203.0.113.10" });
    for (const type of ["MX", "TXT", "NS"]) await addRecord({ type, name: ZONE, content: "mail.exemple.fr" });
    await addRecord({ type: "A", name: `blog.${ZONE}`, content: "203.0.113.9" });
    await addRecord({ type: "A", name: ZONE, content: "203.0.113.66" });
    const state = stateOf([
      {
        urn: "urn:pulumi:test::technicia::cloudflare:index/dnsRecord:DnsRecord::dns-a",
        type: "cloudflare:index/dnsRecord:DnsRecord",
        id,
      },
    ]);
    const log = JSON.stringify({
      resOutputsEvent: {
        metadata: {
          op: "same",
          urn: state.deployment.resources[2]!.urn,
          type: "cloudflare:index/dnsRecord:DnsRecord",
        },
      },
    });
    const engine = fakeEngine({
      runs: [{ log: `${log}\n` }],
      state,
      cloudflareUrl: cloudflare.url,
      settings: { domain: ZONE },
    });
    const { world } = await stage();
    const { report } = await checkDrift("test", { ...world, pulumi: engine.pulumi });

    expect(report.findings.map(({ found }) => found)).toEqual([["A 203.0.113.66"]]);
  });

  it("reads the rest when the server refuses the login, names the gap and fails", async () => {
    const server = fakeServer({
      problem: "could not log in on debian@203.0.113.10:22: no answer within 20 s",
    });
    const { world, calls } = await stage({ server });
    await addRecord({ type: "A", name: DOMAIN, content: "203.0.113.66" });
    const { report, server: open } = await checkDrift("test", world);

    expect(open).toBeUndefined();
    expect(report.outcome).toBe("failed");
    expect(EXIT_CODES[report.outcome]).toBe(1);
    expect(report.gaps).toEqual([
      {
        what: "the server and everything on it",
        reason: "could not log in on debian@203.0.113.10:22: no answer within 20 s",
      },
    ]);
    expect(report.findings).toHaveLength(1);
    const refresh = calls.find(([command]) => command === "refresh") ?? [];
    expect(refresh.filter((word) => /^urn:.*(technicia:host:|docker:)/.test(word)).length).toBeGreaterThan(
      40,
    );
    expect(refresh.filter((word) => /^urn:.*(technicia:ovh:|cloudflare:)/.test(word))).toEqual([]);
    expect(server.dockerLogins).toBe(0);
  });

  it("starts the engine once the server answers, and ignores what it saw of one that then refuses the login", async () => {
    const problem = "ssh debian@203.0.113.10:22: login refused";
    const server = fakeServer({ answersFirst: true, problem });
    const { world, calls } = await stage({ recording: "drifted", server });
    const { report, server: open, differences } = await checkDrift("test", world);

    expect(calls.find(([command]) => command === "refresh")).not.toContain("--exclude");
    expect(open).toBeUndefined();
    expect(report.outcome).toBe("failed");
    expect(report.gaps).toEqual([{ what: "the server and everything on it", reason: problem }]);
    expect(differences.map(({ resource }) => resource)).toEqual([]);
    expect(server.dockerLogins).toBe(1);
  });

  it("ignores what the engine saw of a server during a deployment", async () => {
    const holder = { token: "t", who: "alice@laptop", run: "", process: 1, why: "version 4" };
    const lock = JSON.stringify({ now: 100, since: 60, renewed: 95, holder });
    const server = fakeServer({ answersFirst: true, lock });
    const { report } = await checkDrift("test", (await stage({ recording: "drifted", server })).world);

    expect(report.gaps).toHaveLength(1);
    expect(report.gaps[0]?.reason).toMatch(/^something is being deployed.*alice@laptop since/);
    expect(report.findings.filter(({ layer }) => layer === "host" || layer === "containers")).toEqual([]);
    expect(server.closed).toBe(1);
  });

  it("does not judge a server on which something is being deployed", async () => {
    const holder = { token: "t", who: "alice@laptop", run: "", process: 1, why: "version 4" };
    const server = fakeServer({ lock: JSON.stringify({ now: 100, since: 60, renewed: 95, holder }) });
    const { report } = await checkDrift("test", (await stage({ server })).world);

    expect(report.outcome).toBe("failed");
    expect(report.gaps[0]?.reason).toMatch(/^something is being deployed.*alice@laptop since/);
  });

  it("names what waits for a maintenance, which no repair does", async () => {
    const server = fakeServer({ upgrades: "engine\tdocker.io\t1\t2\nupgrade\tdocker.io\t1\t2\n" });
    const { report } = await checkDrift("test", (await stage({ server })).world);

    expect(report).toMatchObject({
      outcome: "drift",
      findings: [{ layer: "host", resource: "maintenance", what: "engine", found: ["docker.io 1 → 2"] }],
    });
  });

  it("names what waits on each of several servers, and the one that does not say", async () => {
    const reboot = "reboot\tkernel 1 runs, 2 is installed\n";
    const servers = [
      fakeServer({ upgrades: reboot }),
      fakeServer({ upgrades: reboot }),
      fakeServer({ problem: "ssh 203.0.113.12:22: no answer" }),
    ];
    const { deployment } = await stateOfRecording("quiet");
    const others = ["gra-2", "gra-3"].map((name, index) => ({
      ...deployment.resources.find(({ type }) => type === "pulumi:providers:technicia")!,
      urn: `urn:pulumi:test::technicia::technicia:infra:Host$pulumi:providers:technicia::${name}/host-connection`,
      inputs: {
        ...{ hostAddress: `203.0.113.${11 + index}`, hostPort: "22", hostUser: "debian" },
        ...{ hostPrivateKeyFile: "/project/key", hostKey: "ssh-ed25519 AAAA" },
      },
    }));
    const server = { ...(validSettings()["server"] as object), serviceName: undefined };
    const { world } = await stage({
      state: { deployment: { resources: [...deployment.resources, ...others] } },
      settings: { server, servers: three },
    });
    const openServer: World["openServer"] = ({ ssh }) => servers[Number(ssh.address.split(".")[3]) - 10]!;
    const checked = await checkDrift("test", { ...world, openServer });
    checked.close();

    expect(checked.report.findings.map(({ resource, repair }) => [resource, repair])).toEqual([
      ["maintenance", "nothing automatic: npm run maintain -- test does it inside the window"],
      [
        "gra-2/maintenance",
        "nothing automatic: npm run maintain -- test --server gra-2 does it inside the window",
      ],
    ]);
    expect(checked.report.gaps).toContainEqual({
      what: "pending upgrades of gra-3",
      reason: "ssh 203.0.113.12:22: no answer",
    });
    expect(servers.map(({ closed }) => closed)).toEqual([1, 1, 1]);
  });

  it("ignores the lock of a dead deployment", async () => {
    const holder = { token: "t", who: "alice@laptop", run: "", process: 1, why: "version 4" };
    const server = fakeServer({ lock: JSON.stringify({ now: 10_000, since: 60, renewed: 95, holder }) });

    expect((await checkDrift("test", (await stage({ server })).world)).report.outcome).toBe("clean");
  });

  it("names what was not read when the vendor refuses the token, and reports the rest", async () => {
    const body = { success: false, errors: [{ code: 10000, message: "Authentication error" }] };
    cloudflare.faults.add({ api: "cloudflare", path: "dns_records", status: 403, body });
    const { report } = await checkDrift("test", (await stage({ recording: "drifted" })).world);

    expect(report.outcome).toBe("failed");
    expect(report.gaps.map(({ what }) => what)).toEqual(["DNS records that nobody declared"]);
    expect(report.gaps[0]?.reason).toContain("technicia:cloudflareApiToken");
    expect(report.findings.length).toBeGreaterThan(10);
  });

  it("is never clean when settings cannot be read, however quiet the rest", async () => {
    const { report } = await checkDrift("test", (await stage({ settings: { domain: "https://no" } })).world);

    expect(report.outcome).toBe("failed");
    expect(report.gaps[0]?.reason).toContain("technicia:domain");
  });

  it("is never clean when the engine fails", async () => {
    const { world } = await stage({ failure: "error: the stack is broken" });
    const { report } = await checkDrift("test", {
      ...world,
      pulumi: (
        await stage({
          recording: "",
          state: await stateOfRecording("quiet"),
          failure: "error: the stack is broken",
        })
      ).pulumi,
    });

    expect(report.outcome).toBe("failed");
    expect(report.gaps.at(-1)?.reason).toContain("the stack is broken");
  });

  it("reports a half-delivered server as not reached yet", async () => {
    const state = stateOf([
      { urn: "urn:pulumi:test::technicia::technicia:ovh:Vps::vps-server", type: "technicia:ovh:Vps" },
    ]);
    state.deployment.resources = state.deployment.resources.filter(
      ({ type }) => type !== "pulumi:providers:technicia" && type !== DECLARATION_TYPE,
    );
    state.deployment.resources[0] = { ...state.deployment.resources[0]!, outputs: {} } as never;
    const log = JSON.stringify({
      resOutputsEvent: {
        metadata: { op: "same", urn: state.deployment.resources[1]!.urn, type: "technicia:ovh:Vps" },
      },
    });
    const engine = fakeEngine({ runs: [{ log: `${log}\n` }], state, cloudflareUrl: cloudflare.url });
    const { world } = await stage();
    const { report } = await checkDrift("test", { ...world, pulumi: engine.pulumi });

    expect(report.outcome).toBe("failed");
    expect(report.gaps.map(({ what }) => what)).toEqual([
      "the rest of the deployment",
      "the server and everything on it",
    ]);
  });
});
