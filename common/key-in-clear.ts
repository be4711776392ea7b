/** What looks like a key in a text. */
import { MASK } from "./redactor.ts";

/** Keys as their vendors make them. */
const KEYS: readonly RegExp[] = [
  /\bsk-ant-[\w-]{8,}/,
  /\bpa-[\w-]{20,}/,
  /\bAIza[\w-]{30,}/,
  /\bsk-[A-Za-z0-9]{20,}/,
  /\b(?:ghp|gho|ghs)_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}/,
  /\bAKIA[A-Z0-9]{16}\b/,
  /\bxox[abpr]-[\w-]{10,}/,
  /\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}/,
  /-----BEGIN [A-Z ]*PRIVATE KEY-----/,
  /\b(?:Bearer|Basic)\s+(?!\$|\{)[\w.~+/=-]{16,}/i,
  /https?:\/\/[^\s/:@"'`{}]+:[^\s/@"'`{}]+@/,
];

/** The text without what looks like a key. */
export function withoutSecrets(text: string): string {
  return KEYS.reduce((rest, key) => rest.replaceAll(new RegExp(key.source, `${key.flags}g`), MASK), text);
}

export function hasKey(text: string): boolean {
  return KEYS.some((key) => key.test(text));
}
