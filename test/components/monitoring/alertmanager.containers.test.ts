import { rm } from "node:fs/promises";
import { join } from "node:path";

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { tryRun } from "../../../common/run.ts";
import type { MonitoringFacts } from "../../../components/monitoring/facts.ts";
import { monitoringProgram } from "../../support/monitoring-programs.ts";
import { until } from "../../support/until.ts";
import { send, type SentAlert, startAlerts, writeAlerting } from "./alerting.ts";
import { monitoringFacts, pager } from "./facts.ts";
import { type RunningProgram, startProgram } from "./program.ts";
import { type Notification, startWebhooks, type Webhooks } from "./webhooks.ts";

const NOTHING = { slack: false, webhooks: [], team: { emails: [] } };
const SETTINGS: Readonly<Record<string, Partial<MonitoringFacts>>> = {
  everything: {},
  "nobody to tell": { mail: undefined, receivers: NOTHING, escalation: [], neighbours: [], ping: false },
  "mail alone, without an account": {
    mail: { host: "smtp.exemple.fr", port: 25, from: "a@exemple.fr", user: undefined, startTls: false },
    receivers: { slack: false, webhooks: [], team: { emails: ["a@exemple.fr", "b@exemple.fr"] } },
    ping: false,
  },
  "Slack and a pager, without mail": {
    mail: undefined,
    receivers: { ...NOTHING, slack: true, webhooks: [pager] },
  },
  "several webhooks": {
    receivers: {
      team: { emails: ["equipe@exemple.fr"] },
      slack: true,
      webhooks: [
        pager,
        { name: "astreinte", format: "pagerduty-eu", secret: "pagerDutyKey", levels: ["P2", "N2"] },
      ],
    },
  },
  "a neighbour whose authority nobody knows": {
    neighbours: [{ stack: "test", url: "https://test.exemple.fr", trusted: false }],
  },
};

describe("the configuration", () => {
  const folders: string[] = [];
  const write = async (change: Partial<MonitoringFacts>) => {
    const folder = await writeAlerting(monitoringFacts(change));
    folders.push(folder);
    return join(folder, "alertmanager.yml");
  };
  afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))));

  it.each(Object.entries(SETTINGS))("is accepted with %s", async (_, change) => {
    const amtool = await monitoringProgram("amtool");
    expect(await tryRun([amtool, "check-config", await write(change)])).toMatchObject({ code: 0 });
  });

  const mailOnly = SETTINGS["mail alone, without an account"] ?? {};
  const slackOnly = SETTINGS["Slack and a pager, without mail"] ?? {};
  const several = SETTINGS["several webhooks"] ?? {};
  const silent = SETTINGS["nobody to tell"] ?? {};
  it.each([
    [{}, "severity=P1", "pager,team,slack"],
    [{}, "severity=P2", "team,slack"],
    [{}, "severity=P3", "slack"],
    [{}, "severity=info", "slack"],
    [{}, "severity=mild", "team"],
    [{}, "alertname=Watchdog severity=info", "deadman"],
    [{}, "alertname=Announcement severity=info", "announcements-slack"],
    [{}, "alertname=Aftermath severity=info", "nobody"],
    [{}, "alertname=ErrorRateCritical severity=P1", "pager,team,slack"],
    [{}, "alertname=RequestsRetried severity=P2", "team,slack"],
    [{}, "alertname=Escalation severity=P1 level=N1", "N1"],
    [{}, "alertname=Escalation severity=P1 level=N4", "N4"],
    [mailOnly, "severity=P1", "team"],
    [mailOnly, "severity=P2", "team"],
    [mailOnly, "severity=P3", "team"],
    [mailOnly, "severity=info", "team"],
    [mailOnly, "alertname=Announcement severity=info", "announcements-team"],
    [slackOnly, "severity=P1", "pager,slack"],
    [slackOnly, "severity=P2", "slack"],
    [slackOnly, "alertname=Escalation severity=P1 level=N1", "pager,slack"],
    [slackOnly, "alertname=Escalation severity=P1 level=N4", "pager,slack"],
    [several, "severity=P1", "pager,team,slack"],
    [several, "severity=P2", "astreinte,team,slack"],
    [several, "alertname=Escalation severity=P1 level=N1", "N1"],
    [several, "alertname=Escalation severity=P1 level=N2", "N2,astreinte"],
    [silent, "alertname=Escalation severity=P1 level=N1", "nobody"],
    [silent, "severity=P1", "nobody"],
    [silent, "alertname=Announcement severity=info", "nobody"],
    [silent, "alertname=Watchdog severity=info", "nobody"],
  ])("with %j sends %s to %s", async (change, labels, receivers) => {
    const amtool = await monitoringProgram("amtool");
    const file = await write(change);
    const command = [amtool, "config", "routes", "test", `--config.file=${file}`, ...labels.split(" ")];
    const { stdout } = await tryRun(command);
    expect(stdout.trim()).toBe(receivers);
  });
});

