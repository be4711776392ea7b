/** What a silence means for the ladder of the escalation, whose alerts are others than the fault's own. */
import { SERVER_LABEL } from "../../common/monitoring.ts";
import { ESCALATION, ESCALATION_LABELS } from "../../common/planned-alerts.ts";
import type { Labels, Matcher } from "./alertmanager.ts";
import { matches } from "./matchers.ts";

/** What becomes of the escalation of a P1 that the silence is for. */
export type Ladder = "stops" | "goes on" | "alone" | "none";

export interface Scope {
  /** As Alertmanager is to have them: of the ladder, they fit what they fit of the faults. */
  readonly matchers: readonly Matcher[];
  readonly ladder: Ladder;
}

/** Labels that every alert of a level has, besides those of its fault. */
const OF_ALL = ["alertname", "severity", "stack"];

/** Labels that only the ladder's alerts have: who types one means the ladder. */
const OF_LADDER = ["about", "level"];

/** `rules`: labels of every rule about a fault, with its `alertname`. */
export function scopeOf(typed: readonly Matcher[], rules: readonly Labels[]): Scope {
  const named = (names: readonly string[]) => typed.filter(({ name }) => names.includes(name));
  const [names, severities] = [named(["alertname"]), named(["severity"])];
  const isAlone =
    named(OF_LADDER).length > 0 ||
    (matches(names, { alertname: ESCALATION }) && !rules.some((labels) => matches(names, labels)));
  if (isAlone) return { matchers: typed, ladder: "alone" };
  const isOfP1 = rules.some(
    (labels) => labels["severity"] === "P1" && matches([...names, ...severities], labels),
  );
  if (!isOfP1) return { matchers: typed, ladder: "none" };
  // A label that the ladder lacks does not say which part of it is meant.
  const isTold = typed.every(({ name }) => [...OF_ALL, ...ESCALATION_LABELS, SERVER_LABEL].includes(name));
  if (!isTold) return { matchers: [...typed, EXCEPT_LADDER], ladder: "goes on" };
  return { matchers: typed.flatMap(withLadder), ladder: "stops" };
}

const EXCEPT_LADDER: Matcher = { name: "alertname", value: ESCALATION, isRegex: false, isEqual: false };

/** The ladder's alerts have the name of their fault's in `about`, which a fault lacks. */
function withLadder(matcher: Matcher): Matcher[] {
  if (matcher.name !== "alertname") return [matcher];
  if (!matcher.isEqual) return [matcher, { ...matcher, name: "about" }];
  const value = matcher.isRegex ? matcher.value : matcher.value.replaceAll(/[^\w-]/g, "\\$&");
  return [
    { ...matcher, value: `${value}|${ESCALATION}`, isRegex: true },
    { ...matcher, name: "about", value: `${value}|`, isRegex: true },
  ];
}

/** The line of the answer; empty where there is nothing to say. */
export function renderLadder(ladder: Ladder): string {
  switch (ladder) {
    case "stops":
      return "a P1 among them is not escalated meanwhile either";
    case "goes on":
      return "a P1 among them is still escalated; acknowledge it to stop that";
    case "alone":
      return "these are messages of the escalation; the alert of a fault is silenced only where it fits as well";
    case "none":
      return "";
  }
}
