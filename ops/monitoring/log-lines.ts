/** A stored line as people read it. A line is whatever somebody wrote into it, so nothing in it reaches the terminal as a command. */
import { z } from "zod";

import { SERVER_LABEL } from "../../common/monitoring.ts";
import { withoutInvisible } from "../../common/visible-text.ts";
import { renderMoment } from "./durations.ts";
import { originOf, type StoredLine } from "./log-query.ts";

export interface LogLine {
  readonly at: Date;

  /** As stored, with nanoseconds. */
  readonly time: string;
  readonly service: string;

  /** Of several servers, the one that it was written on. */
  readonly server?: string;

  /** May have several lines. */
  readonly message: string;
}

interface Look {
  /** Takes secrets out. */
  readonly hide: (text: string) => string;
  readonly colours: boolean;
}

/** Sequences by which a terminal is controlled: colours, cursor, title. */
const ESCAPES =
  /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[PX^_][^\u001b]*(?:\u001b\\)?|[ -/]*[0-~])?/g;

const NAME_WIDTH = 18;
const SERVER_WIDTH = 8;
const COLOURS = [36, 32, 33, 35, 34, 96, 92, 93, 95, 94];

const access = z.object({
  method: z.string(),
  uri: z.string(),
  status: z.coerce.string(),
  seconds: z.coerce.string(),
  id: z.string().default(""),
  remote: z.string().default(""),
});

export function lineOf(stored: StoredLine): LogLine {
  const service = originOf(stored);
  const message = stored["app_name"] === "gateway" ? accessLine(stored._msg) : stored._msg;
  const server = stored[SERVER_LABEL];
  const ofServer = typeof server === "string" && server !== "" ? { server } : {};
  return { at: new Date(stored._time), time: stored._time, service, ...ofServer, message };
}

/** `GET /api/question 502 1.234 s 0f… from 198.51.100.7`; a line that cannot be read stays as it is. */
function accessLine(text: string): string {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return text;
  }
  const found = access.safeParse(value).data;
  if (found === undefined) return text;
  const { method, uri, status, seconds, id, remote } = found;
  const from = remote === "" ? "" : `from ${remote}`;
  return [method, uri, status, `${seconds} s`, id, from].filter((part) => part !== "").join(" ");
}

/** One or more lines of text; those after the first are indented. */
export function renderLine({ at, service, server, message }: LogLine, { hide, colours }: Look): string {
  const time = `${renderMoment(at)}.${String(at.getMilliseconds()).padStart(3, "0")}`;
  const name = visible(service).slice(0, NAME_WIDTH).padEnd(NAME_WIDTH);
  const shown = colours ? `\u001b[${colourOf(service)}m${name}\u001b[0m` : name;
  const where = server === undefined ? "" : `${visible(server).padEnd(SERVER_WIDTH)}  `;
  const indent = " ".repeat(time.length + where.length + NAME_WIDTH + 4);
  const [first = "", ...rest] = linesOf(hide(message.replaceAll(ESCAPES, "")));
  return [`${time}  ${where}${shown}  ${first}`, ...rest.map((line) => `${indent}${line}`)].join("\n");
}

export function renderJson(
  { time, service, server, message }: LogLine,
  { hide }: Pick<Look, "hide">,
): string {
  return JSON.stringify({ time, service, server, message: hide(message.replaceAll(ESCAPES, "")) });
}

function linesOf(text: string): string[] {
  return text
    .split(/\r\n|[\n\r\u2028\u2029]/)
    .map((line) => visible(line.replaceAll("\t", "  ")).trimEnd())
    .filter((line, index) => index === 0 || line !== "");
}

function visible(text: string): string {
  return withoutInvisible(text);
}

function colourOf(service: string): number {
  const sum = [...service].reduce((total, character) => (total * 31 + character.codePointAt(0)!) % 9973, 7);
  return COLOURS[sum % COLOURS.length]!;
}
