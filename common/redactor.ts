/** Takes secrets out of text that people will see. */

const MASK = "[secret]";

/** Below this a value says nothing and would make every message unreadable. */
const SHORTEST_SECRET = 3;

/** A word of a longer secret, such as one key inside a configuration file, that a tool may print by itself. */
const SHORTEST_WORD = 8;

export class Redactor {
  readonly #secrets = new Set<string>();
  #ordered: readonly string[] = [];

  /** Hides a value in all it may look like: whole, its lines, its words, and encoded. */
  hide(secret: string): void {
    for (const form of formsOf(secret)) {
      this.#secrets.add(form);
    }
    // Longest first, or the rest of a secret would stay behind a mask put over its beginning.
    this.#ordered = [...this.#secrets].sort((a, b) => b.length - a.length);
  }

  clean(text: string): string {
    let cleaned = text;
    for (const secret of this.#ordered) {
      cleaned = cleaned.replaceAll(secret, MASK);
    }
    return cleaned;
  }
}

function formsOf(secret: string): string[] {
  const trimmed = secret.trim();
  if (trimmed.length < SHORTEST_SECRET) {
    return [];
  }
  const lines = trimmed.split("\n").map((line) => line.trim());
  const words = trimmed.split(/[\s"'`=:;,@/\\{}()[\]<>&?|]+/);
  return [
    secret,
    trimmed,
    Buffer.from(secret).toString("base64"),
    encodeURIComponent(trimmed),
    JSON.stringify(trimmed).slice(1, -1),
    ...lines.filter((line) => line.length >= SHORTEST_WORD),
    ...words.filter((word) => word.length >= SHORTEST_WORD),
  ];
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
