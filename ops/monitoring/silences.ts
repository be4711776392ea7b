/** Acknowledgements and silences: both are Alertmanager's silences, and each is in the audit. */
import { UserError } from "../../common/user-error.ts";
import type { Outcome } from "../command.ts";
import {
  AFTERMATH,
  ESCALATION,
  endSilence,
  makeSilence,
  PLANNED,
  readAlerts,
  readSilences,
  WATCHDOG,
  type Labels,
  type Matcher,
  type Silence,
} from "./alertmanager.ts";
import { idOf, readActive } from "./alerts.ts";
import { onMonitored, type Monitored } from "./deployed.ts";
import { durationOf, renderMoment } from "./durations.ts";
import { renderLadder, scopeOf } from "./ladder.ts";
import { matches, parseMatcher, renderMatchers } from "./matchers.ts";
import { readRules } from "./vmalert.ts";
import { record, type MonitoringWorld } from "./world.ts";

const DAY_SECONDS = 86_400;
const LONGEST_DAYS = 30;
const DEFAULT_ACKNOWLEDGEMENT = "4h";

interface Explained {
  readonly stack: string;
  readonly comment: string | undefined;

  /** A span such as `4h`. */
  readonly span: string | undefined;
}

export async function acknowledge(
  { id, ...request }: Explained & { readonly id: string },
  world: MonitoringWorld,
): Promise<Outcome> {
  const { stack } = request;
  const [comment, seconds] = [
    commentOf(request),
    spanOf({ ...request, span: request.span ?? DEFAULT_ACKNOWLEDGEMENT }),
  ];
  return await onMonitored(stack, world, async ({ stores, server }) => {
    const { alerts } = await readActive({ stores });
    const alert = alerts.find((one) => one.id === id);
    if (alert === undefined) {
      const known = [...new Set(alerts.map((one) => one.id))];
      throw new UserError(
        `${id}: expected the id of an active alert of ${stack}, ${known.length === 0 ? "and there is none" : `such as ${known.join(", ")}`}; npm run alerts -- ${stack} shows them`,
      );
    }
    const [from, until] = spanFrom(world.now(), seconds);
    const matchers = [{ name: "id", value: id, isRegex: false, isEqual: true }];
    const silence = await makeSilence(stores, { matchers, from, until, by: world.identity.who, comment });
    await record(server, world, {
      detail: `${acknowledged(id)} jusqu'à ${until.toISOString()}`,
      reason: comment,
    });
    return {
      text: `${id} is acknowledged until ${renderMoment(until)}: nobody else is told of it, and it is not escalated; npm run alerts -- ${stack} unsilence ${silence.slice(0, 8)} ends that`,
      exitCode: 0,
    };
  });
}

/** How the audit's line of an acknowledgement begins. */
export function acknowledged(id: string): string {
  return `alerte ${id} prise en charge`;
}

export async function silenceAlerts(
  { texts, ...request }: Explained & { readonly texts: readonly string[] },
  world: MonitoringWorld,
): Promise<Outcome> {
  const { stack } = request;
  const [comment, seconds] = [commentOf(request), spanOf(request)];
  if (texts.length === 0)
    throw new UserError(
      `expected which alerts to silence, such as service=qdrant or alertname=~"Disk.*"; npm run alerts -- ${stack} rules shows the labels`,
    );
  const matchers = texts.map(parseMatcher);
  return await onMonitored(stack, world, async ({ stores, server }) => {
    const faults = await refuseTooMuch(matchers, { stores, stack });
    const scope = scopeOf(matchers, faults);
    const [from, until] = spanFrom(world.now(), seconds);
    const by = world.identity.who;
    const id = await makeSilence(stores, { matchers: scope.matchers, from, until, by, comment });
    const which = renderMatchers(matchers);
    await record(server, world, {
      detail: `alertes ${which} mises en silence jusqu'à ${until.toISOString()}`,
      reason: comment,
    });
    const lines = [
      `silence ${id.slice(0, 8)}: nobody is told of ${which} until ${renderMoment(until)}; npm run alerts -- ${stack} unsilence ${id.slice(0, 8)} ends that`,
      renderLadder(scope.ladder),
    ];
    return { text: lines.filter((line) => line !== "").join("\n"), exitCode: 0 };
  });
}

