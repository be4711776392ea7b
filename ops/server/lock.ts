/**
 * One deployment at a time: the lock is a folder on the server.
 *
 * The folder is filled under another name and then moved, which fails while there is one, so nobody sees it without its holder. All times
 * are the server's. The holder renews its lease; when the lease is over, the holder is dead. A folder that somebody has emptied counts as no
 * lock: the next command's folder replaces it, and a holder that still runs finds its lock lost.
 */
import { randomUUID } from "node:crypto";

import { z } from "zod";

import type { Server, ServerCommand } from "./connection.ts";
import { UserError } from "../../common/user-error.ts";
import { RECORDS_FOLDER } from "../../common/release.ts";
import type { Effects } from "../effects.ts";

const LOCK_FOLDER = `${RECORDS_FOLDER}/lock`;

/** The unit on the server in which a maintenance upgrades packages. */
export const UPGRADE_UNIT = "technicia-maintenance.service";

/** How long a holder without a sign of life keeps the lock. */
export const LEASE_SECONDS = 120;
const RENEW_SECONDS = 20;

/** A holder that lives gives a sign of life within this time, even when one does not get through. */
const SIGN_SECONDS = 2 * RENEW_SECONDS;

const holder = z.object({
  token: z.string(),
  who: z.string(),
  /** Address of the CI run; empty by hand. */
  run: z.string(),
  process: z.number(),
  started: z.string().optional(),
  space: z.string().optional(),
  why: z.string(),
});

const answer = z.object({ now: z.number(), since: z.number(), renewed: z.number(), holder });

export interface Held {
  readonly holder: z.output<typeof holder>;
  readonly since: Date;
  /** The last sign of life, by the server's clock. */
  readonly renewed: Date;
  /** Since the last sign of life. */
  readonly silentSeconds: number;
  /** Whether the lease is over. */
  readonly dead: boolean;
}

/** Somebody else is deploying; nothing was changed. */
export class LockRefusal extends UserError {
  override readonly name = "LockRefusal";
}

/** Somebody else broke the lock of this command, or took it: it stops. */
export class LockLost extends UserError {
  override readonly name = "LockLost";
}

// An upgrade goes on when the maintenance that began it is killed, and its lock may be taken over meanwhile.
const TAKE = `
if [ "$DURING_UPGRADE" = no ] && [ "$(systemctl show --property ActiveState --value "$UPGRADE" 2>/dev/null)" = active ]; then
  echo upgrading
  exit
fi
umask 027
install -d -m 0750 "$RECORDS_FOLDER"
made=$(mktemp --directory "$RECORDS_FOLDER/.lock.XXXXXXXX")
trap 'rm --force --recursive "$made"' EXIT
cat > "$made/holder.json"
touch "$made/lease"
if mv --no-target-directory "$made" "$FOLDER" 2>/dev/null; then echo taken; else echo refused; fi`;

// The lock may be released between two lines; then nothing is printed.
const LOOK = `
cd "$FOLDER" 2>/dev/null || exit 0
if holder=$(cat holder.json 2>/dev/null) && since=$(stat --format %Y holder.json 2>/dev/null) && renewed=$(stat --format %Y lease 2>/dev/null); then
  printf '{"now":%s,"since":%s,"renewed":%s,"holder":%s}' "$(date +%s)" "$since" "$renewed" "$holder"
elif [ -d "$FOLDER" ]; then
  echo unreadable
fi`;

const RENEW = `
if grep --quiet --fixed-strings "$TOKEN" "$FOLDER/holder.json" 2>/dev/null; then
  touch --no-create "$FOLDER/lease"
  echo renewed
fi`;

// Moved before it is removed: only one of two who end it gets it, and a lock that changed hands meanwhile is moved back.
const END = `
grep --quiet --fixed-strings "$TOKEN" "$FOLDER/holder.json" 2>/dev/null || exit 0
ended=$(mktemp --directory "$RECORDS_FOLDER/.ended.XXXXXXXX")
trap 'rm --force --recursive "$ended"' EXIT
mv --no-target-directory "$FOLDER" "$ended" 2>/dev/null || exit 0
if grep --quiet --fixed-strings "$TOKEN" "$ended/holder.json"; then
  echo ended
else
  mv --no-target-directory "$ended" "$FOLDER"
fi`;

