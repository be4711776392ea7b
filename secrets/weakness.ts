import { createHash } from "node:crypto";
import { invisibleIn, nameOfCharacter, otherSpaceIn } from "../common/visible-text.ts";
import { entryOf, type SecretName } from "./catalog.ts";
import type { SecretEntry } from "./entry.ts";

/**
 * SHA-256 of values that TechnicIA's own public repository published as defaults: an n8n encryption key and
 * an administrator's password. Kept as digests, so that this file does not publish them once more.
 */
export const PUBLISHED: ReadonlySet<string> = new Set([
  "8d8a9dbd5dae1de82bedbeb0b3a981462bd78e26937bdc8b4f15ade7eab2d2fe",
  "931ab45f56d99282a492d21fdf7305d604e06ad76d329929a012c162ea326b91",
]);

/** Placeholders of templates and tutorials. */
const PLACEHOLDERS = [
  /^(your|votre|vos|my|mon|ma)[-_ ]/i,
  /^change[-_ ]?(me|it|this)/i,
  /^(password|secret|admin|test|todo|example|exemple|none|null|undefined)\d*!?$/i,
  /<[^<>]+>/,
  /…|\.\.\.|x{6,}/i,
  /^(à|a) (compléter|completer|remplacer)/i,
];

// A random value of 16 characters practically never has fewer.
const LEAST_DISTINCT_CHARACTERS = 6;

/** Why a value must not be used for a secret, as an error text without the value; undefined when it may. */
export function weaknessOf(name: SecretName, value: string): string | undefined {
  return weaknessAmong(PUBLISHED, { name, value });
}

/** The same for other published values than the known ones. */
export function weaknessAmong(
  published: ReadonlySet<string>,
  { name, value }: { readonly name: SecretName; readonly value: string },
): string | undefined {
  const { minimumLength, form, characters = "header" } = entryOf(name);
  if (published.has(createHash("sha256").update(value.trim()).digest("hex"))) {
    return "expected a value nobody else knows, got one that was published as a default";
  }
  if (PLACEHOLDERS.some((placeholder) => placeholder.test(value))) {
    return "expected the real value, got a placeholder";
  }
  if (/^[ \t\r\n]|[ \t\r\n]$/.test(value))
    return "expected a value without spaces or line ends around it, got one with them";
  const unfit = unfitCharacter(value, characters);
  if (unfit !== undefined) {
    const wanted =
      characters === "header" ? "letters, digits and punctuation of ASCII" : "visible characters";
    return `expected a value of ${wanted} only, got one with ${unfit}`;
  }
  if (value.length < minimumLength) {
    return `expected at least ${minimumLength} characters, got ${value.length}`;
  }
  if (new Set(value).size < LEAST_DISTINCT_CHARACTERS)
    return "expected a random value, got one of few characters repeated";
  if (form && !form.test(value)) return `${form.expected}, got something else`;
  return undefined;
}

/** A character that a program would choke on, or a person never type again: as `U+200B`. */
function unfitCharacter(
  value: string,
  characters: NonNullable<SecretEntry["characters"]>,
): string | undefined {
  const unseen = invisibleIn(value) ?? otherSpaceIn(value);
  if (characters === "visible") return unseen;
  // A mark of Windows at the beginning of a key file, or what a copy from a page leaves at the end.
  if (characters === "any") return value === value.trim() ? undefined : unseen;
  const [other] = /[^\x21-\x7e]/u.exec(value) ?? [];
  return other && nameOfCharacter(other);
}
