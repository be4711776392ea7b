/** The text as one word of a shell, whatever it contains. */
export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** The same for people to type: without quotes where none are needed, and with the home before them. */
export function shellWord(text: string): string {
  const home = text.startsWith("~/") ? "~/" : "";
  const rest = text.slice(home.length);
  return /^[\w@%+=:,./~-]+$/.test(rest) ? text : `${home}${shellQuote(rest)}`;
}
