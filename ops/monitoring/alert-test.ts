/**
 * `npm run alerts -- <stack> test`: one marked alert of each severity, through the routes that a real one takes. Each receiver's message shows a
 * code of its own, so that whoever confirms it has seen the message.
 *
 * The annotation `code_<receiver>` holds the code; characters of the name other than letters, digits and `_` are `_` in it.
 */
import { randomInt } from "node:crypto";

import { z } from "zod";

import { ALERT_TEST_DETAIL } from "../../common/release.ts";
import { parseJson } from "../../common/parse-json.ts";
import { UserError } from "../../common/user-error.ts";
import type { Environment } from "../../stacks/environment.ts";
import type { Outcome } from "../command.ts";
import type { Server } from "../server/connection.ts";
import { RECORDS_FOLDER } from "../../common/release.ts";
import { ESCALATION, NOBODY, readAlerts, readReceivers, sendAlerts, type NewAlert } from "./alertmanager.ts";
import { onMonitored, type Monitored } from "./deployed.ts";
import { renderSpan } from "./durations.ts";
import { record, type MonitoringWorld } from "./world.ts";

const SEVERITIES = ["P1", "P2", "P3", "info"];

/** Without those that are taken for one another. */
const CHARACTERS = "abcdefghjkmnpqrstuvwxyz23456789";
const CODE_LENGTH = 4;

/** The alerts end by themselves. */
const LASTS_SECONDS = 300;

/** Codes that are older are of no test that anybody remembers. */
const CONFIRMABLE_SECONDS = 86_400;

/** What was sent and is not confirmed yet: only root reads the codes. */
const SENT_FILE = `${RECORDS_FOLDER}/alert-test-sent.json`;

/** How the last test ended. */
const RESULT_FILE = `${RECORDS_FOLDER}/alert-test.json`;

const sent = z.object({
  at: z.string(),
  receivers: z.record(z.string(), z.object({ code: z.string(), severities: z.array(z.string()) })),
});

type Sent = z.output<typeof sent>;

/** `alert-test.json`: whether everything arrived, and at which receivers. */
const alertTest = z.object({
  at: z.string(),
  by: z.string(),
  passed: z.boolean(),
  receivers: z.record(z.string(), z.object({ received: z.boolean(), severities: z.array(z.string()) })),
});

export type AlertTest = z.output<typeof alertTest>;

const READ = `cat "$FILE" 2>/dev/null || true`;

const WRITE = `
umask 077
install -d -m 0750 "$RECORDS_FOLDER"
written=$(mktemp "$RECORDS_FOLDER/.alert-test.XXXXXXXX")
trap 'rm --force "$written"' EXIT
cat > "$written"
chmod "$MODE" "$written"
mv --no-target-directory "$written" "$FILE"
[ -z "$ENDED" ] || rm --force "$ENDED"`;

export interface AlertTestRequest {
  readonly stack: string;

  /** Receivers with the codes that arrived, `team=k7p2`; empty: a new test is sent. */
  readonly codes: readonly string[];
}

export async function testAlerts(request: AlertTestRequest, world: MonitoringWorld): Promise<Outcome> {
  const given = request.codes.map(codeOf);
  return await onMonitored(request.stack, world, async (monitored) => {
    if (given.length > 0) {
      const earlier = await readSent(monitored, world);
      return await conclude(monitored, { sent: earlier, given: Object.fromEntries(given) }, world);
    }
    const test = await send(monitored, world);
    const names = Object.keys(test.receivers);
    const answers: [string, string][] = [];
    for (const [name, { severities }] of Object.entries(test.receivers)) {
      const question = `code in the message to ${name} (${severities.join(", ")}; empty: nothing arrived): `;
      const answer = await world.ask(question);
      if (answer === undefined) return { text: renderConfirmation(request.stack, names), exitCode: 0 };
      answers.push([name, answer]);
    }
    return await conclude(monitored, { sent: test, given: Object.fromEntries(answers) }, world);
  });
}

