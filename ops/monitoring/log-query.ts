/** What is asked of the store of logs, in its language LogsQL. */
import { z } from "zod";

import { SERVER_LABEL } from "../../common/monitoring.ts";
import { parseJson } from "../../common/parse-json.ts";
import { UserError } from "../../common/user-error.ts";
import type { Stores } from "./stores.ts";

export interface LogRequest {
  /** Alias of a container's service, a unit of the server, or `host` for everything but containers; undefined: all. */
  readonly service: string | undefined;

  /** Name of one of several servers; undefined: all. */
  readonly server: string | undefined;

  /** Text that a line must contain, whatever its case. */
  readonly grep: string | undefined;
  readonly errors: boolean;

  /** Id of a request, as the response header `X-Request-Id` has it. */
  readonly request: string | undefined;
}

/** Everything that runs on the server and is no container. */
const HOST = "host";

/** Names by which a line says where it is from; the first that it has counts. */
const ORIGINS = ["CONTAINER_TAG", "app_name", "_SYSTEMD_UNIT", "SYSLOG_IDENTIFIER"] as const;

const FIELDS = ["_time", "_msg", "PRIORITY", SERVER_LABEL, ...ORIGINS];

// What a container writes to its standard error has the priority of an error, whatever it says.
const ERRORS = [
  `(CONTAINER_TAG:"" app_name:"" PRIORITY:in("0","1","2","3"))`,
  `(app_name:="gateway" _msg:~${JSON.stringify(String.raw`"status":\s*"?5`)})`,
  `(!app_name:="gateway" _msg:~${JSON.stringify(String.raw`(?i)\b(error|critical|fatal|panic|exception|traceback)\b`)})`,
].join(" OR ");

/** The filters, without time. */
export function filterOf({ service, server, grep, errors, request }: LogRequest): string {
  const filters = [
    ...(server === undefined ? [] : [`${SERVER_LABEL}:=${JSON.stringify(server)}`]),
    ...(service === undefined ? [] : [fromService(service)]),
    ...(grep === undefined ? [] : [`_msg:~${JSON.stringify(`(?i)${escaped(grep)}`)}`]),
    ...(request === undefined ? [] : [`_msg:~${JSON.stringify(escaped(request))}`]),
    ...(errors ? [`(${ERRORS})`] : []),
  ];
  return filters.length === 0 ? "*" : filters.join(" ");
}

function fromService(service: string): string {
  if (service === HOST) return `CONTAINER_TAG:"" app_name:""`;
  const [name, unit] = [JSON.stringify(service), JSON.stringify(`${service}.service`)];
  const origins = ORIGINS.map((field) => `${field}:=${name}`);
  // A container's unit is Docker's.
  return `(${[...origins, `_SYSTEMD_UNIT:=${unit}`].join(" OR ")})`;
}

/** For an expression of Go's language, in which a backslash before any other character than a letter or digit is that character. */
function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/"-]/g, String.raw`\$&`);
}

/** @throws UserError for what is no id of a request */
export function requireRequestId(id: string | undefined): void {
  if (id === undefined || /^[0-9a-f]{8,32}$/.test(id)) return;
  throw new UserError(
    `--request: expected the id of a request, 8 to 32 hexadecimal digits, got ${JSON.stringify(id)}; the answer has it in the header X-Request-Id`,
  );
}

const line = z.looseObject({ _time: z.string(), _msg: z.string().default("") });

export type StoredLine = z.output<typeof line>;

export interface Span {
  readonly from: Date;
  readonly until: Date;
}

interface Page extends Span {
  readonly filter: string;
  readonly most: number;
}

const QUERY = { store: "logs", path: "/select/logsql/query", timeoutSeconds: 60 } as const;

/** The newest lines, oldest first; a request that the gateway has also written to its container's output is one line. */
export async function readLines(
  stores: Pick<Stores, "ask">,
  { filter, most, from, until }: Page,
): Promise<readonly StoredLine[]> {
  const query = `${filter} | sort by (_time) desc limit ${most} | fields ${FIELDS.join(", ")}`;
  const rows = rowsIn(await stores.ask({ ...QUERY, form: { query, ...spanOf({ from, until }) } }), line);
  const requests = new Set(rows.filter((row) => row["app_name"] === "gateway").map((row) => row._msg));
  return rows.filter((row) => row["CONTAINER_TAG"] !== "gateway" || !requests.has(row._msg)).reverse();
}

export async function countLines(
  stores: Pick<Stores, "ask">,
  { filter, from, until }: Omit<Page, "most">,
): Promise<number> {
  const query = `${filter} | stats count() lines`;
  const text = await stores.ask({ ...QUERY, form: { query, ...spanOf({ from, until }) } });
  return rowsIn(text, z.looseObject({ lines: z.coerce.number() }))[0]?.lines ?? 0;
}

/** The gateway's requests that could be read, without the neighbours' signs of life; and those of them that failed. */
export async function countRequests(
  stores: Pick<Stores, "ask">,
  span: Span,
): Promise<{ readonly total: number; readonly failed: number }> {
  const query = `{app_name="gateway"} | unpack_json from _msg fields (uri, status) | filter status:* !uri:~"^/deadman/" | stats count() total, count() if (status:>=500) failed`;
  const text = await stores.ask({ ...QUERY, form: { query, ...spanOf(span) } });
  const shape = z.looseObject({ total: z.coerce.number(), failed: z.coerce.number() });
  return rowsIn(text, shape)[0] ?? { total: 0, failed: 0 };
}

/** Names of everything that has written a line. */
export async function readOrigins(stores: Pick<Stores, "ask">, span: Span): Promise<readonly string[]> {
  const query = `* | stats by (${ORIGINS.join(", ")}) count() lines`;
  const text = await stores.ask({ ...QUERY, form: { query, ...spanOf(span) } });
  const names = rowsIn(text, z.record(z.string(), z.string())).map(originOf);
  return [...new Set(names)].sort();
}

/** The service or unit that wrote a line. */
export function originOf(fields: Readonly<Record<string, unknown>>): string {
  const name = ORIGINS.map((field) => fields[field]).find(
    (value) => typeof value === "string" && value !== "",
  );
  return typeof name === "string" ? name.replace(/\.service$/, "") : HOST;
}

function spanOf({ from, until }: Span): { readonly start: string; readonly end: string } {
  return { start: from.toISOString(), end: until.toISOString() };
}

function rowsIn<T>(text: string, shape: z.ZodType<T>): T[] {
  return text
    .split("\n")
    .filter((row) => row !== "")
    .flatMap((row) => {
      const found = shape.safeParse(parseJson(row));
      return found.success ? [found.data] : [];
    });
}
