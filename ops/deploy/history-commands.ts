/** `npm run history` and `npm run unlock`: the records on the server. */
import type { Outcome } from "../command.ts";
import { renderTable } from "../terminal.ts";
import { UserError } from "../../common/user-error.ts";
import { copyReader, describeCopy, type CopiedRecords, type ReadCopy } from "../backup/copied-records.ts";
import { StateLocked } from "../engine/state-lock.ts";
import { appendHistory, readRecords, renderCorrupt, type Recorded } from "../server/records.ts";
import { breakLock, describeLock } from "../server/lock.ts";
import type { AuditEvent, Release } from "../../common/release.ts";
import { onServer } from "../on-server.ts";
import type { Operator } from "./session.ts";
import { renderChecks, renderRelease, renderSeconds } from "./render.ts";
import { EXIT } from "./release-progress.ts";

type Reader = Pick<Operator, "pulumi" | "openServer">;
type HistoryReader = Reader & Pick<Operator, "now" | "signal">;

/** Most characters of a detail in the table of all events; a failed verification may have thousands. */
const DETAIL_LENGTH = 300;

interface HistoryRequest {
  readonly stack: string;
  /** Undefined: all of them, in short. */
  readonly release: number | undefined;
  readonly json: boolean;
}

export async function showHistory(
  request: HistoryRequest,
  operator: HistoryReader,
  readCopy: ReadCopy = copyReader(operator),
): Promise<Outcome> {
  const { stack, release, json } = request;
  const { found, copy } = await readAnywhere(stack, operator, readCopy);
  const isWanted = (number: number | undefined) => release === undefined || number === release;
  const events = found.events.filter((event) => isWanted(event.release));
  const releases = found.releases.filter(({ number }) => isWanted(number));
  const { corrupt } = found;
  const exitCode = corrupt.length === 0 ? EXIT.ok : EXIT.failed;
  if (json) {
    const whole = { events, releases, corrupt, ...(copy && { copy: copy.of }) };
    return { text: JSON.stringify(whole, null, 2), exitCode };
  }
  if (release !== undefined && events.length + releases.length === 0)
    throw new UserError(`${stack} has no release ${release}; npm run history -- ${stack} lists them all`);
  const text =
    release === undefined
      ? renderEvents(stack, events)
      : [...releases.map(renderWhole), ...events.map(renderEvent)].join("\n\n");
  return { text: [...(copy ? [copy.note] : []), text, ...renderCorrupt(corrupt)].join("\n"), exitCode };
}

/** The records on the server; where it does not answer, those in the newest set of backups. */
async function readAnywhere(
  stack: string,
  operator: HistoryReader,
  readCopy: ReadCopy,
): Promise<{
  readonly found: Recorded;
  readonly copy?: { readonly note: string; readonly of: Pick<CopiedRecords, "set" | "madeAt"> };
}> {
  try {
    return { found: await onServer(stack, operator, readRecords) };
  } catch (error) {
    if (!(error instanceof UserError) || error instanceof StateLocked) throw error;
    const found = await readCopy(stack).catch((second: unknown) => {
      if (!(second instanceof UserError)) throw second;
      throw new UserError(
        `${error.message}\nthe copy in the backups cannot be read either: ${second.message}`,
      );
    });
    if (found === undefined) throw error;
    const { set, madeAt } = found;
    return {
      found,
      copy: {
        note: `${error.message}\n${describeCopy(found, operator.now())}\n`,
        of: { set, madeAt },
      },
    };
  }
}

function renderEvents(stack: string, events: readonly AuditEvent[]): string {
  const rows = events.map(({ at, who, action, release, reason, detail }) => [
    renderTime(at),
    who,
    action,
    release === undefined ? "" : String(release),
    reason === "" ? cut(detail) : `${cut(detail)} (${cut(reason)})`,
  ]);
  const isCut = rows.some((row) => /…(\)|$)/.test(row[4] ?? ""));
  const table = renderTable({ headings: ["When (UTC)", "Who", "What", "Release", "Detail"], rows });
  return isCut ? `${table}\n… is in full in npm run history -- ${stack} <release>, and with --json` : table;
}

function renderEvent({ at, who, action, reason, detail }: AuditEvent): string {
  const head = `${renderTime(at)} UTC  ${action} by ${who}${reason === "" ? "" : `, why: ${reason}`}`;
  return `${head}\n${detail}`;
}

function renderWhole(release: Release): string {
  const { outcome, startedAt, finishedAt, preflight, verify, restoredVerify, seconds } = release;
  const end = finishedAt === undefined ? "" : ` to ${renderTime(finishedAt)}`;
  const checks = [
    ["preflight", preflight],
    ["verify", verify],
    ["verify after the rollback", restoredVerify],
  ] as const;
  return [
    renderRelease(release),
    `${outcome}, ${renderTime(startedAt)}${end} UTC, by ${release.who}`,
    ...(release.set === undefined ? [] : [`with the data of set ${release.set.slice(0, 8)}`]),
    ...checks.flatMap(([part, results]) => (results.length === 0 ? [] : renderChecks(part, results))),
    ...(Object.keys(seconds).length === 0 ? [] : [renderSeconds(seconds)]),
  ].join("\n");
}

function renderTime(at: string): string {
  return at.slice(0, 19).replace("T", " ");
}

function cut(text: string): string {
  const line = text.replace(/\s+/g, " ");
  return line.length <= DETAIL_LENGTH ? line : `${line.slice(0, DETAIL_LENGTH - 1)}…`;
}

interface UnlockCommand {
  readonly stack: string;
  readonly holder: string;
  readonly force: boolean;
  readonly reason: string;
}

export async function unlock(
  { stack, holder, force, reason }: UnlockCommand,
  operator: Reader & Pick<Operator, "identity" | "now">,
): Promise<Outcome> {
  return await onServer(stack, operator, async (server) => {
    const held = await breakLock(server, { stack, holder, force: force ? reason : undefined });
    await appendHistory(server, {
      at: operator.now().toISOString(),
      who: operator.identity.who,
      action: "unlock",
      reason,
      detail: `verrou de ${held.holder.who} levé${held.dead ? "" : " de force"} (${held.holder.why})`,
    });
    return { text: `released the lock; it was held by ${describeLock(held)}`, exitCode: EXIT.ok };
  });
}
