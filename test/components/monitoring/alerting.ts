import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { renderAlertmanager } from "../../../components/monitoring/alertmanager.ts";
import { CONFIG_FOLDER, type MonitoringFacts } from "../../../components/monitoring/facts.ts";
import { renderMessages } from "../../../components/monitoring/messages.ts";
import { type RunningProgram, startProgram } from "./program.ts";

/** What is behind the secrets: addresses of doubles. */
export interface Secrets {
  readonly slack_url?: string;
  readonly pager_url?: string;
  readonly ping_url?: string;
  readonly neighbour_token?: string;
  readonly smtp_password?: string;
}

/** Writes Alertmanager's files into a folder, with every waiting time as one of a few seconds where that is asked for. */
export async function writeAlerting(
  facts: MonitoringFacts,
  { secrets = {}, hurried = false }: { readonly secrets?: Secrets; readonly hurried?: boolean } = {},
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "alerting-"));
  await mkdir(join(folder, "secrets"));
  for (const [name, value] of Object.entries<string>({ ...secrets }))
    await writeFile(join(folder, "secrets", name), value);
  const config = renderAlertmanager(facts)
    .replaceAll(CONFIG_FOLDER, folder)
    .replaceAll("/run/secrets", join(folder, "secrets"));
  const quick = config
    .replaceAll(/group_wait: (\d+)s/g, (_, seconds) => `group_wait: ${Number(seconds) > 60 ? 5 : 1}s`)
    .replaceAll(/group_interval: .*/g, "group_interval: 2s")
    .replaceAll("repeat_interval: 55s", "repeat_interval: 1s");
  await writeFile(join(folder, "alertmanager.yml"), hurried ? quick : config);
  await writeFile(join(folder, "messages.tmpl"), renderMessages(facts));
  return folder;
}

export const startAlerts = (config: string): Promise<RunningProgram> =>
  startProgram("alertmanager", {
    ready: "/-/ready",
    environment: { TZ: "Europe/Paris" },
    args: ({ folder, port }) => [
      `--config.file=${join(config, "alertmanager.yml")}`,
      `--storage.path=${folder}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--cluster.listen-address=",
    ],
  });

export interface SentAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly startsAt?: string;
  readonly endsAt?: string;
}

/** Gives Alertmanager alerts as vmalert does. */
export async function send(alerts: RunningProgram, list: readonly SentAlert[]): Promise<void> {
  const answer = await fetch(`${alerts.url}/api/v2/alerts`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(list),
  });
  if (!answer.ok)
    throw new Error(`expected the alerts to be taken, got ${answer.status}: ${await answer.text()}`);
}

/** Acknowledges a fault: silences its id. */
export async function silence(alerts: RunningProgram, id: string): Promise<void> {
  const now = Date.now();
  const body = {
    matchers: [{ name: "id", value: id, isRegex: false, isEqual: true }],
    startsAt: new Date(now).toISOString(),
    endsAt: new Date(now + 3_600_000).toISOString(),
    ...{ createdBy: "alice", comment: "je m'en charge" },
  };
  const answer = await fetch(`${alerts.url}/api/v2/silences`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!answer.ok)
    throw new Error(`expected the silence to be taken, got ${answer.status}: ${await answer.text()}`);
}
