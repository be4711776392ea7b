/** Takes secrets out of text that people will see: the provider's messages, previews and checks. */

/** Replaces a secret. */
export const MASK = "[secret]";

/** Below this a value protects nothing, and hiding it would make every text unreadable. */
const SHORTEST_SECRET = 3;

/** A line or word of a longer secret; shorter ones are everyday words. */
const SHORTEST_PART = 8;

export interface RedactorOptions {
  /**
   * Whether to hide each long word of a secret as well: a program on the server may print one key of its configuration file. A Google key
   * file also contains everyday words, such as the name of the project, so previews and checks leave this off.
   *
   * @default false
   */
  readonly words?: boolean;
}

export class Redactor {
  readonly #words: boolean;
  readonly #forms = new Set<string>();
  #ordered: readonly string[] = [];

  constructor({ words = false }: RedactorOptions = {}) {
    this.#words = words;
  }

  /** Hides values in every form: whole, by line, by secret field, and encoded. */
  hide(...secrets: readonly string[]): void {
    for (const form of secrets.flatMap((secret) => formsOf(secret, this.#words))) this.#forms.add(form);
    // Longest first, or the rest of a secret would stay behind a mask put over its beginning.
    this.#ordered = [...this.#forms].sort((a, b) => b.length - a.length);
  }

  clean(text: string): string {
    return this.#ordered.reduce((cleaned, form) => cleaned.replaceAll(form, MASK), text);
  }

  /** Cleans every text inside a value, however deep, names of properties included. */
  cleanDeep<T>(value: T): T {
    return this.#visit(value) as T;
  }

  #visit(value: unknown): unknown {
    if (typeof value === "string") return this.clean(value);
    if (Array.isArray(value)) return value.map((item) => this.#visit(item));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [this.clean(name), this.#visit(item)]),
    );
  }
}

function formsOf(secret: string, withWords: boolean): string[] {
  const trimmed = secret.trim();
  if (trimmed.length < SHORTEST_SECRET) return [];
  const lines = trimmed.split("\n").map((line) => line.trim());
  const words = withWords ? trimmed.split(/[\s"'`=:;,@/\\{}()[\]<>&?|]+/) : [];
  return [
    ...[secret, trimmed].flatMap((text) => [
      text,
      Buffer.from(text).toString("base64"),
      encodeURIComponent(text),
      JSON.stringify(text).slice(1, -1),
    ]),
    ...[...lines, ...words].filter((part) => part.length >= SHORTEST_PART),
    ...secretFields(trimmed).flatMap((field) => formsOf(field, withWords)),
  ];
}

const SECRET_PROPERTY =
  /(?:pass(?:word|phrase|wd)|secret|token|(?:api|private|encryption|access|secret|consumer|application)_?key|credentials?)$/i;

/** Whether a property of this name holds a secret, whatever its owner says; `…_FILE` names only say where one is. */
export function isSecretProperty(name: string): boolean {
  return SECRET_PROPERTY.test(name);
}

/** What is secret in a key file in JSON, by its name or by its look. */
function secretFields(text: string): string[] {
  if (!text.startsWith("{")) return [];
  try {
    const fields: [string, unknown][] = Object.entries(JSON.parse(text) as object);
    return fields.flatMap(([name, value]) =>
      typeof value === "string" && (isSecretProperty(name.replace(/_id$/, "")) || looksSecret(value))
        ? [value]
        : [],
    );
  } catch {
    return [];
  }
}

function looksSecret(value: string): boolean {
  return value.includes("PRIVATE KEY") || /^[0-9a-f]{32,}$/.test(value);
}

/** All text inside a value, however deep. */
export function stringsIn(value: unknown): string[] {
  if (typeof value === "string") {
    return [value];
  }
  if (typeof value === "number" || typeof value === "bigint") {
    return [String(value)];
  }
  if (typeof value === "object" && value !== null) {
    return Object.values(value).flatMap(stringsIn);
  }
  return [];
}
