/**
 * The monitoring's programs on the server, over http on its loopback. A call says whether the program does not answer, or refuses: neither is
 * ever the same as an empty answer.
 */
import { z } from "zod";

import { LOOPBACK_PORTS } from "../../common/monitoring.ts";
import { parseJson } from "../../common/parse-json.ts";
import { UserError } from "../../common/user-error.ts";
import type { Server } from "../server/connection.ts";

export const storeNames = ["metrics", "logs", "metric-rules", "log-rules", "alerts", "probes"] as const;

export type StoreName = (typeof storeNames)[number];

/** Base address of each, as the server reaches it. */
export type Addresses = Readonly<Record<StoreName, string>>;

export const LOOPBACK: Addresses = Object.fromEntries(
  storeNames.map((name) => [name, `http://127.0.0.1:${LOOPBACK_PORTS[name]}`]),
) as Record<StoreName, string>;

/** `technicia:monitoring.enabled` is false in the settings that are deployed. */
export class MonitoringOff extends UserError {
  override readonly name = "MonitoringOff";
}

/** The program does not answer: nothing is known then. */
export class StoreSilent extends UserError {
  override readonly name = "StoreSilent";
}

/** The program answers that it does not accept the request. */
export class StoreRefused extends UserError {
  override readonly name = "StoreRefused";
}

export interface StoreCall {
  readonly store: StoreName;

  /** With its query: `/api/v2/alerts?active=true`. */
  readonly path: string;

  /** @default POST where there is a form or a body, else GET */
  readonly method?: "GET" | "POST" | "DELETE";

  /** Sent as a form. */
  readonly form?: Readonly<Record<string, string>>;

  /** Sent as JSON. */
  readonly json?: unknown;

  /** @default 20 */
  readonly timeoutSeconds?: number;
}

const DEFAULT_SECONDS = 20;

/** Ends an answer; JSON writes it as an escape. */
const END = "\u001e";

// All requests are one configuration, so that nothing of them is on a command line and their connections are used again.
const CALL = "curl --config - || true";

/** Ends the process of curl that a call needs at most, and the time for the way there. */
const WAY_SECONDS = 20;

export interface Stores {
  /** Gives the text of the answer. */
  ask(call: StoreCall): Promise<string>;

  /** All of them over one command; each gives its text or its failure. */
  askAll(calls: readonly StoreCall[]): Promise<readonly (string | StoreSilent | StoreRefused)[]>;

  /** The answer as JSON of that shape. */
  read<T>(call: StoreCall, shape: z.ZodType<T>): Promise<T>;
}

export function openStores(server: Pick<Server, "name" | "run">, addresses: Addresses = LOOPBACK): Stores {
  const askAll: Stores["askAll"] = async (calls) => {
    if (calls.length === 0) return [];
    const limit = calls.reduce((sum, { timeoutSeconds = DEFAULT_SECONDS }) => sum + timeoutSeconds, 0);
    const { stdout } = await server.run({
      purpose: `ask ${[...new Set(calls.map(({ store }) => store))].join(", ")} of the monitoring`,
      script: CALL,
      stdin: calls.map((call) => render(call, addresses)).join("\nnext\n"),
      timeoutSeconds: WAY_SECONDS + limit,
    });
    const answers = stdout.split(END);
    return calls.map((call, index) => judge(call, { server, answer: answers[index] ?? "" }));
  };
  const ask: Stores["ask"] = async (call) => {
    const [answer] = await askAll([call]);
    if (typeof answer === "string") return answer;
    throw answer!;
  };
  return { ask, askAll, read: async (call, shape) => parseAnswer(call, { text: await ask(call), shape }) };
}

/** @throws StoreRefused for an answer of another shape */
export function parseAnswer<T>(
  { store, path }: StoreCall,
  { text, shape }: { readonly text: string; readonly shape: z.ZodType<T> },
): T {
  const found = shape.safeParse(parseJson(text));
  if (found.success) return found.data;
  const places = [...new Set(found.error.issues.map((issue) => issue.path.join(".") || "the whole"))];
  throw new StoreRefused(
    `${store} ${withoutQuery(path)}: expected the answer of this version, got one with problems in ${places.slice(0, 5).join(", ")}; deploy the stack, which brings the versions together`,
  );
}

function render(
  { store, path, method, form, json, timeoutSeconds = DEFAULT_SECONDS }: StoreCall,
  addresses: Addresses,
): string {
  const body = form === undefined ? json && JSON.stringify(json) : new URLSearchParams(form).toString();
  const type = form === undefined ? "application/json" : "application/x-www-form-urlencoded";
  return [
    `url = ${quote(`${addresses[store]}${path}`)}`,
    `request = ${method ?? (body === undefined ? "GET" : "POST")}`,
    `max-time = ${timeoutSeconds}`,
    "silent",
    'noproxy = "*"',
    // Debian 11's curl has no message, and leaves it out.
    String.raw`write-out = "\n%{http_code} %{errormsg}${END}"`,
    ...(typeof body === "string" ? [`header = "content-type: ${type}"`, `data-raw = ${quote(body)}`] : []),
  ].join("\n");
}

/** As curl reads a quoted value; neither a form nor JSON has a line end of its own. */
function quote(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', String.raw`\"`)}"`;
}

function judge(
  { store, path }: StoreCall,
  { server, answer }: { readonly server: Pick<Server, "name">; readonly answer: string },
): string | StoreSilent | StoreRefused {
  const end = answer.lastIndexOf("\n");
  const [text, last] = [answer.slice(0, Math.max(end, 0)), answer.slice(end + 1)];
  const [, status = "", why = ""] = /^(\d\d\d) ?(.*)$/.exec(last) ?? [];
  if (status.startsWith("2")) return text;
  if (/^[345]/.test(status) && status !== "502" && status !== "503")
    return new StoreRefused(`${store} ${withoutQuery(path)}: it refuses with ${status}: ${firstLine(text)}`);
  const reason = (status === "000" ? why : status) || "no answer";
  return new StoreSilent(
    `${store} on ${server.name} does not answer (${reason}); look at it there with docker service ps technicia-${store}`,
  );
}

function withoutQuery(path: string): string {
  return path.replace(/\?.*$/, "");
}

const LONGEST_REASON = 300;

function firstLine(text: string): string {
  const line = text.trim().split("\n")[0] ?? "";
  return line.length <= LONGEST_REASON ? line : `${line.slice(0, LONGEST_REASON)}…`;
}
