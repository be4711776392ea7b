/** `npm run alerts`: what is wrong now, who was told, and what the monitoring itself does not know. */
import { shellWord } from "../../common/shell-quote.ts";
import { UserError } from "../../common/user-error.ts";
import { withoutInvisible } from "../../common/visible-text.ts";
import type { Outcome } from "../command.ts";
import { renderTable } from "../terminal.ts";
import {
  AFTERMATH,
  ANNOUNCEMENT,
  ESCALATION,
  NOBODY,
  PLANNED,
  readAlerts,
  readSilences,
  WATCHDOG,
  type Labels,
  type SentAlert,
  type Silence,
} from "./alertmanager.ts";
import { onMonitored, orReason, type Monitored } from "./deployed.ts";
import { renderMoment, renderSpan } from "./durations.ts";
import { renderMatchers } from "./matchers.ts";
import { readRules, type Rule, type Rules } from "./vmalert.ts";
import type { MonitoringWorld } from "./world.ts";

/** A fault, with everything that Alertmanager has about it. */
export interface ActiveAlert {
  readonly id: string;
  readonly severity: string;
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly since: Date;

  /** Names of the receivers that its route leads to. */
  readonly receivers: readonly string[];

  /** Levels of people that it has been escalated to. */
  readonly levels: readonly string[];
  readonly silencedBy: readonly Silence[];

  /** Whether another alert explains it, so that nobody is told of it. */
  readonly isInhibited: boolean;
  readonly isTest: boolean;
}

/** Severities for which the command ends with 1. */
const GRAVE = ["P1", "P2"];
const ORDER = ["P1", "P2", "P3", "info"];

export const FOUND = 1;

const LONGEST_TEXT = 300;

export async function listAlerts(
  { stack, json }: { readonly stack: string; readonly json: boolean },
  world: MonitoringWorld,
): Promise<Outcome> {
  return await onMonitored(stack, world, async (monitored) => {
    const [sent, rules] = [await orReason(readActive(monitored)), await readRules(monitored.stores)];
    const alerts = sent instanceof UserError ? firingIn(rules) : sent.alerts;
    const silences = sent instanceof UserError ? [] : sent.silences;
    const problems = [...(sent instanceof UserError ? [sent] : []), ...rules.silent].map(
      ({ message }) => message,
    );
    const broken = rules.rules.filter(({ error }) => error !== undefined);
    const exitCode = problems.length > 0 || broken.length > 0 || alerts.some(isGrave) ? FOUND : 0;
    const found = { stack, alerts, silences, problems, broken, isSent: !(sent instanceof UserError) };
    return { text: json ? asJson(found) : render(found, world), exitCode };
  });
}

export interface Active {
  readonly alerts: readonly ActiveAlert[];
  readonly silences: readonly Silence[];
}

/** What is no fault of its own. */
const NO_FAULTS = [ESCALATION, WATCHDOG, ANNOUNCEMENT, AFTERMATH];

function isFault({ labels }: { readonly labels: Labels }): boolean {
  return !NO_FAULTS.includes(labels["alertname"] ?? "");
}

/** What Alertmanager has, the gravest first, without the one that fires always and without announcements. */
export async function readActive({ stores }: Pick<Monitored, "stores">): Promise<Active> {
  const [sent, silences] = [await readAlerts(stores), await readSilences(stores)];
  const escalated = sent.filter(({ labels }) => labels["alertname"] === ESCALATION);
  const alerts = sent.filter(isFault).map((alert) => activeAlert(alert, { silences, escalated }));
  return { alerts: alerts.sort(byGravity), silences };
}

function activeAlert(
  { labels, annotations, startsAt, receivers, status }: SentAlert,
  {
    silences,
    escalated,
  }: { readonly silences: readonly Silence[]; readonly escalated: readonly SentAlert[] },
): ActiveAlert {
  const id = idOf(labels);
  return {
    ...{ id, labels, annotations, since: new Date(startsAt) },
    severity: labels["severity"] ?? "",
    receivers: [...new Set(receivers.map(({ name }) => name))].filter((name) => name !== NOBODY),
    levels: escalated.flatMap((one) => (idOf(one.labels) === id ? [one.labels["level"] ?? ""] : [])).sort(),
    silencedBy: silences.filter((silence) => status.silencedBy.includes(silence.id)),
    isInhibited: status.inhibitedBy.length > 0,
    isTest: labels["test"] === "yes",
  };
}

/** What the rules themselves say, where Alertmanager is silent. */
function firingIn({ rules }: Pick<Rules, "rules">): ActiveAlert[] {
  const firing = rules.flatMap(({ alerts }) => alerts.filter(({ state }) => state === "firing"));
  return firing
    .filter(isFault)
    .map(({ labels, annotations, activeAt }) => ({
      ...{ id: idOf(labels), labels, annotations, since: new Date(activeAt) },
      severity: labels["severity"] ?? "",
      ...{ receivers: [], levels: [], silencedBy: [], isInhibited: false, isTest: labels["test"] === "yes" },
    }))
    .sort(byGravity);
}

export function idOf(labels: Labels): string {
  return labels["id"] ?? labels["alertname"] ?? "";
}

function byGravity(one: ActiveAlert, other: ActiveAlert): number {
  const rank = ({ severity }: ActiveAlert) => (ORDER.indexOf(severity) + ORDER.length) % ORDER.length;
  return rank(one) - rank(other) || one.since.getTime() - other.since.getTime();
}

function isGrave({ severity, isTest, silencedBy }: ActiveAlert): boolean {
  return !isTest && GRAVE.includes(severity) && !silencedBy.some(isPlanned);
}

