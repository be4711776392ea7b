import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";

import { AFTERMATH } from "../../../common/planned-alerts.ts";
import { renderMetricRules } from "../../../components/monitoring/metric-rules.ts";
import { freePorts } from "../../support/free-ports.ts";
import { until } from "../../support/until.ts";
import { silence, startAlerts, writeAlerting } from "./alerting.ts";
import { monitoringFacts } from "./facts.ts";
import { post, rowsOf, type RunningProgram, startMetrics, startProgram } from "./program.ts";

const SECOND = 1 / 60;

const { thresholds } = monitoringFacts();

/** Seconds in the place of minutes. */
const facts = monitoringFacts({
  scrapeSeconds: 1,
  thresholds: { ...thresholds, health: { consecutiveFailures: 2, downMinutes: 5 * SECOND } },
  escalation: [
    { level: "N1", afterMinutes: SECOND, emails: ["n1@exemple.fr"] },
    { level: "N2", afterMinutes: 6 * SECOND, emails: ["n2@exemple.fr"] },
    { level: "N3", afterMinutes: 12 * SECOND, emails: ["n3@exemple.fr"] },
    { level: "N4", afterMinutes: 18 * SECOND, emails: ["n4@exemple.fr"] },
  ],
});

let metrics: RunningProgram;
let mail: RunningProgram;
let alerts: RunningProgram;
let rules: RunningProgram;
let config: string;

/** Gives the store the probes of all services, again and again as a scrape does. */
const down = new Set<string>();
let scrapes: NodeJS.Timeout;
const scrape = () =>
  post(
    `${metrics.url}/api/v1/import/prometheus`,
    ["n8n", "qdrant", "vision-classifier"]
      .map((service) => `probe_success{job="inside",service="${service}"} ${down.has(service) ? 0 : 1}\n`)
      .join(""),
  );

beforeAll(async () => {
  metrics = await startMetrics();
  const [smtp = 0] = await freePorts(1);
  mail = await startProgram("mailpit", {
    ready: "/readyz",
    args: ({ port }) => [`--listen=127.0.0.1:${port}`, `--smtp=127.0.0.1:${smtp}`],
  });
  const sender = {
    host: "127.0.0.1",
    port: smtp,
    from: "alertes@exemple.fr",
    user: undefined,
    startTls: false,
  };
  config = await writeAlerting({ ...facts, mail: sender }, { hurried: true });
  alerts = await startAlerts(config);
  await writeFile(join(config, "rules.yml"), renderMetricRules(facts));
  scrapes = setInterval(() => void scrape(), 500);
  rules = await startProgram("vmalert", {
    ready: "/health",
    args: ({ port }) => [
      `-rule=${join(config, "rules.yml")}`,
      `-datasource.url=${metrics.url}`,
      `-remoteWrite.url=${metrics.url}`,
      `-remoteRead.url=${metrics.url}`,
      `-notifier.url=${alerts.url}`,
      `-httpListenAddr=127.0.0.1:${port}`,
      "-evaluationInterval=1s",
      "-remoteWrite.flushInterval=200ms",
      "-rule.evalDelay=1s",
      "-external.label=stack=prod",
    ],
  });
});

afterAll(async () => {
  clearInterval(scrapes);
  await Promise.all([rules.stop(), alerts.stop()]);
  await Promise.all([metrics.stop(), mail.stop()]);
  await rm(config, { recursive: true });
});

interface Active {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly receivers: readonly { readonly name: string }[];
  readonly status: { readonly state: "active" | "suppressed" | "unprocessed" };
}

const active = async () => (await (await fetch(`${alerts.url}/api/v2/alerts`)).json()) as readonly Active[];

/** The alert of a level, or the fault's own, once Alertmanager has it. */
const find = async (labels: Readonly<Record<string, string>>) =>
  (await active()).find((alert) =>
    Object.entries(labels).every(([name, value]) => alert.labels[name] === value),
  );

const escalation = (service: string, level: string) =>
  find({ alertname: "Escalation", id: `ServiceDown-${service}`, level });

const messages = z.object({
  messages: z.array(
    z.object({ ID: z.string(), Created: z.string(), To: z.array(z.object({ Address: z.string() })) }),
  ),
});