interface LockRequest extends Pick<Effects, "identity" | "isAlive" | "pause" | "say"> {
  readonly stack: string;
  readonly why: string;

  /** Whether it may be taken while an upgrade of the packages runs. @default false */
  readonly duringUpgrade?: boolean;
}

/**
 * Takes the lock, or throws a `LockRefusal` that names the holder. Takes over a lock that a killed command of ours left on this machine, once
 * its holder has missed its signs of life.
 */
export async function takeLock(
  server: Server,
  request: LockRequest,
): Promise<{ readonly lock: ReturnType<typeof lockOf>; readonly replaced: Held | undefined }> {
  const mine = { token: randomUUID(), ...request.identity, why: request.why };
  let replaced: Held | undefined;
  let awaited: Held | undefined;
  for (;;) {
    const { stdout } = await server.run({
      purpose: "take the deployment lock",
      script: TAKE,
      variables: {
        ...{ RECORDS_FOLDER, FOLDER: LOCK_FOLDER, UPGRADE: UPGRADE_UNIT },
        DURING_UPGRADE: request.duringUpgrade === true ? "yes" : "no",
      },
      stdin: JSON.stringify(mine),
    });
    if (stdout.trim() === "upgrading")
      throw new LockRefusal(
        `${request.stack}: expected no maintenance under way, got an upgrade of packages that goes on although its command has ended; finish it with npm run maintain -- ${request.stack}`,
      );
    if (stdout.trim() === "taken") return { lock: lockOf(server, mine.token), replaced };
    const held = await readLock(server);
    // Released in between.
    if (held === undefined) continue;
    const lives = awaited?.holder.token === held.holder.token && held.renewed > awaited.renewed;
    if (lives || !isLeftByUs(held, request)) throw refusal(held, request);
    if (held.silentSeconds > SIGN_SECONDS) {
      await endLock(server, held.holder.token);
      replaced = held;
    } else {
      const seconds = SIGN_SECONDS - held.silentSeconds + 1;
      request.say(
        `your command (process ${held.holder.process}) no longer runs and left its lock: taking it over in ${seconds} s`,
      );
      await request.pause(seconds);
      awaited = held;
    }
  }
}

function refusal(held: Held, { stack }: LockRequest): LockRefusal {
  const remedy = held.dead
    ? `it died; free it with npm run unlock -- ${stack} --holder ${held.holder.who}`
    : "wait until it has ended";
  return new LockRefusal(`${stack}: expected no deployment under way, got ${describeLock(held)}; ${remedy}`);
}

/** Who has the lock; undefined when nobody has. */
export async function readLock(
  server: Server,
  options: Pick<ServerCommand, "timeoutSeconds" | "onAnswer"> = {},
): Promise<Held | undefined> {
  const { stdout } = await server.run({
    ...options,
    purpose: "read the deployment lock",
    script: LOOK,
    variables: { FOLDER: LOCK_FOLDER },
  });
  if (stdout === "") return undefined;
  let read: z.output<typeof answer>;
  try {
    read = answer.parse(JSON.parse(stdout));
  } catch {
    throw new LockRefusal(
      `${LOCK_FOLDER} on ${server.name}: this lock does not name its holder; ` +
        "look at it there, and remove it by hand once you know that nobody deploys",
    );
  }
  const silentSeconds = Math.max(0, read.now - read.renewed);
  return {
    holder: read.holder,
    since: new Date(read.since * 1000),
    renewed: new Date(read.renewed * 1000),
    silentSeconds,
    dead: silentSeconds > LEASE_SECONDS,
  };
}

