/** Shows any text literally in Markdown: no markup, no HTML, no mention, no broken table. */

/** Text in a code span. A pipe is put outside of it, because it would end the table cell. */
export function code(text: string): string {
  if (text === "") return '`""`';
  return visible(text)
    .split("|")
    .map((part) => (part === "" ? "" : span(part)))
    .join("&#124;");
}

/** Lines in a fenced block. */
export function block(lines: readonly string[]): string {
  const text = lines.map((line) => visible(line)).join("\n");
  const fence = "`".repeat(Math.max(3, longestRun(text) + 1));
  return `${fence}text\n${text}\n${fence}`;
}

/** Cuts a text to a number of characters and adds how many are missing. */
export function clip(text: string, length: number): string {
  if (text.length <= length) return text;
  // A surrogate pair must not be split.
  const kept = text.slice(0, length).replace(/[\uD800-\uDBFF]$/, "");
  return `${kept}… (+${text.length - kept.length})`;
}

function span(text: string): string {
  const fence = "`".repeat(longestRun(text) + 1);
  // Markdown takes a space off both ends, unless there is nothing but spaces.
  const needsPadding = /^`|`$|^ .*[^ ].* $/.test(text);
  return needsPadding ? `${fence} ${text} ${fence}` : `${fence}${text}${fence}`;
}

function longestRun(text: string): number {
  return Math.max(0, ...[...text.matchAll(/`+/g)].map(([run]) => run.length));
}

/** Replaces invisible characters: control characters and bidirectional overrides. */
function visible(text: string): string {
  return text
    .replace(/\r?\n/g, "↵")
    .replaceAll("\t", "  ")
    .replace(/[\u0000-\u001F\u007F-\u009F\u200E\u200F\u2028\u2029\u202A-\u202E\u2066-\u2069]/g, "�")
    .toWellFormed();
}
