import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { UNKNOWN_TEXT } from "../../../common/property-signatures.ts";
import { MASK } from "../../../common/redactor.ts";
import type { NewIncident } from "../../../reports/incidents/book.ts";
import { repairDrift, withDependents, type RepairWorld } from "../../../ops/drift/repair.ts";
import { startCloudflare, type FakeCloudflare } from "../../../rehearsal/fake-clouds/cloudflare/server.ts";
import {
  fakeEngine,
  fakeServer,
  recorded,
  recordedAsRepaired,
  stateOfRecording,
  TOKEN,
  ZONE_ID,
  type EngineOptions,
} from "./world.ts";

let cloudflare: FakeCloudflare;

beforeAll(async () => {
  cloudflare = await startCloudflare({
    zones: [{ name: "exemple.fr", id: ZONE_ID }],
    tokens: [{ token: TOKEN }],
  });
});
afterAll(() => cloudflare.close());

async function addRecord(record: object): Promise<void> {
  const records = `${cloudflare.url}/zones/${ZONE_ID}/dns_records`;
  const headers = { authorization: `Bearer ${TOKEN}` };
  const body = JSON.stringify({ ttl: 300, ...record });
  expect((await fetch(records, { method: "POST", headers, body })).status).toBe(200);
}

interface Stage extends Partial<EngineOptions> {
  readonly recording?: string;
  readonly answer?: boolean;
  readonly monitoring?: (request: string) => string;
}

async function stage({ recording = "drifted", answer = true, monitoring, ...more }: Stage = {}) {
  const engine = fakeEngine({
    runs: [{ log: await recorded(recording) }, { log: await recordedAsRepaired(recording) }],
    state: await stateOfRecording(recording),
    cloudflareUrl: cloudflare.url,
    plan: await recorded("plan"),
    ...more,
  });
  const server = fakeServer(monitoring === undefined ? {} : { monitoring });
  const said: string[] = [];
  const incidents: NewIncident[] = [];
  const world: RepairWorld = {
    pulumi: engine.pulumi,
    openServer: () => server,
    fetch,
    readSettingsFile: () => Promise.reject(new Error("no other settings are expected")),
    now: () => new Date("2026-11-21T08:00:00Z"),
    identity: { who: "alice@laptop", run: "", process: 4001 },
    say: (line) => said.push(line),
    openIncident: (incident) => {
      incidents.push(incident);
      return Promise.resolve({ id: "DEPLOY-001", isNew: true });
    },
    confirm: () => Promise.resolve(answer),
    exclusively: (_server, _stack, work) => work(),
  };
  const audit = () =>
    server.commands.flatMap(({ stdin, purpose }) =>
      purpose.includes("history")
        ? [JSON.parse(stdin ?? "") as { action: string; findings?: number; detail: string }]
        : [],
    );
  return { world, said, audit, incidents, server, ...engine };
}

const request = { stack: "test", yes: true, withChanges: false };

/** Whether the command asks the program what it declares, which belongs to a check. */
function isDeclaring([command, ...args]: readonly string[]): boolean {
  return command === "preview" && !args.includes("--refresh");
}