function codeOf(text: string): [name: string, code: string] {
  const [, name, code] = /^([^=]+)=(.*)$/.exec(text) ?? [];
  if (name !== undefined && code !== undefined) return [name, code];
  throw new UserError(
    `--code: expected a receiver with its code, such as team=k7p2, got ${JSON.stringify(text)}`,
  );
}

/** Sends the alerts, and keeps which receivers they go to. */
async function send(monitored: Monitored, world: MonitoringWorld): Promise<Sent> {
  const { stores, server, stack, environment } = monitored;
  const codes = new Map((await readReceivers(stores)).map((name) => [name, makeCode()]));
  const run = makeCode();
  const alerts = alertsOf({ environment, stack, codes, run, now: world.now() });
  await sendAlerts(stores, alerts);
  const receivers: Record<string, { code: string; severities: string[] }> = {};
  for (const alert of await readAlerts(stores)) {
    if (alert.labels["test"] !== "yes" || alert.labels["run"] !== run) continue;
    const kind = alert.labels["level"] ?? alert.labels["severity"] ?? "";
    for (const { name } of alert.receivers) {
      if (name === NOBODY) continue;
      const receiver = (receivers[name] ??= { code: codes.get(name) ?? "", severities: [] });
      if (!receiver.severities.includes(kind)) receiver.severities.push(kind);
    }
  }
  if (Object.keys(receivers).length === 0)
    throw new UserError(
      `${stack}: expected a receiver of alerts, got none; name one in technicia:monitoring (mail, receivers) and deploy`,
    );
  for (const { severities } of Object.values(receivers)) severities.sort();
  const test = { at: world.now().toISOString(), receivers };
  await write(server, { file: SENT_FILE, mode: "0600", value: test });
  for (const [name, { severities }] of Object.entries(receivers))
    world.say(`sent to ${name}: ${severities.join(", ")}`);
  return test;
}

interface Sending {
  readonly environment: Pick<Environment, "monitoring" | "domain">;
  readonly stack: string;
  readonly codes: ReadonlyMap<string, string>;
  readonly run: string;
  readonly now: Date;
}

/** The ids are new in each test: an alert that is known already is not sent again. */
function alertsOf({ environment, stack, codes, run, now }: Sending): NewAlert[] {
  const levels = environment.monitoring.escalation.filter(({ emails }) => emails.length > 0);
  const kinds = [
    ...SEVERITIES.map((severity) => ({ kind: severity, labels: { alertname: "Test", severity } })),
    ...levels.map(({ level }) => ({ kind: level, labels: { alertname: ESCALATION, severity: "P1", level } })),
  ];
  return kinds.map(({ kind, labels }) => ({
    labels: { ...labels, test: "yes", id: `Test-${kind}-${run}`, run, stack },
    annotations: {
      title: `Test des alertes (${kind})`,
      where: environment.domain,
      value: "aucune panne",
      meaning: "Ce message vérifie que les alertes arrivent ; il n'y a aucune panne.",
      action: "Donner le code de ce message à la personne qui fait le test.",
      runbook: "docs/alerts.md#test",
      ...Object.fromEntries([...codes].map(([name, code]) => [`code_${name.replaceAll(/\W/g, "_")}`, code])),
    },
    startsAt: now.toISOString(),
    endsAt: new Date(now.getTime() + LASTS_SECONDS * 1000).toISOString(),
  }));
}

function makeCode(): string {
  return Array.from({ length: CODE_LENGTH }, () => CHARACTERS[randomInt(CHARACTERS.length)]).join("");
}

function renderConfirmation(stack: string, names: readonly string[]): string {
  const codes = names.map((name) => `--code ${name}=<code>`).join(" ");
  return [
    "this is not a terminal, so nobody was asked which codes arrived; confirm them with",
    `npm run alerts -- ${stack} test ${codes}`,
    "and leave out the receivers at which nothing arrived",
  ].join("\n");
}

