/** When a stack may be deployed; every day and time is UTC. */
import Holidays from "date-holidays";

import type { Operations } from "../../stacks/environment.ts";

const WEEKDAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"] as const;
const DAY_MS = 86_400_000;

/** How far ahead an opening is looked for. */
const HORIZON_DAYS = 800;

export type WindowSettings = Pick<Operations, "window" | "holidays" | "freezes">;

export type WindowState =
  | { readonly open: true; readonly until: Date | undefined }
  | {
      readonly open: false;
      /** Follows "closed": `because …`. */
      readonly why: string;
      /** Undefined when none comes within two years. */
      readonly next: Date | undefined;
    };

/** Whether a deployment may start at an instant, and if not, when it may. */
export function windowAt(settings: WindowSettings, instant: Date): WindowState {
  const closed = reasonAt(settings, instant);
  if (closed === undefined) return { open: true, until: closingAfter(settings, instant) };
  return { open: false, why: closed, next: nextOpening(settings, instant) };
}

export function renderInstant(instant: Date): string {
  const day = WEEKDAYS[instant.getUTCDay()] ?? "";
  const name = `${day.charAt(0).toUpperCase()}${day.slice(1)}`;
  return `${name} ${dayOf(instant)} ${timeOf(instant)} UTC`;
}

/** The same for the team's messages. */
export function describeWindow(
  settings: WindowSettings,
  { at, emergency = false }: { readonly at: Date; readonly emergency?: boolean },
): string {
  const state = windowAt(settings, at);
  if (!state.open) return emergency ? "fermée, en urgence" : "fermée";
  return state.until === undefined ? "ouverte sans limite" : `ouverte jusqu'à ${timeOf(state.until)} UTC`;
}

function timeOf(instant: Date): string {
  return instant.toISOString().slice(11, 16);
}

function reasonAt(settings: WindowSettings, instant: Date): string | undefined {
  const onDay = reasonOnDay(settings, dayOf(instant));
  if (onDay !== undefined || settings.window === undefined) return onDay;
  const { fromUtc, toUtc } = settings.window;
  const time = timeOf(instant);
  return time < fromUtc || time >= toUtc ? `it opens from ${fromUtc} to ${toUtc} UTC` : undefined;
}

function reasonOnDay({ window, holidays, freezes }: WindowSettings, day: string): string | undefined {
  const freeze = freezes.find(({ from, to }) => from <= day && day <= to);
  if (freeze) return `of the freeze from ${freeze.from} to ${freeze.to} (${freeze.reason})`;
  if (window === undefined) return undefined;
  const weekday = WEEKDAYS[new Date(day).getUTCDay()]!;
  if (!window.days.includes(weekday)) return `it opens on ${window.days.join(", ")}, not on a ${weekday}`;
  const today = holidayOn(holidays, day);
  if (today !== undefined) return `${day} is a holiday (${today})`;
  const tomorrow = holidayOn(holidays, addDays(day, 1));
  return tomorrow === undefined ? undefined : `the day after is a holiday (${tomorrow})`;
}

function holidayOn({ country, extra }: Operations["holidays"], day: string): string | undefined {
  if (extra.includes(day)) return "operations.holidays.extra";
  return country === undefined ? undefined : publicHolidays(country, Number(day.slice(0, 4))).get(day);
}

const known = new Map<string, ReadonlyMap<string, string>>();

/** Day → name. The dates are those of the country's own calendar. */
function publicHolidays(country: string, year: number): ReadonlyMap<string, string> {
  const key = `${country} ${year}`;
  const found =
    known.get(key) ??
    new Map(
      new Holidays(country, { types: ["public"] })
        .getHolidays(year)
        .map(({ date, name }) => [date.slice(0, 10), name]),
    );
  known.set(key, found);
  return found;
}

function nextOpening(settings: WindowSettings, instant: Date): Date | undefined {
  const today = dayOf(instant);
  for (let ahead = 0; ahead <= HORIZON_DAYS; ahead++) {
    const day = addDays(today, ahead);
    const opening = new Date(`${day}T${settings.window?.fromUtc ?? "00:00"}:00Z`);
    if (opening > instant && reasonOnDay(settings, day) === undefined) return opening;
  }
  return undefined;
}

function closingAfter({ window }: WindowSettings, instant: Date): Date | undefined {
  return window && new Date(`${dayOf(instant)}T${window.toUtc}:00Z`);
}

function dayOf(instant: Date): string {
  return instant.toISOString().slice(0, 10);
}

function addDays(day: string, days: number): string {
  return dayOf(new Date(Date.parse(day) + days * DAY_MS));
}
