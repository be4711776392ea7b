import { isOver } from "./environment.ts";
import { accessRules } from "./access.ts";
import { dataRules } from "./data.ts";
import { environmentRules } from "./environment.ts";
import type { Facts, Level, Resource, Rule } from "./rule.ts";
import { secretRules } from "./secrets.ts";
import { serviceRules } from "./services.ts";

export const RULES: readonly Rule[] = [
  ...serviceRules,
  ...dataRules,
  ...secretRules,
  ...accessRules,
  ...environmentRules,
];

export interface Violation {
  readonly level: Level;
  readonly text: string;
}

/** What one rule says of a resource, or of all of them. An exception that has not ended makes it advisory. */
export function violations(rule: Rule, about: Resource | readonly Resource[], facts: Facts): Violation[] {
  const texts = isList(about) ? rule.judgeAll?.(about, facts) : rule.judge?.(about, facts);
  const exception = facts.environment?.policy.exceptions.find(
    ({ rule: excepted, until }) => excepted === rule.exceptedAs && !isOver(until, facts.now),
  );
  return (texts ?? []).map((text) =>
    exception === undefined
      ? { level: rule.level, text }
      : { level: "advisory", text: `${text} (excepted until ${exception.until})` },
  );
}

function isList(about: Resource | readonly Resource[]): about is readonly Resource[] {
  return Array.isArray(about);
}
