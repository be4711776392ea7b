/** The real faults of `test/e2e/faults-*.ts`, compared with the rules; the long tests cause them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, it } from "vitest";
import { parse } from "yaml";

import { run } from "../common/run.ts";
import { enabledAliases, monitoringServices, SERVICES, type ServiceSettings } from "../common/services.ts";
import { logRules } from "../components/monitoring/log-rules.ts";
import { metricRules } from "../components/monitoring/metric-rules.ts";
import { monitoringFacts } from "./components/monitoring/facts.ts";
import { HARMS } from "./e2e/faults.ts";
import { LAST, LINES, SHORT_OF_EVERYTHING } from "./e2e/faults-host.ts";
import { OWN_HEALTH } from "./e2e/faults-monitoring.ts";
import { nothing, SEEN, viewsOf } from "./e2e/faults-neighbours.ts";
import { RECORDS } from "./e2e/faults-records.ts";
import { MINUTES, PATIENT, QUARTERS, SLOW } from "./e2e/faults-requests.ts";
import { ILL, KILLED, STOPPED } from "./e2e/faults-services.ts";
import { FIRST, MACHINE, nameOf, SECOND } from "./e2e/monitored.ts";
import { renderCut } from "./e2e/neighbour.ts";

const facts = monitoringFacts();
const RULES = new Map([...metricRules(facts), ...logRules(facts)].map((rule) => [rule.name, rule]));

const MONITORING = monitoringServices.map((name) => SERVICES[name].alias);

const BATCHES = [
  ...[...STOPPED, ILL, KILLED, MINUTES, ...SLOW, QUARTERS, PATIENT, ...RECORDS, ...OWN_HEALTH],
  ...[SHORT_OF_EVERYTHING, LINES, LAST, ...SEEN.map(viewsOf)],
];
const FAULTS = BATCHES.flat();

/** Without those of which one of two environments tells nothing. */
const TOLD = FAULTS.filter(({ alerts }) => Object.keys(alerts).length > 0);

/** Rules that tests of their own cause in the rehearsal. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  NotificationsFailing: "test/e2e/monitoring-failures: where mail is down",
  ConfigurationRefused: "test/e2e/monitoring-failures: a file that is wrong",
};

/** Rules that no fault of the rehearsal causes, and why; on fixture data each has a case below and one above its threshold. */
const NOT_CAUSED: Readonly<Record<string, string>> = {
  UnusualTraffic: "it compares with the week before",
  HostMemoryHigh: "a quarter of an hour of a measure that HostMemoryCritical covers",
  HostMemoryElevated: "half an hour of the same measure",
  HostMemoryAboveTarget: "a quarter of an hour of the same measure",
  ServiceMemoryHigh: "a quarter of an hour of a measure that ServiceMemoryCritical covers",
  ServiceMemoryElevated: "half an hour of the same measure",
  CpuHigh: "ten minutes of all cores of the machine that the test runs on",
  DiskFullSoon: "it looks at six hours",
  PatchesPending: "a patch has to wait for a week",
  RebootPending: "a reboot has to wait for two weeks",
  BackupMissing: "two hours without any record, on a server that has never made a set",
  VectorStoreRecovering: "Qdrant's stand-in has no such mode",
  LatencyHigh: "ten minutes of a measure that LatencyCritical covers",
  LatencyMedian: "ten minutes of the same measure",
  LatencyTail: "ten minutes of the same measure",
  UploadsSlow: "uploads of more than five minutes",
  RequestsRetried: "nginx repeats a request only where a name has several addresses",
  EditorLoginsFailing: "the stack of the rehearsal has no public editor",
  CollectorSlow: "the collector's round has to take ten seconds for five minutes",
  RulesLate: "evaluations have to be missed for ten minutes",
};

/** Of the rehearsed stack, as `Pulumi.test.yaml` has it. */
const OFF =
  "the stack that is rehearsed does not run it; the rules about services tell them apart by a label only";
const BEHIND =
  "only a workflow asks it, and once per upload: visitors see a workflow that fails, which is a row of its own";
const OWN = "that it is away is the fault; visitors ask nothing of it";

/** What no fault does to a service, and why: of each service in every way, or in one. */
const NOT_BROKEN: Readonly<Record<string, string>> = {
  postgres: OFF,
  frontend: OFF,
  "qdrant answering 500": "the vector store then answers 500 itself, which is its row",
  "gateway slow":
    "nginx measures requests itself, and nothing while it is stopped; longer than a probe waits is SiteDown",
  "gateway answering 500": "it does so in place of services that are away, which are rows of their own",
  "n8n-runners slow": "n8n waits for them: visitors see an n8n that is slow, which is its row",
  "n8n-runners answering 500": "they speak no HTTP; a workflow fails, which is a row of its own",
  ...Object.fromEntries(
    ["document-processor", "vision-classifier"].flatMap((alias) =>
      ["slow", "answering 500"].map((how) => [`${alias} ${how}`, BEHIND]),
    ),
  ),
  ...Object.fromEntries(
    MONITORING.flatMap((alias) =>
      HARMS.filter((how) => how !== "stopped" && !(alias === "probes" && how === "killed")).map((how) => [
        `${alias} ${how}`,
        OWN,
      ]),
    ),
  ),
};