export function isPlanned({ comment }: Silence): boolean {
  return comment.startsWith(PLANNED);
}

interface Found extends Active {
  readonly stack: string;

  /** Programs of the monitoring that do not answer. */
  readonly problems: readonly string[];

  /** Rules that could not be evaluated. */
  readonly broken: readonly Rule[];

  /** Whether Alertmanager was asked: only it knows who was told. */
  readonly isSent: boolean;
}

function render(
  { stack, alerts, silences, problems, broken, isSent }: Found,
  { now }: MonitoringWorld,
): string {
  const isKnown = problems.length === 0 && broken.length === 0;
  const none = isKnown ? `${stack}: no alert` : `${stack}: no alert among those that are known`;
  const sections = [
    problems.join("\n"),
    ...(isSent ? [] : ["nobody is told of anything meanwhile; this is what the rules say:"]),
    broken.map(renderBroken).join("\n"),
    ...(alerts.length === 0
      ? [none]
      : alerts.map((alert) => renderAlert(alert, { stack, isSent, now: now() }))),
    renderSilences(silences, { stack, alerts }),
  ];
  return sections.filter((section) => section !== "").join("\n\n");
}

function renderBroken({ name, store, error }: Rule): string {
  return `rule ${name} of ${store} is not evaluated: ${clean(error ?? "")}`;
}

function renderAlert(
  alert: ActiveAlert,
  { stack, isSent, now }: { readonly stack: string; readonly isSent: boolean; readonly now: Date },
): string {
  const { id, severity, annotations, labels, since, isTest } = alert;
  const age = renderSpan((now.getTime() - since.getTime()) / 1000);
  const { value, threshold } = annotations;
  const rows: [string, string | undefined][] = [
    ["where", annotations["where"] ?? labels["service"]],
    ["value", value && threshold ? `${value} (threshold: ${threshold})` : value],
    ["since", `${renderMoment(since)}, for ${age}`],
    ["told", isSent ? renderTold(alert) : undefined],
    ["state", renderState(alert, stack)],
    ["meaning", annotations["meaning"]],
    ["to do", annotations["action"]],
    ["runbook", annotations["runbook"]],
  ];
  const head = `${severity || "?"} ${annotations["title"] ?? labels["alertname"] ?? id}${isTest ? " (test)" : ""}`;
  const lines = [["id", id] as const, ...rows].flatMap(([name, text]) =>
    text === undefined || text.trim() === "" ? [] : [`    ${name.padEnd(9)}${clean(text)}`],
  );
  return [clean(head), ...lines].join("\n");
}

function renderTold({ receivers, levels, isInhibited, silencedBy }: ActiveAlert): string {
  if (isInhibited) return "nobody: another alert explains it";
  if (silencedBy.some(isPlanned)) return "nobody: planned work";
  const names = receivers.length === 0 ? "nobody: no receiver is configured for it" : receivers.join(", ");
  return levels.length === 0 ? names : `${names}; escalated to ${levels.join(", ")}`;
}

function renderState({ id, silencedBy, severity, isTest }: ActiveAlert, stack: string): string | undefined {
  const [silence] = silencedBy;
  if (silence === undefined) {
    if (isTest || !GRAVE.includes(severity)) return undefined;
    return `nobody has acknowledged it: npm run alerts -- ${stack} ack ${shellWord(id)} --comment "…"`;
  }
  const { createdBy, comment, endsAt } = silence;
  const until = momentOf(endsAt);
  if (isPlanned(silence)) return `${comment} (${createdBy}), until ${until}`;
  return `acknowledged by ${createdBy} until ${until}: ${comment}`;
}

/** Planned work, and what no alert shows already. */
function renderSilences(
  silences: readonly Silence[],
  { stack, alerts }: { readonly stack: string; readonly alerts: readonly ActiveAlert[] },
): string {
  const shown = new Set(alerts.flatMap(({ silencedBy }) => silencedBy.map(({ id }) => id)));
  const others = silences.filter((silence) => !shown.has(silence.id) && !isPlanned(silence));
  // One piece of work has several silences.
  const planned = silences
    .filter(isPlanned)
    .map(
      ({ comment, createdBy, endsAt }) =>
        `${clean(comment)} (${createdBy}), until ${momentOf(endsAt)} at most`,
    );
  const lines = [...new Set(planned)];
  if (others.length === 0) return lines.join("\n");
  const rows = others.map(({ id, matchers, createdBy, comment, endsAt }) => [
    id.slice(0, 8),
    renderMatchers(matchers),
    momentOf(endsAt),
    createdBy,
    clean(comment),
  ]);
  return [
    ...lines,
    renderTable({ headings: ["Silence", "Alerts", "Until", "By", "Why"], rows }),
    `end one with npm run alerts -- ${stack} unsilence <silence>`,
  ].join("\n");
}

function momentOf(text: string): string {
  return renderMoment(new Date(text));
}

/** Texts of alerts come from labels, and labels from lines that anybody may have caused. */
export function clean(text: string): string {
  const line = withoutInvisible(text.replaceAll(/\s+/g, " ")).trim();
  return line.length <= LONGEST_TEXT ? line : `${line.slice(0, LONGEST_TEXT)}…`;
}

function asJson({ stack, alerts, silences, problems, broken }: Found): string {
  const told = alerts.map(({ silencedBy, since, ...alert }) => ({
    ...alert,
    since: since.toISOString(),
    silencedBy: silencedBy.map(({ id, createdBy, comment, endsAt }) => ({ id, createdBy, comment, endsAt })),
  }));
  const rules = broken.map(({ name, store, error }) => ({ name, store, error }));
  return JSON.stringify({ stack, alerts: told, silences, problems, brokenRules: rules }, null, 2);
}