describe("repairDrift", () => {
  it("shows the plan, repairs everything in one run, checks again and records both", async () => {
    const { world, calls, said, audit, server } = await stage();
    const { before, after } = await repairDrift(request, world);

    expect(before.findings).toHaveLength(14);
    // For the preview of the repair, and for the repair.
    expect(server.dockerLogins).toBe(2);
    expect(after?.outcome).toBe("clean");
    const commands = calls
      .filter((args) => !isDeclaring(args))
      .map(([command]) => command)
      .filter((command) => !["config", "stack"].includes(command ?? ""));
    expect(commands).toEqual(["refresh", "preview", "up", "refresh"]);
    expect(calls.find(([command]) => command === "up")).toEqual([
      ...["up", "--refresh", "--yes", "--skip-preview", "--continue-on-error", "--color", "never"],
      ...["--message", "repair of drift", "--stack", "test"],
    ]);
    expect(said.join("\n")).toContain("create  technicia-qdrant-service (container service)");
    expect(audit()).toMatchObject([
      { action: "drift", findings: 14 },
      { action: "repair", detail: expect.stringContaining("plus aucun écart") as string },
      { action: "drift", findings: 0 },
    ]);
  });

  it("opens one incident for the findings, and none after the repair", async () => {
    const { world, said, incidents } = await stage();
    const { before } = await repairDrift(request, world);

    expect(incidents).toHaveLength(1);
    expect(incidents[0]).toMatchObject({ stack: "test", title: "Dérive de la configuration" });
    expect(incidents[0]?.symptoms).toHaveLength(before.findings.length);
    expect(said).toContain("opened DEPLOY-001 in docs/deployment-issues.md");
  });

  it("changes nothing when nothing differs", async () => {
    const { world, calls } = await stage({ recording: "quiet" });

    expect(await repairDrift(request, world)).toMatchObject({
      before: { outcome: "clean" },
      after: undefined,
    });
    expect(calls.some((args) => args[0] === "up" || (args[0] === "preview" && !isDeclaring(args)))).toBe(
      false,
    );
  });

  it("changes nothing when the answer is no", async () => {
    const { world, calls } = await stage({ answer: false });

    await expect(repairDrift({ ...request, yes: false }, world)).rejects.toThrow(
      "test: cancelled; nothing was changed",
    );
    expect(calls.some(([command]) => command === "up")).toBe(false);
  });

  it.each(["create", "create-replacement"])("refuses a plan with the %s of a server", async (op) => {
    const type = "technicia:ovh:Vps";
    const urn = `urn:pulumi:test::technicia::technicia:infra:Vps$${type}::vps-server`;
    const server = { type, urn, custom: true, id: "", parent: "", provider: "", inputs: {}, outputs: {} };
    const metadata = { op, type, urn, old: null, new: server, detailedDiff: null, provider: "" };
    const event = { sequence: 9999, timestamp: 1795247379, resourcePreEvent: { metadata, planning: true } };
    const plan = `${(await recorded("plan")).trimEnd()}\n${JSON.stringify(event)}\n`;
    const { world, calls } = await stage({ plan });

    await expect(repairDrift(request, world)).rejects.toThrow(
      /^test: the repair would (create|replace) vps-server, and a repair never takes or orders a server; nothing was changed/,
    );
    expect(calls.some(([command]) => command === "up")).toBe(false);
  });

  it("refuses to deploy a pending program along with a repair", async () => {
    const pending = JSON.stringify({
      resourcePreEvent: {
        metadata: {
          op: "update",
          urn: "urn:pulumi:test::technicia::technicia:ovh:EdgeFirewall::edge-firewall-rules",
          type: "technicia:ovh:EdgeFirewall",
          old: { custom: true },
          new: { custom: true },
        },
      },
    });
    const plan = `${await recorded("plan")}\n${pending}\n`;
    const refused = await stage({ plan });
    await expect(repairDrift(request, refused.world)).rejects.toThrow(
      "the program or its secrets are not those that were deployed, and a repair would deploy them unreviewed (edge-firewall-rules)",
    );
    expect(refused.calls.some(([command]) => command === "up")).toBe(false);

    const agreed = await stage({ plan });
    expect((await repairDrift({ ...request, withChanges: true }, agreed.world)).after?.outcome).toBe("clean");
  });

  // A refresh that finds a resource gone removes it from the others' dependencies, so that only the plan tells what is made of it.
  describe("of what was made of a resource that the state has lost", () => {
    const { urn, type } = {
      urn: "urn:pulumi:test::technicia::command:local:Command::public-probe",
      type: "command:local:Command",
    };
    const deployed = { create: "probe", triggers: ["a digest", "203.0.113.10"] };
    const planned = async (inputs: object, more: object = {}) => {
      const metadata = { op: "replace", urn, type, old: { custom: true, inputs: deployed }, ...more };
      const event = { resourcePreEvent: { metadata: { ...metadata, new: { custom: true, inputs } } } };
      return stage({ plan: `${await recorded("plan")}\n${JSON.stringify(event)}\n` });
    };

    it("makes it again", async () => {
      const { world } = await planned({ ...deployed, triggers: [UNKNOWN_TEXT, "203.0.113.10"] });
      expect((await repairDrift(request, world)).after?.outcome).toBe("clean");
    });

    it.each([
      ["another value beside it", { ...deployed, triggers: [UNKNOWN_TEXT, "203.0.113.11"] }],
      ["another property", { ...deployed, create: "another", triggers: [UNKNOWN_TEXT, "203.0.113.10"] }],
      ["one value more", { ...deployed, triggers: ["a digest", "203.0.113.10", UNKNOWN_TEXT] }],
      ["one property more", { ...deployed, environment: UNKNOWN_TEXT }],
      ["one property less", { triggers: [UNKNOWN_TEXT, "203.0.113.10"] }],
      ["nothing that is not known yet", deployed],
    ])("refuses it with %s", async (_what, inputs) => {
      const { world, calls } = await planned(inputs);
      await expect(repairDrift(request, world)).rejects.toThrow(
        "would deploy them unreviewed (public-probe)",
      );
      expect(calls.some(([command]) => command === "up")).toBe(false);
    });

    it("refuses it where the provider says that a secret differs as well", async () => {
      const secret = { environment: MASK };
      const old = { custom: true, inputs: { ...deployed, ...secret } };
      const { world } = await planned(
        { ...deployed, ...secret, triggers: [UNKNOWN_TEXT, "203.0.113.10"] },
        { old, diffs: ["triggers", "environment"] },
      );
      await expect(repairDrift(request, world)).rejects.toThrow(
        "would deploy them unreviewed (public-probe)",
      );
    });
  });

  it("deletes an undeclared record before the engine restores ours, and runs no engine for it alone", async () => {
    const records = `${cloudflare.url}/zones/${ZONE_ID}/dns_records`;
    const headers = { authorization: `Bearer ${TOKEN}` };
    const body = JSON.stringify({
      type: "A",
      name: "technicia.exemple.fr",
      content: "203.0.113.66",
      ttl: 300,
    });
    await fetch(records, { method: "POST", headers, body });
    const { world, calls } = await stage({ recording: "quiet", plan: "" });
    const { before, after } = await repairDrift(request, world);

    expect([before.outcome, after?.outcome]).toEqual(["drift", "clean"]);
    expect(cloudflare.state.zones[0]?.records).toEqual([]);
    expect(calls.some(([command]) => command === "up")).toBe(false);
  });

  it("repairs what is not on the server while nobody gets in there, without the lock that is on it", async () => {
    const { world, calls } = await stage({ recording: "quiet", plan: "" });
    await addRecord({ type: "A", name: "technicia.exemple.fr", content: "203.0.113.66" });
    const dark: RepairWorld = {
      ...world,
      openServer: () => fakeServer({ problem: "no answer" }),
      exclusively: () => Promise.reject(new Error("the lock cannot be reached")),
    };
    const { after } = await repairDrift(request, dark);

    expect([after?.outcome, after?.findings]).toEqual(["failed", []]);
    expect(cloudflare.state.zones[0]?.records).toEqual([]);
    expect(calls.some(([command]) => command === "up")).toBe(false);
  });

  it("repairs nothing while something is being deployed, and says who deploys", async () => {
    const { world } = await stage();
    const holder = { token: "t", who: "alice@laptop", run: "", process: 1, why: "version 4" };
    const lock = JSON.stringify({ now: 100, since: 60, renewed: 95, holder });
    const busy = { ...world, openServer: () => fakeServer({ lock }) };

    await expect(repairDrift(request, busy)).rejects.toThrow(/something is being deployed.*alice@laptop/);
  });

  it("keeps a record that may serve something else, unless somebody agrees to delete it", async () => {
    const { world, said } = await stage({ recording: "quiet", plan: "" });
    const kept = () => cloudflare.state.zones[0]?.records.map(({ type }) => type);
    await addRecord({ type: "NS", name: "technicia.exemple.fr", content: "dns.mallory.example" });

    const { after } = await repairDrift(request, world);
    expect([after?.outcome, kept()]).toEqual(["drift", ["NS"]]);
    expect(said.join("\n")).toContain(
      "kept, because something else may need it: technicia.exemple.fr NS dns.mallory.example; delete it at the vendor",
    );

    const questions: string[] = [];
    const asked = (answer: boolean) => ({
      ...world,
      confirm: (question: string) => {
        questions.push(question);
        return Promise.resolve(answer);
      },
    });
    await repairDrift({ ...request, yes: false }, asked(false));
    expect(kept()).toEqual(["NS"]);
    await repairDrift({ ...request, yes: false }, asked(true));
    expect(kept()).toEqual([]);
    expect(new Set(questions)).toEqual(
      new Set([
        "Also delete technicia.exemple.fr NS dns.mallory.example? Mail or another service may need it.",
      ]),
    );
  });

  it("leaves out what cannot be read while dockerd is down, then repairs everything that depended on it", async () => {
    const log = await recorded("dockerd-down");
    const differing = log.split("\n").filter((line) => line.includes('"op":"update"'));
    const { world, calls } = await stage({
      recording: "dockerd-down",
      runs: [
        { log, failure: "preview failed" },
        { log: `${await recordedAsRepaired("dockerd-down")}${calmDocker(log)}` },
      ],
      state: await withFailing(log),
      plan: differing.join("\n").replaceAll("resOutputsEvent", "resourcePreEvent"),
    });
    const { before, after } = await repairDrift(request, world);
    const ups = calls.filter(([command]) => command === "up");
    const leftOut = ups.map((up) => up.filter((_, index) => up[index - 1] === "--exclude").sort());

    expect([before.outcome, after?.outcome]).toEqual(["drift", "clean"]);
    expect(before.gaps).toMatchObject([{ because: "extra-containers" }]);
    expect(leftOut).toEqual([dockerUrns(log).sort(), []]);
  });

  // A refresh that finds a resource gone removes it from the others' dependencies.
  it("recreates in the second round the dependents of what the first one restored", async () => {
    const log = await recorded("dockerd-down");
    const differing = log.split("\n").filter((line) => line.includes('"op":"update"'));
    const plan = differing.join("\n").replaceAll("resOutputsEvent", "resourcePreEvent");
    const cause = /"urn":"(urn:[^"]*::host-docker)"/.exec(log)?.[1] ?? "";
    const urn = "urn:pulumi:test::technicia::command:local:Command::public-probe";
    const probe = { urn, type: "command:local:Command", custom: true };
    const same = `${JSON.stringify({ resOutputsEvent: { metadata: { ...probe, op: "same" } } })}\n`;
    const made = { ...probe, op: "replace", old: { custom: true }, new: { custom: true } };
    const { deployment } = await withFailing(log);
    const withProbe = (dependencies: string[]) => ({
      deployment: { resources: [...deployment.resources, { ...probe, dependencies }] },
    });
    const { world } = await stage({
      recording: "dockerd-down",
      runs: [
        { log: `${log}${same}`, failure: "preview failed" },
        { log: `${await recordedAsRepaired("dockerd-down")}${calmDocker(log)}${same}` },
      ],
      state: withProbe([cause]),
      plan,
      updated: {
        state: withProbe([]),
        plan: JSON.stringify({ resourcePreEvent: { metadata: made } }),
      },
    });

    expect(cause).not.toBe("");
    expect((await repairDrift(request, world)).after?.outcome).toBe("clean");
  });

  it("goes on after an error, repeats it with how to continue, and reports what is left", async () => {
    const drifted = { log: await recorded("drifted") };
    const { world, said } = await stage({
      runs: [drifted, drifted],
      upFailure: { stdout: "x\n  error: could not write /etc/docker/daemon.json on h: disk full\n" },
    });
    const { after } = await repairDrift(request, world);

    expect(after?.outcome).toBe("drift");
    expect(said.join("\n")).toMatch(
      /not everything was repaired:\nerror: could not write .*disk full\nwhat was repaired stays repaired; fix what is named above/,
    );
  });

  it("fails with the engine's error where nothing else tells what is wrong", async () => {
    const { world } = await stage({ upFailure: { stdout: "  error: the probe got no answer\n" } });

    await expect(repairDrift(request, world)).rejects.toThrow("error: the probe got no answer");
  });

  it("refuses where nothing that was found can be repaired, and says what to do", async () => {
    const { world, calls } = await stage();
    const dark = { ...world, openServer: () => fakeServer({ problem: "no answer" }) };

    await expect(repairDrift(request, dark)).rejects.toThrow(
      /nothing that was found can be repaired from here; do what the lines .* say, then run npm run drift -- test --repair/,
    );
    expect(calls.some(([command]) => command === "up")).toBe(false);
  });
});

