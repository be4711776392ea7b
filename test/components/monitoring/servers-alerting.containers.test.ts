/** Who is told what of several servers, with the real Alertmanager: one server that is gone is one message. */
import { afterEach, expect, it } from "vitest";

import { until } from "../../support/until.ts";
import { type SentAlert, send, startAlerts, writeAlerting } from "./alerting.ts";
import { monitoringFacts, SEVERAL } from "./facts.ts";
import type { RunningProgram } from "./program.ts";

let alerts: RunningProgram | undefined;
afterEach(() => alerts?.stop());

const firing = (alertname: string, labels: SentAlert["labels"] = {}): SentAlert => ({
  labels: { alertname, severity: "P2", id: [alertname, ...Object.values(labels)].join("-"), ...labels },
});

/** The alerts that are sent to somebody, once Alertmanager has judged all of them. */
async function told(list: readonly SentAlert[]): Promise<readonly string[]> {
  // What has no receiver is never judged.
  const receivers = { team: { emails: ["equipe@exemple.fr"] }, slack: false, webhooks: [] };
  const facts = monitoringFacts({ ...SEVERAL, receivers, neighbours: [], ping: false });
  const secrets = { smtp_password: "x" };
  alerts = await startAlerts(await writeAlerting(facts, { secrets, hurried: true }));
  await send(alerts, list);
  const found = await until("all alerts are judged", async () => {
    const answer = await fetch(`${alerts!.url}/api/v2/alerts`);
    const all = (await answer.json()) as { labels: Record<string, string>; status: { state: string } }[];
    const isJudged = all.length === list.length && all.every(({ status }) => status.state !== "unprocessed");
    return isJudged ? all : undefined;
  });
  return found
    .flatMap(({ labels, status }) => (status.state === "active" ? [labels["id"] ?? ""] : []))
    .sort();
}

it("tells of a server that is gone, of nothing that it shows itself, and of what another one shows", async () => {
  const gone = { server: "gra-2" };
  const other = { server: "sbg-1" };
  const sent = await told([
    firing("ServerGone", gone),
    ...["CollectorSilent", "JournalSilent", "UnitFailed", "HostMemoryCritical"].map((name) =>
      firing(name, gone),
    ),
    firing("Escalation", { about: "CollectorSilent", ...gone }),
    firing("CollectorSilent", other),
    firing("ServiceNotRunning", { service: "n8n" }),
  ]);

  expect(sent).toEqual(["CollectorSilent-sbg-1", "ServerGone-gra-2", "ServiceNotRunning-n8n"]);
});

it("tells of nothing that a server shows for a while after it is back", async () => {
  const sent = await told([
    firing("Aftermath", { cause: "ServerGone", span: "moment", server: "gra-2" }),
    firing("CollectorSilent", { server: "gra-2" }),
    firing("CollectorSilent", { server: "sbg-1" }),
  ]);

  expect(sent).toEqual(["Aftermath-ServerGone-moment-gra-2", "CollectorSilent-sbg-1"]);
});

it("tells of one server's memory beside another's, and of the gravest limit of each", async () => {
  const memory = (name: string, severity: string, server: string): SentAlert => ({
    labels: { ...firing(name, { server }).labels, severity, topic: `memory-${server}` },
  });
  const sent = await told([
    memory("HostMemoryCritical", "P1", "gra-1"),
    memory("AvailableMemoryCritical", "P1", "gra-1"),
    memory("HostMemoryHigh", "P2", "gra-1"),
    memory("AvailableMemoryCritical", "P1", "gra-2"),
    memory("HostMemoryHigh", "P2", "sbg-1"),
  ]);

  expect(sent).toEqual(["AvailableMemoryCritical-gra-2", "HostMemoryCritical-gra-1", "HostMemoryHigh-sbg-1"]);
});
