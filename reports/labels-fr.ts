/** Names and formats of the team's French documents. */

/** Stack → the name that the documents give its environment. */
export const ENVIRONMENTS = [
  { stack: "test", name: "Test" },
  { stack: "staging", name: "Staging" },
  { stack: "prod", name: "Production" },
] as const;

export type EnvironmentName = (typeof ENVIRONMENTS)[number]["name"];

/** In the team's day, wherever the command runs. */
function dateFormat(locale: string, options: Intl.DateTimeFormatOptions): (at: Date) => string {
  const format = new Intl.DateTimeFormat(locale, { ...options, timeZone: "Europe/Paris" });
  return (at) => format.format(at);
}

/** Such as `24 mars 2025`. */
export const formatDay = dateFormat("fr-FR", { dateStyle: "long" });

/** Such as `24 mars 2025 à 09:30`. */
export const formatMoment = dateFormat("fr-FR", { dateStyle: "long", timeStyle: "short" });

/** Such as `24 mars 2025, 09:30`. */
export const formatShortMoment = dateFormat("fr-FR", { dateStyle: "medium", timeStyle: "short" });

/** Such as `24 mars`. */
export const formatDayOfYear = dateFormat("fr-FR", { day: "numeric", month: "short" });

/** Such as `2025-03-24`. */
export const formatIsoDay = dateFormat("sv-SE", { dateStyle: "short" });

export function formatNumber(value: number, maximumFractionDigits = 2): string {
  const format = new Intl.NumberFormat("fr-FR", { maximumFractionDigits });
  // Its thin spaces are not in every font.
  return format.format(value).replaceAll("\u202f", "\u00a0");
}

const money = new Intl.NumberFormat("fr-FR", { style: "currency", currency: "EUR" });

/** Such as `8,79 €`. */
export function formatEuros(amount: number): string {
  return money.format(amount).replaceAll("\u202f", "\u00a0");
}

/** Such as `48 s`, `4 min 12 s`, `2 h 05 min`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${formatNumber(seconds < 10 ? seconds : Math.round(seconds))} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatNumber(count)} ${count < 2 ? one : many}`;
}
