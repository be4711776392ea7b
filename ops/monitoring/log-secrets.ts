/** Takes secrets out of log lines: the stack's own, where they can be read, and whatever looks like one. */
import { MASK, Redactor } from "../../common/redactor.ts";

/** What is before the secret stays, so that the line still says which one it was. */
const PATTERNS: readonly RegExp[] = [
  // A password in an address.
  /(\b[a-z][a-z0-9+.-]*:\/\/[^\s/:@]*:)[^\s/@]+(?=@)/gi,
  /(\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}/gi,
  // Keys of vendors, and tokens that describe themselves.
  /()\b(?:sk-[A-Za-z0-9_-]{16,}|pa-[A-Za-z0-9_-]{16,}|AIza[A-Za-z0-9_-]{30,}|AKIA[A-Z0-9]{16}|xox[a-z]-[A-Za-z0-9-]{10,}|gh[pousr]_[A-Za-z0-9]{20,})/g,
  /()\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?/g,
  /(hooks\.slack\.com\/services\/)[A-Za-z0-9/_-]+/g,
  /(-----BEGIN [A-Z ]*PRIVATE KEY-----)[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?/g,
  // A name of a secret with its value, as JSON, as a header, in a query or in a shell.
  /(\b[\w-]*(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|encryption[_-]?key|authorization|credentials?)\\?["']?\s*[:=]\s*\\?["']?)(?!\[secret\]|(?:bearer|basic)\s)[^\s"'\\,;&}]{4,}/gi,
];

/** Gives a function that cleans a text. `secrets`: values in clear; undefined where they cannot be read. */
export function hideSecrets(secrets: readonly string[] | undefined): (text: string) => string {
  const redactor = new Redactor();
  redactor.hide(...(secrets ?? []));
  return (text) =>
    PATTERNS.reduce(
      (cleaned, pattern) => cleaned.replaceAll(pattern, (_whole, before: string) => `${before}${MASK}`),
      redactor.clean(text),
    );
}
