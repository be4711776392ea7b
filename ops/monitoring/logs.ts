/** `npm run logs`: what containers and server have written, in one order of time. */
import { UserError } from "../../common/user-error.ts";
import { enabledAliases } from "../../common/services.ts";
import { stringsIn } from "../../common/redactor.ts";
import type { Outcome } from "../command.ts";
import { readConfiguration, secretsIn } from "../engine/settings.ts";
import { onMonitored, orReason, type Monitored } from "./deployed.ts";
import { momentOf, renderMoment } from "./durations.ts";
import { lineOf, renderJson, renderLine, type LogLine } from "./log-lines.ts";
import {
  countLines,
  filterOf,
  readLines,
  readOrigins,
  type LogRequest,
  type StoredLine,
} from "./log-query.ts";
import { hideSecrets } from "./log-secrets.ts";
import { StoreSilent } from "./stores.ts";
import type { MonitoringWorld } from "./world.ts";

export interface LogsRequest extends LogRequest {
  readonly stack: string;
  readonly since: string;
  readonly until: string | undefined;
  readonly follow: boolean;
  readonly json: boolean;
}

/** More would not be read, and a connection must carry it. */
const MOST_LINES = 1000;

/** Pause between two questions of a follower. */
const FOLLOW_SECONDS = 2;

/** The journal sends what it has in one go: a line may come this much after it was written. */
const LATE_SECONDS = 60;

/** Time for which unknown names are looked up. */
const KNOWN_SECONDS = 86_400;

interface Reading extends Monitored {
  readonly request: LogsRequest;
  readonly world: MonitoringWorld;
  readonly print: (line: LogLine) => string;
}

export async function showLogs(request: LogsRequest, world: MonitoringWorld): Promise<Outcome> {
  const now = world.now();
  const from = momentOf("--since", { text: request.since, now });
  const until = request.until === undefined ? undefined : momentOf("--until", { text: request.until, now });
  if (until !== undefined && from >= until)
    throw new UserError(
      `--until: expected a time after ${renderMoment(from)}, got ${renderMoment(until)}; --since 2h --until 1h is the hour before last`,
    );
  const hide = hideSecrets(await readSecrets(request.stack, world));
  return await onMonitored(request.stack, world, async (monitored) => {
    const look = { hide, colours: world.isTerminal && !request.json };
    requireServer(request, monitored);
    const print = (line: LogLine) => (request.json ? renderJson(line, look) : renderLine(line, look));
    const reading = { ...monitored, request, world, print };
    if (request.follow) return await follow(reading, from);
    return await show(reading, { from, until: until ?? now });
  });
}

/** Undefined where they cannot be decrypted here: nobody is asked for a passphrase to read logs. */
export async function readSecrets(
  stack: string,
  world: Pick<MonitoringWorld, "pulumi" | "say">,
): Promise<readonly string[] | undefined> {
  const entries = await orReason(readConfiguration({ stack, showSecrets: true }, world.pulumi));
  if (!(entries instanceof UserError)) return stringsIn(secretsIn(entries));
  world.say("the stack's secrets cannot be read here, so only what looks like a secret is hidden");
  return undefined;
}

async function show(reading: Reading, span: { readonly from: Date; readonly until: Date }): Promise<Outcome> {
  const { stores, request, world, stack, print } = reading;
  const filter = filterOf(request);
  const lines = await readLines(stores, { ...span, filter, most: MOST_LINES });
  if (lines.length === 0) {
    await refuseUnknown(reading);
    if (request.json) return { text: "", exitCode: 0 };
    const when = `from ${renderMoment(span.from)} to ${renderMoment(span.until)}`;
    return { text: `${stack}: no line ${describe(request)}${when}`, exitCode: 0 };
  }
  if (lines.length === MOST_LINES) {
    const older = (await countLines(stores, { ...span, filter })) - lines.length;
    if (older > 0)
      world.say(
        `${older} older lines are left out; narrow with ${request.service === undefined ? "the name of a service, " : ""}--since, --until, --grep or --errors`,
      );
  }
  return { text: lines.map((line) => print(lineOf(line))).join("\n"), exitCode: 0 };
}