describe("every service", () => {
  const done = new Set(
    FAULTS.flatMap(({ breaks }) => (breaks === undefined ? [] : [`${breaks.service} ${breaks.how}`])),
  );
  const cells = facts.services.flatMap((service) =>
    HARMS.map((how) => ({ service, how, cell: `${service} ${how}` })),
  );
  const reasonOf = ({ service, cell }: { service: string; cell: string }) =>
    NOT_BROKEN[service] ?? NOT_BROKEN[cell];

  it.each(cells)("is broken in every way, or it says why not: $cell", (at) => {
    expect([done.has(at.cell), reasonOf(at) !== undefined]).toEqual(
      done.has(at.cell) ? [true, false] : [false, true],
    );
  });

  it("is one that there is, also in a reason", () => {
    const known = [...cells.map(({ cell }) => cell), ...facts.services];

    expect([...done, ...Object.keys(NOT_BROKEN)].filter((cell) => !known.includes(cell))).toEqual([]);
  });

  it("that has no fault at all is off in the stack that is rehearsed", () => {
    const settings = readFileSync(join(import.meta.dirname, "../Pulumi.test.yaml"), "utf8");
    const { config } = parse(settings) as { config: Record<string, Record<string, object>> };
    const services = config["technicia:services"] as unknown as ServiceSettings["services"];
    const running = enabledAliases({ services, monitoring: { enabled: true } });

    expect(running.filter((alias) => NOT_BROKEN[alias] === OFF)).toEqual([]);
  });
});

describe("the real faults", () => {
  it("are at least 30, each with a name of its own", () => {
    expect(TOLD.length).toBeGreaterThanOrEqual(30);
    expect(new Set(FAULTS.map(({ name }) => name)).size).toBe(FAULTS.length);
  });

  it.each(TOLD)("expect alerts of the severity that their rules have: $name", ({ alerts }) => {
    const expected = Object.entries(alerts).map(([id, severity]) => [nameOf(id), severity]);

    expect(expected).not.toEqual([]);
    expect(expected).toEqual(expected.map(([name = ""]) => [name, RULES.get(name)?.severity]));
  });

  it.each(FAULTS)("are caused and repaired by bash that can be read: $name", async ({ inject, repair }) => {
    for (const step of [inject, repair])
      if (typeof step === "string") await run(["bash", "-n"], { input: `set -e; ${step}\n` });
  });

  it.each(FAULTS)("name alerts that there are among their consequences: $name", (fault) => {
    const noticed = Object.keys(fault.noticed ?? {}).map(nameOf);
    const names = [noticed, fault.follows, fault.mayFollow, fault.mayBeTold].flatMap((list) => list ?? []);

    expect(names.filter((name) => !RULES.has(name))).toEqual([]);
  });

  it.each(BATCHES.filter((batch) => batch.length > 1).map((batch) => [batch.map(({ name }) => name), batch]))(
    "have no alert in common where they are caused together: %s",
    (_, batch) => {
      const ids = (batch as typeof FAULTS).flatMap(({ alerts }) => Object.keys(alerts));

      expect(new Set(ids).size).toBe(ids.length);
    },
  );

  it("cause every rule that can be caused cheaply, and say of the others why not", () => {
    const caused = FAULTS.flatMap(({ alerts, follows = [] }) => [
      ...Object.keys(alerts).map(nameOf),
      ...follows,
    ]);
    const explained = [...Object.keys(ELSEWHERE), ...Object.keys(NOT_CAUSED)];

    expect([...RULES.keys()].filter((name) => !caused.includes(name) && !explained.includes(name))).toEqual(
      [],
    );
    expect(explained.filter((name) => !RULES.has(name))).toEqual([]);
    expect(Object.keys(NOT_CAUSED).filter((name) => caused.includes(name))).toEqual([]);
  });

  it.each(SEEN)("are told by one of two environments that can still tell: $name", (fault) => {
    const views = viewsOf(fault);

    expect(views.map(({ by }) => by)).toEqual([SECOND, FIRST]);
    expect(views.flatMap(({ alerts }) => Object.keys(alerts))).not.toEqual([]);
    // What breaks is broken once.
    expect([views[1].inject, views[1].repair]).toEqual([nothing, nothing]);
  });

  it("leave out of what nobody may hear only what tells of the machine", () => {
    expect(MACHINE.filter((name) => !RULES.has(name))).toEqual([]);
    const serious = MACHINE.filter((name) => /^(Service|Site|Health|Certificate|Backup)/.test(name));
    expect(serious).toEqual([]);
  });
});

describe("the cut of a server", () => {
  it("comes before the edge firewall, in one command of nft", () => {
    const rules = renderCut(["ip daddr 198.18.113.10 tcp dport 443 drop"]);

    expect(rules).toBe(
      "add table ip cut; add chain ip cut forward { type filter hook forward priority -10; }; " +
        "add rule ip cut forward ip daddr 198.18.113.10 tcp dport 443 drop",
    );
  });
});