/** Mails that say of a service that it is down, oldest first. */
async function mailed(service: string): Promise<readonly { readonly to: string; readonly at: number }[]> {
  const read = async (path: string): Promise<unknown> => (await fetch(`${mail.url}/api/v1/${path}`)).json();
  const listed = messages.parse(await read("messages?limit=200")).messages;
  const all = await Promise.all(
    listed.map(async ({ ID, Created, To }) => ({
      to: To[0]?.Address ?? "",
      at: Date.parse(Created),
      text: z.object({ Text: z.string() }).parse(await read(`message/${ID}`)).Text,
    })),
  );
  return all.filter(({ text }) => text.includes(`ack 'ServiceDown-${service}'`)).sort((a, b) => a.at - b.at);
}

describe("the escalation", () => {
  it("tells one level after the other about a fault, in its turn", async () => {
    down.add("n8n");
    const fault = await until("the fault is told", () => find({ alertname: "ServiceDown", service: "n8n" }));
    expect(fault.labels).toMatchObject({ severity: "P1", id: "ServiceDown-n8n", stack: "prod" });
    expect(fault.annotations).toMatchObject({ title: "n8n ne répond plus", where: "service n8n" });
    expect(Object.values(fault.annotations).join()).not.toMatch(/<no value>|<error/);

    const first = await until("N1 is told", () => escalation("n8n", "N1"));
    expect(await escalation("n8n", "N2")).toBeUndefined();
    expect(first.receivers).toEqual([{ name: "N1" }]);
    expect(first.annotations["action"]).toBe(
      `S'en charger : npm run alerts -- prod ack 'ServiceDown-n8n' --comment "…".`,
    );
    await until("N2 is told", () => escalation("n8n", "N2"));
    await until("N3 is told", () => escalation("n8n", "N3"));
    expect(await escalation("n8n", "N4")).toBeUndefined();
    await until("N4 is told", () => escalation("n8n", "N4"));
  });

  it("writes to each level once, one after the other, while nobody takes the fault in charge", async () => {
    const levels = ["n1@exemple.fr", "n2@exemple.fr", "n3@exemple.fr", "n4@exemple.fr"];
    await until("N4 has a message", async () => (await mailed("n8n")).some(({ to }) => to === levels[3]));

    const written = (await mailed("n8n")).filter(({ to }) => levels.includes(to));
    expect(written.map(({ to }) => to)).toEqual(levels);
  });

  it("does not tell of an alert that another one explains", async () => {
    const hidden = await until("its ladder begins", () =>
      find({ alertname: "Escalation", about: "HealthFailing" }),
    );
    await until(
      "its ladder is held back",
      async () => (await find(hidden.labels))?.status.state === "suppressed",
    );
  });

  it("continues where it was after a restart of vmalert", async () => {
    down.add("qdrant");
    await until("N1 is told", () => escalation("qdrant", "N1"));
    // What vmalert has not written yet, it cannot read again after its restart.
    const before = await until("its start is written", () => startOf("qdrant"));
    await rules.restart();
    await until("N2 is told", () => escalation("qdrant", "N2"));
    expect(await startOf("qdrant")).toBe(before);
  });

  it("stops for a fault that somebody has taken in charge", async () => {
    await silence(alerts, "ServiceDown-vision-classifier");
    down.add("vision-classifier");
    const told = await until("N2 would be told", () => escalation("vision-classifier", "N2"));
    expect(told.status.state).toBe("suppressed");
    expect((await escalation("vision-classifier", "N1"))?.status.state).toBe("suppressed");
  });

  it("ends with the fault", async () => {
    down.clear();
    const quiet = ["Watchdog", AFTERMATH, ...UNRELATED];
    await until("nobody is told of anything but the sign of life", async () =>
      (await active()).every(({ labels }) => quiet.includes(labels["about"] ?? labels["alertname"] ?? "")),
    );
    expect((await find({ alertname: "Watchdog" }))?.receivers).toEqual([{ name: "deadman" }]);
  });
});

/** Alerts about everything that this test does not start. */
const UNRELATED = ["TargetMissing", "CollectorSilent", "StoreReadOnly", "BackupMissing"];

/** Since when the second level's clock runs, in seconds since 1970. */
async function startOf(service: string): Promise<string | undefined> {
  const query = `ALERTS_FOR_STATE{alertname="Escalation",id="ServiceDown-${service}",level="N2"}`;
  const [row] = rowsOf(await post(`${metrics.url}/api/v1/query`, new URLSearchParams({ query })));
  return row?.value[1];
}