describe("a running Alertmanager", () => {
  let mail: RunningProgram;
  let webhooks: Webhooks;
  let alerts: RunningProgram;
  let config: string;

  beforeAll(async () => {
    webhooks = await startWebhooks();
    const smtp = await startMail();
    mail = smtp.program;
    const facts = monitoringFacts({
      mail: {
        host: "127.0.0.1",
        port: smtp.port,
        from: "alertes@exemple.fr",
        user: undefined,
        startTls: false,
      },
      neighbours: [{ stack: "staging", url: webhooks.url, trusted: true }],
    });
    config = await writeAlerting(facts, {
      hurried: true,
      secrets: {
        slack_url: `${webhooks.url}/slack`,
        pager_url: `${webhooks.url}/pager`,
        ping_url: `${webhooks.url}/ping`,
        neighbour_token: "a-token-of-neighbours",
      },
    });
    alerts = await startAlerts(config);
    await send(alerts, [WATCHDOG]);
  });
  afterAll(async () => {
    await Promise.all([alerts.stop(), mail.stop(), webhooks.stop(), rm(config, { recursive: true })]);
  });

  const paged = () => pagedBy(webhooks);

  it("says what, where, since when, how severe and what to do, by mail and to Slack, and when it is over", async () => {
    const startsAt = "2026-11-27T16:30:05Z";
    const alert = siteDown(startsAt);
    await send(alerts, [alert]);
    const first = await until("the mail is there", () => newest(mail, "[P1]"));
    expect(first.Subject).toBe("[P1] prod : Le site ne répond plus");
    for (const text of [first.Text, first.HTML]) {
      expect(text).toContain("prod, https://technicia.exemple.fr");
      expect(text).toContain("27/11/2026 17:30:05 CET");
      expect(text).toContain("P1, critique");
      expect(text).toContain("aucun contrôle réussi (seuil : 3 échecs de suite)");
      expect(text).toContain("npm run status");
      expect(text).toContain("docs/alerts.md#sitedown");
      expect(text).toMatch(/ack ('|&#39;)SiteDown('|&#39;) --comment/);
      expect(text).toContain("k7p2");
      expect(text).not.toContain("m4xd");
    }
    const slack = await until("Slack is told", () => webhooks.at("/slack")[0]);
    expect(slack.body).toContain("Le site ne répond plus");
    expect(slack.body).toContain("m4xd");

    await send(alerts, [{ ...alert, endsAt: new Date().toISOString() }]);
    const second = await until("the end is told", () => newest(mail, "[Résolu]"));
    expect(second.Subject).toBe("[Résolu] prod : Le site ne répond plus");
    expect(second.Text).toContain("Fin : ");
  });

  it("tells an end once, though it is said again for a quarter of an hour", async () => {
    const ago = (seconds: number) => new Date(Date.now() - seconds * 1000).toISOString();
    const titled = (service: string, ends: Partial<SentAlert> = {}): SentAlert => ({
      ...alertOf("CrashLoop", { id: `CrashLoop-${service}`, service }),
      annotations: { title: `${service} redémarre`, where: service },
      startsAt: ago(600),
      ...ends,
    });
    const ended = ["n8n", "qdrant"].map((service) => titled(service, { endsAt: ago(240) }));
    const told = async (beginning: string) => (await until("it is told", () => newest(mail, beginning))).Text;

    await send(alerts, [...ended, titled("gateway")]);
    expect(await told("[P1] prod : gateway redémarre")).not.toContain("Résolu");

    await send(alerts, [...ended, titled("gateway", { endsAt: ago(20) })]);
    const end = await told("[Résolu] prod : gateway redémarre");
    expect(end).toContain("Résolu : gateway redémarre");
    expect(end).not.toContain("n8n");
  });

  it("tells an end that could not be told for long", async () => {
    const alert = { ...alertOf("OutOfMemory", { id: "OutOfMemory-frontend", service: "frontend" }) };
    await send(alerts, [alert]);
    await until("it is told", () => newest(mail, "[P1] prod : OutOfMemory"));
    const startsAt = new Date(Date.now() - 600_000).toISOString();
    await send(alerts, [{ ...alert, startsAt, endsAt: new Date(Date.now() - 300_000).toISOString() }]);

    const { Subject } = await until("the end is told", () => newest(mail, "[Résolu] prod : OutOfMemory"));
    expect(Subject).toBe("[Résolu] prod : OutOfMemory");
  });

  it("announces work once, without its end as an alert", async () => {
    const announced = (stage: string): SentAlert => ({
      labels: {
        ...{ alertname: "Announcement", severity: "info", stack: "prod", stage },
        id: `Announcement-${stage}`,
      },
      annotations: {
        ...{ title: `Mise en production, version 12 : ${stage}`, what: "Mise en production" },
        ...{ where: "technicia.exemple.fr", by: "alice", release: "12", result: stage },
      },
      endsAt: new Date(Date.now() + 2000).toISOString(),
    });
    await send(alerts, [announced("commencée"), announced("terminée")]);
    const told = () => webhooks.at("/slack").filter(({ body }) => body.includes("Quoi : Mise en production"));
    await until("both are told", () => told().length >= 2);
    await until("the signs of life have come twice meanwhile", waitForSigns(webhooks, 2));

    expect(told()).toHaveLength(2);
    expect(told().map(({ body }) => /Résultat : (\S+?)\\n/.exec(body)?.[1])).toEqual(
      expect.arrayContaining(["commencée", "terminée"]),
    );
    expect(told().some(({ body }) => body.includes("Résolu"))).toBe(false);
  });

  it("says once what several alerts have in common", async () => {
    const before = new Set(paged());
    const down = (service: string) => alertOf("ServiceDown", { id: `ServiceDown-${service}`, service });
    await send(alerts, [
      ...["n8n", "qdrant"].map(down),
      // Each of these is what a dead n8n looks like from somewhere else.
      alertOf("SiteDown", { id: "SiteDown-2", service: "gateway" }),
      alertOf("HealthFailing", { id: "HealthFailing-n8n", service: "n8n" }),
      alertOf("ErrorRateCritical", { id: "ErrorRateCritical", topic: "errors" }),
      alertOf("ServiceNotRunning", { id: "ServiceNotRunning-n8n", service: "n8n" }),
      alertOf("Escalation", { id: "HealthFailing-n8n", about: "HealthFailing", service: "n8n", level: "N1" }),
      // This one is a fault of its own.
      alertOf("DiskCritical", { id: "DiskCritical-/", topic: "disk-/" }),
      alertOf("DiskFreeLow", { id: "DiskFreeLow-/", topic: "disk-/", severity: "P2" }),
    ]);
    await until(
      "both faults are told",
      () => paged().includes("DiskCritical-/") && paged().includes("ServiceDown-n8n"),
    );
    await until("the signs of life have come twice meanwhile", waitForSigns(webhooks, 2));

    expect(
      paged()
        .filter((id) => !before.has(id))
        .sort(),
    ).toEqual(["DiskCritical-/", "ServiceDown-n8n", "ServiceDown-qdrant"]);
    const titles = (await messages(mail)).map(({ Subject }) => Subject);
    expect(titles.filter((title) => title.includes("DiskFreeLow"))).toEqual([]);
    expect(titles.filter((title) => title.startsWith("[N1"))).toEqual([]);
    expect(titles.filter((title) => title.includes("ServiceDown"))).toEqual([
      "[P1] prod : ServiceDown (2 alertes)",
    ]);
  });

  it("tells each neighbour and the ping address again and again that it lives, and never that it does not", async () => {
    await until("there are three signs of life", waitForSigns(webhooks, 3));
    const [sign] = webhooks.at("/deadman/prod");
    expect(sign?.headers.authorization).toBe("Bearer a-token-of-neighbours");
    expect(webhooks.at("/ping").length).toBeGreaterThanOrEqual(2);

    await send(alerts, [{ ...WATCHDOG, endsAt: new Date().toISOString() }]);
    await send(alerts, [alertOf("OutOfMemory", { id: "OutOfMemory-n8n", service: "n8n" })]);
    await until("another alert is told", () => paged().includes("OutOfMemory-n8n"));
    const statuses = webhooks
      .at("/deadman/prod")
      .map(({ body }) => (JSON.parse(body) as Notification).status);
    expect(new Set(statuses)).toEqual(new Set(["firing"]));
  });
});

describe("what a fault brings with it", () => {
  let webhooks: Webhooks;
  let alerts: RunningProgram;
  let config: string;

  beforeEach(async () => {
    webhooks = await startWebhooks();
    const neighbours = [{ stack: "staging", url: webhooks.url, trusted: true }];
    const facts = monitoringFacts({
      ...SETTINGS["Slack and a pager, without mail"],
      neighbours,
      ping: false,
    });
    const secrets = { pager_url: `${webhooks.url}/pager`, slack_url: `${webhooks.url}/slack` };
    config = await writeAlerting(facts, {
      hurried: true,
      secrets: { ...secrets, neighbour_token: "a-token" },
    });
    alerts = await startAlerts(config);
    await send(alerts, [WATCHDOG]);
  });
  afterEach(() => Promise.all([alerts.stop(), webhooks.stop(), rm(config, { recursive: true })]));

  const paged = () => pagedBy(webhooks);

  it("tells of no failed request that a dead service explains, also where its alert comes later", async () => {
    await send(alerts, [alertOf("LatencyCritical", { id: "LatencyCritical", topic: "latency" })]);
    await send(alerts, [alertOf("OutOfMemory", { id: "OutOfMemory-gateway", service: "gateway" })]);
    await until("what waits for nothing is told", () => paged().includes("OutOfMemory-gateway"));
    await send(alerts, [alertOf("ServiceDown", { id: "ServiceDown-postgres", service: "postgres" })]);
    await until("the service is told", () => paged().includes("ServiceDown-postgres"));
    await until("the signs of life have come for longer than it waits", waitForSigns(webhooks, 6));

    expect(paged()).not.toContain("LatencyCritical");
  });

  it("tells of nothing that a fault left behind, though the fault is over", async () => {
    const over = (cause: string, labels: Readonly<Record<string, string>>) =>
      alertOf("Aftermath", { id: `Aftermath-${cause}`, cause, severity: "info", ...labels });
    await send(alerts, [
      over("ServiceDown", { service: "document-processor", span: "quarter" }),
      over("MonitoringDown", { job: "logs", span: "minutes" }),
      alertOf("CrashLoop", { id: "CrashLoop-document-processor", service: "document-processor" }),
      alertOf("AlertsNotSent", { id: "AlertsNotSent-log-rules", job: "log-rules" }),
      // Of another service, and one that looks back over less than the time that has passed.
      alertOf("CrashLoop", { id: "CrashLoop-frontend", service: "frontend" }),
      alertOf("ServiceNotRunning", {
        id: "ServiceNotRunning-document-processor",
        service: "document-processor",
      }),
    ]);
    const told = ["CrashLoop-frontend", "ServiceNotRunning-document-processor"];
    await until("the others are told", () => told.every((id) => paged().includes(id)));
    await until("the signs of life have come twice meanwhile", waitForSigns(webhooks, 2));

    expect(paged().filter((id = "") => /^(CrashLoop|AlertsNotSent|Aftermath)/.test(id))).toEqual([
      "CrashLoop-frontend",
    ]);
  });
});

/** Ids of the alerts that the pager was told of, resolved ones not counted. */
const pagedBy = (webhooks: Webhooks) =>
  webhooks
    .at("/pager")
    .map(({ body }) => JSON.parse(body) as Notification)
    .filter(({ status }) => status === "firing")
    .flatMap((notification) => notification.alerts.map(({ labels }) => labels["id"]));

/** True as soon as so many signs of life have come since the first call. */
function waitForSigns(webhooks: Webhooks, count: number) {
  const before = webhooks.at("/deadman/prod").length;
  return () => webhooks.at("/deadman/prod").length >= before + count;
}

const alertOf = (alertname: string, labels: Readonly<Record<string, string>>): SentAlert => ({
  labels: { alertname, severity: "P1", stack: "prod", ...labels },
});

const WATCHDOG = alertOf("Watchdog", { id: "Watchdog", severity: "info" });

const siteDown = (startsAt: string): SentAlert => ({
  ...alertOf("SiteDown", { id: "SiteDown", service: "gateway" }),
  startsAt,
  annotations: {
    title: "Le site ne répond plus",
    where: "https://technicia.exemple.fr",
    value: "aucun contrôle réussi",
    threshold: "3 échecs de suite",
    meaning: "Les techniciens ne peuvent plus se servir de TechnicIA.",
    action: "npm run status -- prod",
    runbook: "docs/alerts.md#sitedown",
    code_team: "k7p2",
    code_slack: "m4xd",
  },
});

interface Mail {
  readonly Subject: string;
  readonly Text: string;
  readonly HTML: string;
}

async function startMail() {
  let port = 0;
  const program = await startProgram("mailpit", {
    ready: "/readyz",
    args: (place) => {
      port = place.port + 1;
      return [
        "--listen",
        `127.0.0.1:${place.port}`,
        "--smtp",
        `127.0.0.1:${port}`,
        "--disable-version-check",
      ];
    },
  });
  return { program, port };
}

async function messages({ url }: RunningProgram): Promise<readonly { ID: string; Subject: string }[]> {
  const answer = await fetch(`${url}/api/v1/messages`);
  return ((await answer.json()) as { messages: { ID: string; Subject: string }[] }).messages;
}

/** The newest mail whose subject begins so. */
async function newest(mail: RunningProgram, beginning: string): Promise<Mail | undefined> {
  const found = (await messages(mail)).find(({ Subject }) => Subject.startsWith(beginning));
  if (found === undefined) return undefined;
  return (await (await fetch(`${mail.url}/api/v1/message/${found.ID}`)).json()) as Mail;
}
