/** Keeps secrets out of what is published: by the engine's mark, by the name of a property, and by value. */
import { SECRET_SIGNATURE, SIGNATURE_KEY } from "../../common/property-signatures.ts";

/** What stands in place of a secret. */
export const MASK = "[secret]";

const SECRET_NAME =
  /(?:pass(?:word|phrase|wd)|secret|token|(?:api|private|encryption|access|secret|consumer|application)_?key|credentials?)$/i;

/** Shorter values are words that stand everywhere; masking them would make the report unreadable. */
const SHORTEST_VALUE = 8;
const SHORTEST_LINE = 16;

export function isSpecial(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && SIGNATURE_KEY in value;
}

/** Whether the engine marked the value as a secret. */
export function isMarkedSecret(value: unknown): boolean {
  return value === MASK || (isSpecial(value) && value[SIGNATURE_KEY] === SECRET_SIGNATURE);
}

/** Whether a property of this name holds a secret, whatever the engine says; `…_FILE` names only say where one is. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name);
}

/** Takes known values out of any text. */
export type Redact = (text: string) => string;

export function redactor(secrets: readonly string[]): Redact {
  const forms = new Set(secrets.flatMap(formsOf));
  // Longest first, or the rest of a secret would stay behind a mask put over its beginning.
  const ordered = [...forms].sort((a, b) => b.length - a.length);
  return (text) => ordered.reduce((cleaned, form) => cleaned.replaceAll(form, MASK), text);
}

/** Values of variables such as GITHUB_TOKEN: the CI hides them in its log, but not in a comment. */
export function secretsOfEnvironment(environment: Readonly<Record<string, string | undefined>>): string[] {
  return Object.entries(environment).flatMap(([name, value]) =>
    value !== undefined && isSecretName(name) ? [value] : [],
  );
}

/** Applies it to every text inside a value, however deep, names of properties included. */
export function redactDeep<T>(value: T, redact: Redact): T {
  return visit(value, redact) as T;
}

function visit(value: unknown, redact: Redact): unknown {
  if (typeof value === "string") return redact(value);
  if (Array.isArray(value)) return value.map((item) => visit(item, redact));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [redact(name), visit(item, redact)]));
}

function formsOf(secret: string): string[] {
  const trimmed = secret.trim();
  if (trimmed.length < SHORTEST_VALUE) return [];
  const lines = trimmed.split("\n").map((line) => line.trim());
  return [
    secret,
    trimmed,
    ...[secret, trimmed].map((text) => Buffer.from(text).toString("base64")),
    encodeURIComponent(trimmed),
    JSON.stringify(trimmed).slice(1, -1),
    ...lines.filter((line) => line.length >= SHORTEST_LINE),
    ...secretFields(trimmed).flatMap(formsOf),
  ];
}

/** Of a key file in JSON, what is secret by its name: the rest of it, such as the project, is said all over. */
function secretFields(text: string): string[] {
  if (!text.startsWith("{")) return [];
  try {
    const fields: [string, unknown][] = Object.entries(JSON.parse(text) as object);
    return fields.flatMap(([name, value]) =>
      typeof value === "string" && isSecretName(name.replace(/_id$/, "")) ? [value] : [],
    );
  } catch {
    return [];
  }
}