function dockerUrns(log: string): string[] {
  return [...new Set([...log.matchAll(/"urn":"(urn:[^"]*docker:index[^"]*)"/g)].map(([, urn]) => urn ?? ""))];
}

/** What the engine says of them once dockerd runs again. */
function calmDocker(log: string): string {
  const metadata = { op: "same", type: "docker:index/service:Service" };
  return dockerUrns(log)
    .map((urn) => `${JSON.stringify({ resOutputsEvent: { metadata: { ...metadata, urn } } })}\n`)
    .join("");
}

/** The resources that failed are in the state as well. */
async function withFailing(log: string) {
  const state = await stateOfRecording("dockerd-down");
  const missing = dockerUrns(log).map((urn) => ({ urn, type: "docker:index/service:Service", custom: true }));
  return { deployment: { resources: [...state.deployment.resources, ...missing] } };
}

describe("withDependents", () => {
  it("follows dependents of dependents", () => {
    const resource = (urn: string, ...dependencies: string[]) => ({
      ...{ urn, dependencies, type: "", id: "", custom: true, delete: false, inputs: {}, outputs: {} },
    });
    const resources = [
      resource("c", "b"),
      resource("b", "a"),
      resource("a"),
      resource("x", "y"),
      resource("y"),
    ];

    expect([...withDependents(new Set(["a"]), resources)].sort()).toEqual(["a", "b", "c"]);
  });
});

