import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { parse } from "yaml";

import { logRules, renderLogRules } from "../../../components/monitoring/log-rules.ts";
import { metricRules, renderMetricRules } from "../../../components/monitoring/metric-rules.ts";
import type { Labels, Matcher } from "../../../ops/monitoring/alertmanager.ts";
import { listAlerts } from "../../../ops/monitoring/alerts.ts";
import { silencesFor, type PlannedAlerts } from "../../../common/planned-alerts.ts";
import { during } from "../../../ops/monitoring/planned.ts";
import { UserError } from "../../../common/user-error.ts";
import { matches } from "../../../ops/monitoring/matchers.ts";
import { acknowledge, silenceAlerts, unsilence } from "../../../ops/monitoring/silences.ts";
import { monitoringFacts, SEVERAL } from "../../components/monitoring/facts.ts";
import { alert, rule, rulesOf, startStores, type DoubleStores } from "./double-stores.ts";
import { TestWorld } from "./test-world.ts";

let stores: DoubleStores;
let world: TestWorld;

beforeEach(async () => {
  stores = await startStores();
  world = await TestWorld.open(stores.addresses);
  stores.give("alerts /api/v2/alerts", [
    alert({ alertname: "ServiceDown", severity: "P1", id: "ServiceDown-qdrant", service: "qdrant" }),
    alert({ alertname: "Watchdog", severity: "info", id: "Watchdog" }),
  ]);
});
afterEach(async () => {
  await stores[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

/** Bodies of the silences that were made. */
const made = () =>
  stores.received
    .filter(({ path, method }) => path === "/api/v2/silences" && method === "POST")
    .map(({ body }) => JSON.parse(body) as Record<string, unknown>);

const ack = (id: string, { comment = "je regarde", span }: { comment?: string; span?: string } = {}) =>
  acknowledge({ stack: "test", id, comment, span }, world.world);
const silence = (
  texts: readonly string[],
  { comment = "travaux", span = "2h" }: { comment?: string; span?: string | undefined } = {},
) => silenceAlerts({ stack: "test", texts, comment, span }, world.world);

describe("npm run alerts -- <stack> ack", () => {
  it("silences the fault by its id for four hours, by whom and why, and records that", async () => {
    const { text, exitCode } = await ack("ServiceDown-qdrant");

    expect(exitCode).toBe(0);
    expect(text).toMatch(
      /^ServiceDown-qdrant is acknowledged until 2026-11-24 \d\d:00:00: nobody else is told of it/,
    );
    expect(made()).toEqual([
      {
        matchers: [{ name: "id", value: "ServiceDown-qdrant", isRegex: false, isEqual: true }],
        startsAt: "2026-11-24T10:00:00.000Z",
        endsAt: "2026-11-24T14:00:00.000Z",
        createdBy: "alice@laptop",
        comment: "je regarde",
      },
    ]);
    expect(await world.history()).toEqual([
      "alert: alerte ServiceDown-qdrant prise en charge jusqu'à 2026-11-24T14:00:00.000Z (je regarde)",
    ]);
  });

  it.each([
    ["Watchdog", {}, "Watchdog: expected the id of an active alert of test, such as ServiceDown-qdrant"],
    ["ServiceDown-n8n", {}, "expected the id of an active alert of test, such as ServiceDown-qdrant"],
    ["ServiceDown-qdrant", { comment: " " }, "--comment: expected why"],
    [
      "ServiceDown-qdrant",
      { comment: "planned: me" },
      '--comment: expected one that does not begin with "planned:"',
    ],
    ["ServiceDown-qdrant", { span: "31d" }, "--for: expected at most 30d, got 31d"],
    ["ServiceDown-qdrant", { span: "a while" }, "--for: expected a span such as 30m, 4h or 7d"],
  ])("refuses %s with %j", async (id, options, message) => {
    await expect(ack(id, options)).rejects.toThrow(message);
    expect(made()).toEqual([]);
    expect(await world.history()).toEqual([]);
  });
});

describe("npm run alerts -- <stack> silence", () => {
  it("silences what all its matchers fit, and records that", async () => {
    const { text } = await silence(["service=qdrant", 'alertname=~"Service.*"']);

    expect(text).toMatch(/^silence 00000001: nobody is told of service=qdrant alertname=~Service\.\* until /);
    expect(made()).toMatchObject([
      {
        matchers: [
          { name: "service", value: "qdrant", isRegex: false, isEqual: true },
          { name: "alertname", value: "Service.*|Escalation", isRegex: true, isEqual: true },
          { name: "about", value: "Service.*|", isRegex: true, isEqual: true },
        ],
        endsAt: "2026-11-24T12:00:00.000Z",
      },
    ]);
    expect(await world.history()).toEqual([
      "alert: alertes service=qdrant alertname=~Service.* mises en silence jusqu'à 2026-11-24T12:00:00.000Z (travaux)",
    ]);
  });

  it.each([
    [[], "expected which alerts to silence"],
    [["alertname=~.*"], "expected some of the alerts, got all of them"],
    [["alertname=~.+"], "expected some of the alerts, got all of them"],
    [["stack=test"], "expected some of the alerts, got all of them"],
    [["id!=nothing"], "expected some of the alerts, got all of them"],
    [["severity=~P1|P2|P3"], "expected some of the alerts, got all of them"],
    [["severity=info"], "expected alerts other than Watchdog"],
    [["alertname=Watchdog"], "expected alerts other than Watchdog"],
    [["alertname=~Watch.*|DiskLow"], "expected alerts other than Watchdog"],
    [
      ["qdrant"],
      'matcher: expected label=value, label!=value, label=~expression or label!~expression, got "qdrant"',
    ],
    [["service=~("], 'matcher service: expected a regular expression, got "("'],
  ])("refuses %j", async (texts, message) => {
    await expect(silence(texts)).rejects.toThrow(message);
    expect(made()).toEqual([]);
  });

  it("refuses one without an end, and one that is forgotten before it ends", async () => {
    await expect(
      silenceAlerts({ stack: "test", texts: ["service=n8n"], comment: "x", span: undefined }, world.world),
    ).rejects.toThrow("--for: expected how long, at most 30d");
    await expect(silence(["service=n8n"], { span: "5w" })).rejects.toThrow(
      "--for: expected at most 30d, got 5w",
    );
  });

  it("refuses to guess what it would silence where not all rules are known", async () => {
    stores.down.add("log-rules");

    await expect(silence(["service=n8n"])).rejects.toThrow(
      "without all rules nobody knows what this would silence",
    );
    expect(made()).toEqual([]);
  });

  it("is ended by its id or the alert's, which is recorded as well", async () => {
    await ack("ServiceDown-qdrant");
    await silence(["service=n8n"]);
    const one = await unsilence({ stack: "test", which: "ServiceDown-qdrant" }, world.world);
    const other = await unsilence({ stack: "test", which: "00000002" }, world.world);

    expect([one.text, other.text]).toEqual([
      "people are told again of id=ServiceDown-qdrant",
      "people are told again of service=n8n",
    ]);
    expect((await world.history()).slice(2)).toEqual([
      "alert: fin du silence : id=ServiceDown-qdrant",
      "alert: fin du silence : service=n8n",
    ]);
    await expect(unsilence({ stack: "test", which: "00000002" }, world.world)).rejects.toThrow(
      "00000002: expected the id of a silence of test, or of an acknowledged alert, and there is none",
    );
  });
});

describe("planned work", () => {
  const work = (alerts: PlannedAlerts, isOn = true) => {
    const { identity, now, say } = world.world;
    const { server } = world;
    const { addresses } = stores;
    return { server, what: "release 12", alerts, seconds: 600, isOn, addresses, identity, now, say };
  };
  const DEPLOYMENT: PlannedAlerts = { kind: "deployment", services: ["n8n", "qdrant"] };

  it("is silent and visible while it lasts, at most for its time, and ends with the work", async () => {
    let meanwhile = "";
    const result = await during(work(DEPLOYMENT), async () => {
      meanwhile = (await listAlerts({ stack: "test", json: false }, world.world)).text;
      return 42;
    });

    expect(result).toBe(42);
    expect(meanwhile).toMatch(/planned: release 12 \(alice@laptop\), until 2026-11-24 \d\d:10:00 at most$/);
    expect(new Set(made().map(({ endsAt }) => endsAt))).toEqual(new Set(["2026-11-24T10:10:00.000Z"]));
    expect((await listAlerts({ stack: "test", json: false }, world.world)).text).not.toContain("planned");
  });

  it("ends its silences when the work fails, and gives the failure", async () => {
    await expect(during(work(DEPLOYMENT), () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect((await listAlerts({ stack: "test", json: false }, world.world)).text).not.toContain("planned");
  });

  it("goes on where the monitoring does not answer, and says so in one line", async () => {
    stores.down.add("alerts");

    expect(await during(work(DEPLOYMENT), () => Promise.resolve(42))).toBe(42);
    expect(world.said).toEqual([
      expect.stringMatching(/^the alerts of this work are not silenced: alerts on .* does not answer/),
    ]);
  });

  it("goes on where the monitoring stops meanwhile, and says when the silence ends", async () => {
    await during(work(DEPLOYMENT), () => Promise.resolve(void stores.down.add("alerts")));

    expect(world.said[1]).toMatch(
      /^silences 00000001, 00000002, .* could not be ended and end by themselves, before 2026-11-24/,
    );
  });

  it("ends the others where one of its silences cannot be ended, and says which", async () => {
    await during(work(DEPLOYMENT), () => {
      const end = stores.answers.get("alerts /api/v2/silence/")!;
      stores.answers.set("alerts /api/v2/silence/", (call) =>
        call.path.includes("00000001") ? { status: 500, body: "already expired" } : end(call),
      );
      return Promise.resolve();
    });

    expect(stores.received.filter(({ method }) => method === "DELETE")).toHaveLength(made().length);
    expect(world.said[1]).toMatch(
      /^silences 00000001 could not be ended and end by themselves, .*already expired/,
    );
  });

  it("is silent in each neighbour, too, which would tell of this server, and ends there with the work", async () => {
    const { pulumi, openServer, addresses } = world.world;
    const seenBy = { stack: "prod", neighbours: ["test"], pulumi, openServer, addresses };
    await during({ ...work(DEPLOYMENT, false), seenBy }, () => Promise.resolve());

    const neighbour = { name: "neighbour", value: "prod", isRegex: true, isEqual: true };
    expect(made().map(({ matchers }) => matchers)).toEqual([
      [expect.objectContaining({ name: "alertname", value: "NeighbourDown|NeighbourSilent" }), neighbour],
      [
        expect.objectContaining({ name: "alertname", value: "Escalation" }),
        expect.objectContaining({ name: "about", value: "NeighbourDown|NeighbourSilent" }),
        neighbour,
      ],
    ]);
    expect(world.said).toEqual(["test does not tell of prod meanwhile"]);
    expect(stores.received.filter(({ method }) => method === "DELETE")).toHaveLength(2);
  });

  it("goes on where a neighbour cannot be asked, and says that it may tell", async () => {
    const { openServer, addresses } = world.world;
    const pulumi = () => Promise.reject(new UserError("no access"));
    const seenBy = { stack: "prod", neighbours: ["staging"], pulumi, openServer, addresses };

    expect(await during({ ...work(DEPLOYMENT, false), seenBy }, () => Promise.resolve(42))).toBe(42);
    expect(world.said).toEqual([expect.stringMatching(/^staging may tell of prod meanwhile: .*no access/)]);
  });

  it("asks nobody where the monitoring is off", async () => {
    await during(work(DEPLOYMENT, false), () => Promise.resolve());

    expect(stores.received).toEqual([]);
    expect(world.said).toEqual([]);
  });

  const silences = (alerts: PlannedAlerts, labels: Record<string, string>) =>
    silencesFor(alerts).some((matchers) => matches(matchers, labels));

  it.each([
    [DEPLOYMENT, { alertname: "ServiceDown", service: "n8n" }, true],
    [DEPLOYMENT, { alertname: "ServiceDown", service: "frontend" }, false],
    [DEPLOYMENT, { alertname: "ErrorRateCritical" }, true],
    [DEPLOYMENT, { alertname: "TargetDown", job: "qdrant" }, true],
    [DEPLOYMENT, { alertname: "Escalation", about: "ServiceDown", id: "ServiceDown-n8n" }, true],
    [DEPLOYMENT, { alertname: "Escalation", about: "CertificateExpired" }, false],
    [DEPLOYMENT, { alertname: "DiskCritical" }, false],
    [DEPLOYMENT, { alertname: "BackupFailed" }, false],
    [DEPLOYMENT, { alertname: "Watchdog" }, false],
    [{ kind: "maintenance" }, { alertname: "ServiceDown", service: "frontend" }, true],
    [{ kind: "maintenance" }, { alertname: "ClockUnsynchronised" }, true],
    [{ kind: "maintenance" }, { alertname: "CertificateExpired" }, false],
    [{ kind: "maintenance" }, { alertname: "Watchdog" }, false],
    [{ kind: "drill" }, { alertname: "HostMemoryHigh" }, true],
    [{ kind: "drill" }, { alertname: "ServiceDown", service: "n8n" }, false],
    [{ kind: "restore", services: ["n8n"] }, { alertname: "ServiceDown", service: "n8n" }, true],
    [{ kind: "restore", services: ["n8n"] }, { alertname: "DriftFound" }, false],
    [{ kind: "neighbour", neighbour: "prod" }, { alertname: "NeighbourDown", neighbour: "prod" }, true],
    [{ kind: "neighbour", neighbour: "prod" }, { alertname: "NeighbourDown", neighbour: "test" }, false],
    [{ kind: "neighbour", neighbour: "prod" }, { alertname: "ServiceDown", service: "n8n" }, false],
  ] as const)("%j: %j is silenced: %s", (alerts, labels, expected) => {
    expect(silences(alerts, labels)).toBe(expected);
  });

  it("covers everything about the server's load, which is all that a drill moves", () => {
    // Its containers are no services of the swarm, so no rule about services sees them.
    const facts = monitoringFacts();
    const isAboutLoad = /node_(?:load|cpu|memory)|technicia_collector_seconds\)|iteration_missed/;
    const moved = [...metricRules(facts), ...logRules(facts)]
      .filter(({ expr }) => isAboutLoad.test(expr))
      .map(({ name }) => name);

    expect(moved.length).toBeGreaterThan(10);
    expect(moved.filter((name) => !silences({ kind: "drill" }, { alertname: name }))).toEqual([]);
  });

  it("is only about alerts that exist", () => {
    const facts = monitoringFacts({
      ...SEVERAL,
      neighbours: [{ stack: "prod", url: "https://prod.exemple.fr", trusted: true }],
    });
    const known = [...metricRules(facts), ...logRules(facts)].map(({ name }) => name);
    const all: readonly PlannedAlerts[] = [
      DEPLOYMENT,
      { kind: "maintenance" },
      { kind: "drill" },
      { kind: "neighbour", neighbour: "prod" },
    ];
    const named = all.flatMap((alerts) =>
      silencesFor(alerts).flatMap((matchers) => matchers[0]!.value.split("|")),
    );

    expect([...new Set(named)].filter((name) => name !== "Escalation" && !known.includes(name))).toEqual([]);
  });
});

interface RenderedRule {
  readonly alert?: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Both evaluators list the rules of an environment with everything in it, as vmalert does. */
function giveRealRules(): void {
  const facts = monitoringFacts();
  const files = { "metric-rules": renderMetricRules(facts), "log-rules": renderLogRules(facts) };
  for (const [store, text] of Object.entries(files)) {
    const { groups } = parse(text) as { groups: { rules: RenderedRule[] }[] };
    const listed = groups
      .flatMap(({ rules }) => rules)
      .flatMap(({ alert, labels }) => (alert === undefined ? [] : [rule(alert, { labels })]));
    stores.give(`${store} /api/v1/rules`, rulesOf(listed));
  }
}

describe("with the rules of an environment, a silence", () => {
  beforeEach(giveRealRules);

  it.each([
    [["severity=~P1|P2|P3"], "got all of them"],
    [["severity!=info"], "got all of them"],
    [["alertname=~.+"], "got all of them"],
    [["alertname!=UnusualTraffic"], "got all of them"],
    [["alertname!~Watchdog|Aftermath|Escalation"], "got all of them"],
    [["severity=P1"], "expected some of the P1 alerts, got all of them"],
    [["severity=P1", "alertname!=Escalation"], "expected some of the P1 alerts, got all of them"],
    [["severity!=P3", "alertname!=Watchdog"], "expected some of the P1 alerts, got all of them"],
    [["alertname!=DiskWarning"], "expected some of the P1 alerts, got all of them"],
    [["service!=n8n", "alertname!=Watchdog"], "got all of them"],
    [["severity!=P1"], "expected alerts other than Watchdog"],
  ])("%j is refused", async (texts, message) => {
    await expect(silence(texts)).rejects.toThrow(message);
    expect(made()).toEqual([]);
  });

  it.each([
    [["service=qdrant"]],
    [["severity=~P2|P3"]],
    [["severity=info", "alertname!=Watchdog"]],
    [['alertname=~"Disk.*"']],
  ])("%j is made", async (texts) => {
    expect((await silence(texts)).exitCode).toBe(0);
    expect(made()).toHaveLength(1);
  });

  /** A fault, and what a level of the escalation is told of it. */
  const P1 = { stack: "test", severity: "P1" };
  const QDRANT = { ...P1, alertname: "ServiceDown", id: "ServiceDown-qdrant", service: "qdrant" };
  const N8N = { ...P1, alertname: "ServiceDown", id: "ServiceDown-n8n", service: "n8n" };
  const CRASH = { ...P1, alertname: "CrashLoop", id: "CrashLoop-qdrant", service: "qdrant" };
  const BLIND = { ...P1, alertname: "MonitoringDown", id: "MonitoringDown-logs", job: "logs" };
  const FAULTS: readonly Labels[] = [QDRANT, N8N, CRASH, BLIND];
  const laddered = ({ alertname, job: _job, ...labels }: Labels): Labels => ({
    ...{ ...labels, about: alertname! },
    ...{ alertname: "Escalation", level: "N1" },
  });
  const idsOf = (labels: readonly Labels[], matchers: readonly Matcher[]) =>
    labels.filter((one) => matches(matchers, one)).map(({ id }) => id);
  const silenced = async (texts: readonly string[]) => {
    const { text } = await silence(texts);
    const [{ matchers }] = made() as unknown as [{ matchers: Matcher[] }];
    return { text, faults: idsOf(FAULTS, matchers), ladder: idsOf(FAULTS.map(laddered), matchers) };
  };
  const [STOPS, GOES_ON] = ["is not escalated meanwhile either", "is still escalated"];

  it.each([
    [["service=qdrant"], [QDRANT, CRASH]],
    [["id=ServiceDown-qdrant"], [QDRANT]],
    [["alertname=ServiceDown"], [QDRANT, N8N]],
    [["alertname=ServiceDown", "service=qdrant"], [QDRANT]],
    [['alertname=~"Service.*"', "service!=n8n"], [QDRANT]],
    [["alertname!=ServiceDown", "service=qdrant"], [CRASH]],
    [["alertname!~Service.*|Monitoring.*", "alertname!=Watchdog", "service=~q.*"], [CRASH]],
    [
      ["severity=P1", "service=~qdrant|n8n"],
      [QDRANT, N8N, CRASH],
    ],
  ])("%j stops the ladder of what it silences and of nothing else, and says so", async (texts, expected) => {
    const { text, faults, ladder } = await silenced(texts);

    expect(faults).toEqual(expected.map(({ id }) => id));
    expect(ladder).toEqual(faults);
    expect(text).toContain(STOPS);
    expect(text).not.toContain(GOES_ON);
  });

  it.each([
    [["job=logs"], [BLIND]],
    [
      ["job!=logs", "service=qdrant"],
      [QDRANT, CRASH],
    ],
    [["alertname=MonitoringDown", "job=logs"], [BLIND]],
  ])("%j leaves the ladder, which lacks that label, and says so", async (texts, expected) => {
    const { text, faults, ladder } = await silenced(texts);

    expect(faults).toEqual(expected.map(({ id }) => id));
    expect(ladder).toEqual([]);
    expect(text).toContain(GOES_ON);
    expect(text).not.toContain(STOPS);
  });

  it.each([[["alertname=Escalation"]], [["level=N1"]], [["about=ServiceDown", "alertname=Escalation"]]])(
    "%j is for the ladder alone, and says so",
    async (texts) => {
      const { text, faults, ladder } = await silenced(texts);

      expect(faults).toEqual([]);
      expect(ladder.length).toBeGreaterThan(0);
      expect(text).toContain("these are messages of the escalation");
    },
  );

  it.each([[["severity=~P2|P3"]], [["alertname=BackupFailed"]], [["service=qdrant", "severity=P2"]]])(
    "%j has no P1, and says nothing of the ladder",
    async (texts) => {
      const { text, faults, ladder } = await silenced(texts);

      expect([...faults, ...ladder]).toEqual([]);
      expect(text).not.toContain("escalat");
    },
  );
});

describe("rules that are unknown to a silence", () => {
  it("count as well once they are there", async () => {
    stores.give(
      "metric-rules /api/v1/rules",
      rulesOf([
        rule("DiskLow", { severity: "P3" }),
        rule("Watchdog"),
        rule("Aftermath", { severity: "info" }),
      ]),
    );
    stores.give("log-rules /api/v1/rules", rulesOf([rule("DiskHigh", { severity: "P3" })]));

    await expect(silence(["severity=P3"])).rejects.toThrow("got all of them");
  });
});