/** Ends the lock of the named holder; `force` says why a live one loses it. */
export async function breakLock(
  server: Server,
  {
    stack,
    holder,
    force,
  }: { readonly stack: string; readonly holder: string; readonly force: string | undefined },
): Promise<Held> {
  const held = await readLock(server);
  if (held === undefined) throw new UserError(`${stack} is not locked; a deployment can start`);
  if (held.holder.who !== holder) {
    throw new UserError(`--holder: expected ${held.holder.who}, got ${holder}; ${describeLock(held)}`);
  }
  if (!held.dead && force === undefined) {
    throw new UserError(
      `${stack}: expected a holder without a sign of life for ${LEASE_SECONDS} s, got one ${held.silentSeconds} s ago; ` +
        `wait for it, or end it there first and then add --force --reason "…" (${describeLock(held)})`,
    );
  }
  if (!(await endLock(server, held.holder.token))) {
    throw new UserError(`${stack}: the lock of ${holder} has just changed hands; run this again`);
  }
  return held;
}

export interface HeldLock {
  /** Lock of a killed command of ours that was taken over. */
  readonly replaced: Held | undefined;

  /** Aborted with a `LockLost` when somebody else breaks the lock. */
  readonly lost: AbortSignal;

  /** Never fails: a lock that cannot be released ends with its lease. */
  release(): Promise<void>;
}

/** Takes the lock and renews it until it is released. */
export async function holdLock(
  server: Server,
  request: LockRequest & Pick<Effects, "every">,
): Promise<HeldLock> {
  const { stack, every, say } = request;
  const { lock, replaced } = await takeLock(server, request);
  if (replaced) say(`took over the lock that your killed command had left: ${describeLock(replaced)}`);
  const lost = new AbortController();
  const renew = async () => {
    try {
      if (await lock.renew()) return;
    } catch (error) {
      // A server that restarts does not answer for a while; the lease bridges that.
      say(`the lock could not be renewed (${(error as Error).message}); trying again`);
      return;
    }
    stopRenewing();
    lost.abort(
      new LockLost(
        `${stack}: somebody broke the deployment lock of this command (after ${LEASE_SECONDS} s without a sign of life, or by force); ` +
          `see npm run history -- ${stack}`,
      ),
    );
  };
  const stopRenewing = every(RENEW_SECONDS, () => void renew());
  return {
    replaced,
    lost: lost.signal,
    async release() {
      stopRenewing();
      try {
        await lock.release();
      } catch (error) {
        say(`the lock could not be released: ${(error as Error).message}`);
      }
    },
  };
}

function lockOf(server: Server, token: string) {
  return {
    /** Renews the lease; false when the lock is no longer ours. */
    async renew() {
      const { stdout } = await server.run({
        purpose: "renew the deployment lock",
        script: RENEW,
        variables: { FOLDER: LOCK_FOLDER, TOKEN: token },
        timeoutSeconds: RENEW_SECONDS,
      });
      return stdout.trim() === "renewed";
    },
    release: () => endLock(server, token),
  };
}

async function endLock(server: Server, token: string): Promise<boolean> {
  const { stdout } = await server.run({
    purpose: "release the deployment lock",
    script: END,
    variables: { RECORDS_FOLDER, FOLDER: LOCK_FOLDER, TOKEN: token },
  });
  return stdout.trim() === "ended";
}

/**
 * Runners of a CI share names and process numbers, so only a person's own machine is recognised. Containers may share names as well: a process
 * that cannot be seen from here is not taken for dead.
 */
function isLeftByUs({ holder: held }: Held, { identity, isAlive }: LockRequest): boolean {
  return (
    held.run === "" &&
    identity.run === "" &&
    held.who === identity.who &&
    held.space === identity.space &&
    !isAlive(held.process, held.started)
  );
}

export function describeLock({ holder: { who, run, why }, since, silentSeconds }: Held): string {
  const at = since.toISOString().slice(0, 19).replace("T", " ");
  return `${who}${run === "" ? "" : ` (${run})`} since ${at} UTC, why: ${why}, last sign of life ${silentSeconds} s ago`;
}