/** @throws UserError for a name that none of the servers has */
function requireServer({ server }: LogRequest, { stack, environment }: Monitored): void {
  const names = environment.servers.map(({ name }) => name);
  if (server === undefined || (names.length > 1 && names.includes(server))) return;
  throw new UserError(
    names.length > 1
      ? `--server: expected one of ${names.join(", ")}, got ${JSON.stringify(server)}`
      : `--server: ${stack} has one server, whose lines are not named; leave --server out`,
  );
}

function describe({ service, server, grep, errors, request }: LogRequest): string {
  return [
    ...(service === undefined ? [] : [`of ${service}`]),
    ...(server === undefined ? [] : [`on ${server}`]),
    ...(errors ? ["that is an error"] : []),
    ...(grep === undefined ? [] : [`with ${JSON.stringify(grep)}`]),
    ...(request === undefined ? [] : [`of request ${request}`]),
  ]
    .map((part) => `${part} `)
    .join("");
}

/** A name that nobody has, as opposed to a service that has written nothing. */
async function refuseUnknown({ request, stores, environment, world }: Reading): Promise<void> {
  const { service } = request;
  const aliases = enabledAliases(environment);
  if (service === undefined || service === "host" || aliases.includes(service)) return;
  const until = world.now();
  const from = new Date(until.getTime() - KNOWN_SECONDS * 1000);
  const units = await readOrigins(stores, { from, until });
  if (units.includes(service.replace(/\.service$/, ""))) return;
  const known = [...new Set([...aliases, "host", ...units])].sort();
  throw new UserError(
    `${service}: expected a service or a unit of the server, got one that has written nothing; known are ${known.join(", ")}`,
  );
}

/** Prints what comes until it is interrupted; a store that restarts is waited for. */
async function follow(reading: Reading, from: Date): Promise<Outcome> {
  const { stores, request, world, print } = reading;
  const filter = filterOf(request);
  const seen = new Map<string, number>();
  let since = from;
  let isSilent = false;
  while (!world.signal.aborted) {
    const until = world.now();
    const found = await untilAborted(
      orReason(readLines(stores, { filter, most: MOST_LINES, from: since, until })),
      world.signal,
    );
    if (found === undefined) break;
    if (found instanceof UserError) {
      if (!(found instanceof StoreSilent)) throw found;
      if (!isSilent) world.say(`${found.message}; waiting for it`);
      isSilent = true;
    } else {
      if (isSilent) world.say("the store of logs answers again");
      isSilent = false;
      for (const line of unseen(found, seen)) world.print(print(lineOf(line)));
      since = new Date(Math.max(from.getTime(), until.getTime() - LATE_SECONDS * 1000));
      forget(seen, since.getTime());
    }
    await world.pause(FOLLOW_SECONDS).catch(() => undefined);
  }
  return { text: "", exitCode: 0 };
}

async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const end = () => resolve(undefined);
  signal.addEventListener("abort", end, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", end);
    // It may still fail once nobody waits.
    work.catch(() => undefined);
  }
}

/** Lines that were not printed yet: each question also covers the end of the one before. */
function unseen(lines: readonly StoredLine[], seen: Map<string, number>): StoredLine[] {
  const repeated = new Map<string, number>();
  return lines.filter((line) => {
    const key = JSON.stringify(line);
    // The same program may write the same line twice at once.
    const number = (repeated.get(key) ?? 0) + 1;
    repeated.set(key, number);
    if (seen.has(`${number} ${key}`)) return false;
    seen.set(`${number} ${key}`, Date.parse(line._time));
    return true;
  });
}

function forget(seen: Map<string, number>, before: number): void {
  for (const [key, at] of seen) if (at < before) seen.delete(key);
}