describe("a repair of a watched stack", () => {
  /** What the monitoring was asked, in order; `up` where the engine ran. */
  async function asked(more: Stage = {}): Promise<string[]> {
    const calls: string[] = [];
    const answers = (request: string) => {
      const work = /work[^a-z]+repair/.test(request)
        ? (/stage[^a-z]+([a-z-]+)/.exec(request)?.[1] ?? "?")
        : "";
      const isSilence = request.includes("/api/v2/silence");
      calls.push(isSilence ? (/DELETE/.test(request) ? "silence ended" : "silence") : work);
      return isSilence ? '{"silenceID":"1"}\n200 \u001e' : "\n200 \u001e";
    };
    const settings = { monitoring: { enabled: true } };
    const { world } = await stage({ monitoring: answers, settings, ...more });
    const { pulumi } = world;
    const noting: typeof pulumi = (call) => {
      if (call.args[0] === "up") calls.push("up");
      return pulumi(call);
    };
    // Its end is among the calls.
    await repairDrift(request, { ...world, pulumi: noting }).catch(() => undefined);
    return calls.filter((call, index) => call !== calls[index - 1]);
  }

  it("tells the team of it, and silences what it causes until it has ended", async () => {
    expect(await asked()).toEqual(["started", "silence", "up", "silence ended", "finished"]);
  });

  it("says so where not everything was repaired", async () => {
    const upFailure = { stdout: "x\n  error: could not write /etc/docker/daemon.json on h: disk full\n" };
    expect((await asked({ upFailure })).slice(0, 5)).toEqual([
      "started",
      "silence",
      "up",
      "silence ended",
      "failed",
    ]);
  });

  it("says nothing where nothing has to be repaired", async () => {
    expect(await asked({ recording: "quiet" })).toEqual([]);
  });
});