/** Compares with every rule that there is, and with the alerts that are active; gives the labels of the rules about faults. */
async function refuseTooMuch(
  matchers: readonly Matcher[],
  { stores, stack }: Pick<Monitored, "stores" | "stack">,
): Promise<readonly Labels[]> {
  const { rules, silent } = await readRules(stores);
  const alerting = rules.filter(({ isAlerting }) => isAlerting);
  if (silent.length > 0 || alerting.length === 0)
    throw new UserError(
      `${silent[0]?.message ?? "the rules are not known"}\nwithout all rules nobody knows what this would silence: acknowledge one alert instead, with npm run alerts -- ${stack} ack <id> --comment "…"`,
    );
  const active = (await readAlerts(stores)).map(({ labels }) => labels);
  const declared = alerting.map(({ name, labels }): Labels => ({ stack, ...labels, alertname: name }));
  const watchdogs = [...declared, ...active, { alertname: WATCHDOG, stack }].filter(
    ({ alertname }) => alertname === WATCHDOG,
  );
  const which = renderMatchers(matchers);
  // What is only informative tells nobody of a fault, and the ladder repeats what others say.
  const faults = declared.filter(
    ({ alertname, severity }) =>
      severity !== "info" && ![WATCHDOG, AFTERMATH, ESCALATION].includes(alertname ?? ""),
  );
  const left = (labels: readonly Labels[]) => labels.filter((one) => !matches(matchers, one));
  if (left(faults).length === 0)
    throw new UserError(
      `${which}: expected some of the alerts, got all of them; nothing would tell you of any fault: name a service or an alertname`,
    );
  const critical = faults.filter(({ severity }) => severity === "P1");
  if (critical.length > 0 && left(critical).length === 0)
    throw new UserError(
      `${which}: expected some of the P1 alerts, got all of them; nothing would tell you of a critical fault: name a service or an alertname`,
    );
  if (watchdogs.some((labels) => matches(matchers, labels)))
    throw new UserError(
      `${which}: expected alerts other than ${WATCHDOG}, whose silence is what tells others that ${stack} is gone; add alertname!=${WATCHDOG}`,
    );
  return faults;
}

export async function unsilence(
  { stack, which }: { readonly stack: string; readonly which: string },
  world: MonitoringWorld,
): Promise<Outcome> {
  return await onMonitored(stack, world, async ({ stores, server }) => {
    const silences = await readSilences(stores);
    const found = silences.filter((silence) => isMeant(silence, which));
    if (found.length === 0)
      throw new UserError(
        `${which}: expected the id of a silence of ${stack}, or of an acknowledged alert, ${silences.length === 0 ? "and there is none" : `such as ${silences.map(({ id }) => id.slice(0, 8)).join(", ")}`}; npm run alerts -- ${stack} shows them`,
      );
    for (const { id } of found) await endSilence(stores, id);
    const ended = found.map(({ matchers }) => renderMatchers(matchers)).join(" ; ");
    await record(server, world, { detail: `fin du silence : ${ended}` });
    return { text: `people are told again of ${ended}`, exitCode: 0 };
  });
}

/** The beginning of a silence's id, or the whole id of an alert. */
function isMeant({ id, matchers }: Silence, which: string): boolean {
  if (which.length >= 8 && id.startsWith(which)) return true;
  return matchers.length === 1 && matchers[0]!.name === "id" && idOf({ id: matchers[0]!.value }) === which;
}

function commentOf({ comment }: Explained): string {
  const text = comment?.trim() ?? "";
  if (text === "")
    throw new UserError('--comment: expected why, for those who come after; add --comment "…"');
  if (text.startsWith(PLANNED.trim()))
    throw new UserError(
      `--comment: expected one that does not begin with ${JSON.stringify(PLANNED.trim())}, which marks the silences of commands; reword it`,
    );
  return text;
}

function spanOf({ span }: Explained): number {
  if (span === undefined)
    throw new UserError(
      "--for: expected how long, at most 30d; a silence without an end is forgotten: add --for 2h",
    );
  const seconds = durationOf("--for", span);
  if (seconds <= LONGEST_DAYS * DAY_SECONDS) return seconds;
  throw new UserError(
    `--for: expected at most ${LONGEST_DAYS}d, got ${span}; correct the rule's threshold in technicia:monitoring.thresholds instead`,
  );
}

function spanFrom(from: Date, seconds: number): [from: Date, until: Date] {
  return [from, new Date(from.getTime() + seconds * 1000)];
}