async function readSent({ server, stack }: Monitored, { now }: MonitoringWorld): Promise<Sent> {
  const { stdout } = await server.run({
    purpose: "read which codes were sent",
    script: READ,
    variables: { FILE: SENT_FILE },
  });
  const found = stdout === "" ? undefined : sent.safeParse(JSON.parse(stdout)).data;
  const again = `send a new test with npm run alerts -- ${stack} test`;
  if (found === undefined)
    throw new UserError(`--code: expected a test that waits for its codes, got none; ${again}`);
  const age = (now().getTime() - Date.parse(found.at)) / 1000;
  if (age > CONFIRMABLE_SECONDS)
    throw new UserError(
      `--code: expected a test of the last ${renderSpan(CONFIRMABLE_SECONDS)}, got one from ${renderSpan(age)} ago; ${again}`,
    );
  return found;
}

/** How the last test ended; undefined where there was none. */
export async function readAlertTest(server: Pick<Server, "run">): Promise<AlertTest | undefined> {
  const { stdout } = await server.run({
    purpose: "read the last test of the alerts",
    script: READ,
    variables: { FILE: RESULT_FILE },
  });
  if (stdout === "") return undefined;
  const found = alertTest.safeParse(parseJson(stdout));
  if (found.success) return found.data;
  throw new UserError(
    `${RESULT_FILE}: expected the result of a test of the alerts, got something else; test them again with npm run alerts -- <stack> test`,
  );
}

/** Compares the codes and records the result. */
async function conclude(
  { server, stack }: Monitored,
  { sent: test, given }: { readonly sent: Sent; readonly given: Readonly<Record<string, string>> },
  world: MonitoringWorld,
): Promise<Outcome> {
  const unknown = Object.keys(given).filter((name) => !(name in test.receivers));
  if (unknown.length > 0)
    throw new UserError(
      `--code: expected one of the receivers ${Object.keys(test.receivers).join(", ")}, got ${unknown.join(", ")}`,
    );
  const results = Object.entries(test.receivers).map(([name, { code, severities }]) => {
    const answer = (given[name] ?? "").trim().toLowerCase();
    return { name, severities, received: answer === code, isWrong: answer !== "" && answer !== code };
  });
  const passed = results.every(({ received }) => received);
  const result: AlertTest = {
    ...{ at: world.now().toISOString(), by: world.identity.who, passed },
    receivers: Object.fromEntries(
      results.map(({ name, received, severities }) => [name, { received, severities }]),
    ),
  };
  await write(server, { file: RESULT_FILE, mode: "0644", value: result, ended: SENT_FILE });
  const words = results.map(({ name, received }) => `${name} ${received ? "reçu" : "non reçu"}`).join(", ");
  await record(server, world, {
    action: passed ? "alert-test" : "alert",
    detail: `${ALERT_TEST_DETAIL}${words}`,
  });
  const lines = results.map(({ name, severities, received, isWrong }) =>
    received
      ? `${name}: received (${severities.join(", ")})`
      : `${name}: ${isWrong ? "that is not its code, so it counts as not received" : "not received"} (${severities.join(", ")}); ${checkOf(name, stack)}`,
  );
  return { text: lines.join("\n"), exitCode: passed ? 0 : 1 };
}

/** What to look at when nothing arrives at a receiver. */
function checkOf(name: string, stack: string): string {
  const logs = `npm run logs -- ${stack} alerts --errors`;
  if (/slack/i.test(name))
    return `check the secret slackUrl and the channel; ${logs} shows what Slack answered`;
  if (/pager|sms|webhook/i.test(name))
    return `check the secret pagerUrl; ${logs} shows what its address answered`;
  return `check the addresses in technicia:monitoring, mail.host, the secret smtpPassword and the folder of unwanted mail; ${logs} shows what the mail server answered`;
}

async function write(
  server: Server,
  request: { readonly file: string; readonly mode: string; readonly value: unknown; readonly ended?: string },
): Promise<void> {
  const { file, mode, value, ended = "" } = request;
  await server.run({
    purpose: `write ${file}`,
    script: WRITE,
    variables: { RECORDS_FOLDER, FILE: file, MODE: mode, ENDED: ended },
    stdin: JSON.stringify(value),
  });
}
