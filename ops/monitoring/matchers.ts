/** Which alerts a silence is for, as people type it: `alertname=ServiceDown`, `service=~"n8n|qdrant"`. */
import { UserError } from "../../common/user-error.ts";
import type { Labels, Matcher } from "./alertmanager.ts";

const FORM = /^(?<name>[a-zA-Z_][a-zA-Z0-9_]*)(?<operator>=~|!~|!=|=)(?<value>.*)$/s;

/** @throws UserError for a text of another form */
export function parseMatcher(text: string): Matcher {
  const { name, operator, value } = FORM.exec(text.trim())?.groups ?? {};
  if (name === undefined || operator === undefined || value === undefined)
    throw new UserError(
      `matcher: expected label=value, label!=value, label=~expression or label!~expression, got ${JSON.stringify(text)}`,
    );
  const unquoted = /^"(.*)"$/s.exec(value)?.[1] ?? value;
  const matcher = {
    name,
    value: unquoted,
    isRegex: operator.endsWith("~"),
    isEqual: !operator.startsWith("!"),
  };
  if (matcher.isRegex) expressionOf(matcher);
  return matcher;
}

export function renderMatchers(matchers: readonly Matcher[]): string {
  return matchers
    .map(({ name, value, isRegex, isEqual }) => {
      const operator = isRegex ? (isEqual ? "=~" : "!~") : isEqual ? "=" : "!=";
      return `${name}${operator}${value}`;
    })
    .join(" ");
}

/** As Alertmanager decides it: all matchers hold, and an expression fits the whole value. */
export function matches(matchers: readonly Matcher[], labels: Labels): boolean {
  return matchers.every((matcher) => {
    const value = labels[matcher.name] ?? "";
    const holds = matcher.isRegex ? expressionOf(matcher).test(value) : value === matcher.value;
    return holds === matcher.isEqual;
  });
}

function expressionOf({ name, value }: Pick<Matcher, "name" | "value">): RegExp {
  try {
    return new RegExp(`^(?:${value})$`, "s");
  } catch {
    throw new UserError(
      `matcher ${name}: expected a regular expression, got ${JSON.stringify(value)}; use = for a plain value`,
    );
  }
}
