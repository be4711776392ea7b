/** Changes that decide who can log in: the host takes them back unless a new connection of the operator succeeds. */
import { z } from "zod";
import { script } from "../../common/script.ts";
import { UserError } from "../../common/user-error.ts";
import type { Call } from "../plugin/definition.ts";
import { CommandFailure } from "../ssh/command-failure.ts";
import type { Command, Result } from "../ssh/host.ts";
import { isWithin, only, SEEN_BY_SERVER } from "../ssh/operator-address.ts";

const GUARD = script(new URL("scripts/login-guard.sh", import.meta.url));

/** The line that says that the change is made. */
const MARK = /^guard (\/run\/technicia-guard-\w+)$\n?/m;

/** Exit code of the guard when it took the change back. */
const EXIT_RESTORED = 94;

/** Time for the change itself to be taken back, in addition to the guard's. */
const RESTORE_SECONDS = 20;

/** A preview does not wait for a server that boots. */
const ASK_SECONDS = 15;

const SECONDS = "a whole number of seconds from 5 to 600";

/** `guard` of a resource: how long the host waits for a new connection. */
export const loginGuard = z.strictObject({
  seconds: z.int(SECONDS).min(5, SECONDS).max(600, SECONDS),
  /** Networks from which the change lets ssh in. */
  admits: z.array(z.union([z.cidrv4(), z.cidrv6()], "a network such as 198.51.100.0/24")).optional(),
});

export type LoginGuard = z.infer<typeof loginGuard>;

export interface GuardedCommand extends Command {
  readonly timeoutSeconds: number;
  /** A file that the command may write, besides those that every login depends on. */
  readonly touches?: string;
}

/** The change was made, nobody could log in any more, and what was before was restored. */
export class TakenBack extends UserError {}

/** Runs a command on the host; with a guard, its change stays only if the operator can log in anew. */
export function runGuarded(
  call: Call,
  guard: LoginGuard | undefined,
  command: GuardedCommand,
): Promise<Result> {
  const { touches = "", ...plain } = command;
  if (guard === undefined) return call.host.run(plain);
  // One at a time: what one of them restores would undo what another has just changed.
  return call.host.exclusively("login", () => runAndTry(call, guard, { ...plain, touches }));
}

/** Refuses a change in the preview when it does not admit the address from which the server sees us come. */
export async function refuseForeignOperator(call: Call, { admits = [] }: LoginGuard): Promise<void> {
  let address: string;
  try {
    const seen = await call.host.run({
      purpose: "ask from which address you come",
      script: SEEN_BY_SERVER,
      timeoutSeconds: ASK_SECONDS,
      signal: call.signal,
      onWaiting: call.log.status,
    });
    address = seen.stdout.trim();
  } catch (error) {
    call.signal.throwIfAborted();
    if (!(error instanceof UserError)) throw error;
    const message =
      `technicia:ssh.adminCidrs: expected to ask the server from which address you come before the list changes, got: ${error.message}; ` +
      "if it no longer admits you, docs/runbook.md says how to get back in (Accès perdu)";
    // A CI's preview has neither the key nor the address of its deployment, whose change is tried and taken back.
    if (process.env["CI"] !== "true") throw new UserError(message, { cause: error });
    call.log.warning(`${message}; not compared, because this is a CI`);
    return;
  }
  if (address === "") {
    call.log.warning(
      "technicia:ssh.adminCidrs: not compared with your address, because the server does not tell it",
    );
    return;
  }
  if (isWithin(address, admits)) return;
  throw new UserError(
    `technicia:ssh.adminCidrs: expected a range that holds ${address}, the address that the server sees you come from, got ${admits.join(", ")}; add "${only(address)}"`,
  );
}

async function runAndTry(
  call: Call,
  { seconds }: LoginGuard,
  { touches, ...command }: GuardedCommand & { readonly touches: string },
): Promise<Result> {
  const ended = new AbortController();
  let trial: Promise<UserError | undefined> | undefined;
  try {
    const { stdout, stderr } = await call.host.run({
      ...command,
      script: GUARD,
      variables: {
        ...command.variables,
        GUARD_CHANGE: command.script,
        GUARD_LOGIN: call.host.user,
        GUARD_TOUCHED: touches,
        GUARD_SECONDS: String(seconds),
      },
      timeoutSeconds: command.timeoutSeconds + seconds + RESTORE_SECONDS,
      onLine: (line) => {
        const folder = MARK.exec(line)?.[1];
        if (folder === undefined) command.onLine?.(line);
        else trial = tryNewLogin(call, { folder, seconds, signal: ended.signal });
      },
    });
    return { stdout, stderr: stderr.replace(MARK, "") };
  } catch (error) {
    ended.abort(new UserError("the change was taken back"));
    throw error instanceof CommandFailure
      ? explain(error, { command, seconds, refusal: await trial })
      : error;
  } finally {
    ended.abort(new UserError("the change is over"));
  }
}

/** Confirms the change over a new connection, or has it taken back; returns why it did not come about. */
async function tryNewLogin(
  call: Call,
  guard: { readonly folder: string; readonly seconds: number; readonly signal: AbortSignal },
): Promise<UserError | undefined> {
  const variables = { FOLDER: guard.folder };
  const signal = AbortSignal.any([call.signal, guard.signal]);
  const another = call.host.another();
  let last: string | undefined;
  try {
    await another.run({
      purpose: "log in anew",
      script: 'touch "$FOLDER/confirmed"',
      variables,
      timeoutSeconds: guard.seconds,
      signal,
      onWaiting: (reason) => {
        last = reason;
        call.log.status(reason);
      },
    });
    return undefined;
  } catch (error) {
    if (guard.signal.aborted) return last === undefined ? undefined : new UserError(last);
    const purpose = "take the change back";
    // The host does it by itself; this is sooner, and needs the old connection.
    await call.host
      .run({ purpose, script: 'touch "$FOLDER/refused"', variables, timeoutSeconds: guard.seconds, signal })
      .catch(() => undefined);
    if (error instanceof UserError) return error;
    throw error;
  } finally {
    another.close();
  }
}

function explain(
  failure: CommandFailure,
  about: {
    readonly command: Command;
    readonly seconds: number;
    readonly refusal: UserError | undefined;
  },
): UserError {
  const { command, seconds, refusal } = about;
  if (failure.exitCode === EXIT_RESTORED) {
    const restored = [...failure.stderr.matchAll(/^(?:restored (.+)|(removed the firewall .+))$/gm)].map(
      ([, what, removed]) => what ?? removed,
    );
    const got = refusal?.message ?? `none within ${seconds} s`;
    return new TakenBack(
      `could not ${command.purpose}: expected a new ssh connection to succeed after it, got: ${got}\n` +
        `The server restored ${restored.join(", ") || "what was there before"}; you log in as before. Correct the settings and run this again`,
      { cause: failure },
    );
  }
  if (failure.exitCode !== undefined) return failure;
  return new UserError(
    `${failure.message}\nThe server takes this change back within ${seconds} s, unless a new connection had confirmed it`,
    { cause: failure },
  );
}
