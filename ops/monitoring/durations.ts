/** Spans and moments as people type them. */
import { UserError } from "../../common/user-error.ts";

const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400, w: 7 * 86_400 } as const;

/** Seconds in `90s`, `30m`, `4h`, `7d`, `2w`; undefined for another text, and for none at all. */
export function secondsIn(text: string): number | undefined {
  const found = /^(\d{1,6})([smhdw])$/.exec(text.trim());
  const seconds = found && Number(found[1]) * SECONDS[found[2] as keyof typeof SECONDS];
  return seconds === null || seconds === 0 ? undefined : seconds;
}

/** @throws UserError that names the option */
export function durationOf(option: string, text: string): number {
  const seconds = secondsIn(text);
  if (seconds !== undefined) return seconds;
  throw new UserError(
    `${option}: expected a span such as 30m, 4h or 7d, got ${JSON.stringify(text)}; give a number and one of s, m, h, d, w`,
  );
}

/**
 * A moment: a span before now, or a time. A time without a zone is this machine's.
 *
 * @throws UserError that names the option
 */
export function momentOf(option: string, { text, now }: { readonly text: string; readonly now: Date }): Date {
  const seconds = secondsIn(text);
  if (seconds !== undefined) return new Date(now.getTime() - seconds * 1000);
  const isTime = /^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)?)?$/.test(text);
  // A day alone would be one in UTC.
  const moment = new Date(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00` : text.replace(" ", "T"));
  if (isTime && !Number.isNaN(moment.getTime())) return moment;
  throw new UserError(
    `${option}: expected a span before now such as 1h, or a time such as "2026-11-27 09:00", got ${JSON.stringify(text)}`,
  );
}

/** `3 min`, `2 h 5 min`, `4 d 3 h`. */
export function renderSpan(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 90) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  const [hours, rest] = [Math.floor(minutes / 60), minutes % 60];
  if (hours < 48) return rest === 0 ? `${hours} h` : `${hours} h ${rest} min`;
  const [days, left] = [Math.floor(hours / 24), hours % 24];
  return left === 0 ? `${days} d` : `${days} d ${left} h`;
}

/** `2026-11-27 10:00:05`, in this machine's time. */
export function renderMoment(moment: Date): string {
  const two = (number: number) => String(number).padStart(2, "0");
  const day = [moment.getFullYear(), two(moment.getMonth() + 1), two(moment.getDate())].join("-");
  return `${day} ${[moment.getHours(), moment.getMinutes(), moment.getSeconds()].map(two).join(":")}`;
}
