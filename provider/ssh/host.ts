/** One host: bash run on it as root, over one connection whatever the number of callers. */
import type { Client, ClientChannel } from "ssh2";
import { UserError } from "../../common/user-error.ts";
import { connect, where, type Target } from "./connect.ts";
import { joinLogin, shareLogin, type Sharing } from "./sharing.ts";
import { Shell, type Outcome } from "./shell-session.ts";

export interface Command {
  /** What it is for, to follow "could not": `write /etc/motd`. */
  readonly purpose: string;

  /** Bash, run as root with `set -euo pipefail`, in `/`. */
  readonly script: string;

  /** Shell variables, not exported. */
  readonly variables?: Readonly<Record<string, string>>;

  /** Shell variables too; neither reaches a command line or an environment unless the script puts it there. */
  readonly secrets?: Readonly<Record<string, string>>;

  /** What the script reads from its standard input. */
  readonly stdin?: string | Buffer;

  /** Limit after which the script and all it started are killed; also how long to wait for a host that does not answer, up to a minute. */
  readonly timeoutSeconds?: number;

  readonly signal: AbortSignal;

  /** Lines of both outputs as they come. */
  readonly onLine?: (line: string) => void;

  /** Told while the connection waits for a host that does not answer yet. */
  readonly onWaiting?: (reason: string) => void;

  /** Told, of a connection that this command opens, once a host with the pinned key answers and before it lets us in. */
  readonly onAnswer?: () => void;
}

export interface Result {
  readonly stdout: string;
  readonly stderr: string;
}

type Patience = Pick<Command, "timeoutSeconds" | "signal" | "onWaiting" | "onAnswer">;

/** The script ended with another code than 0, or was killed. */
export class CommandFailure extends UserError {
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;

  constructor(
    message: string,
    result: Partial<Result> & { readonly exitCode?: number; readonly cause?: unknown },
  ) {
    super(message, { cause: result.cause });
    this.exitCode = result.exitCode;
    this.stdout = result.stdout ?? "";
    this.stderr = result.stderr ?? "";
  }

  /** Last lines that the script said on its standard error, indented as in the message. */
  get lastLines(): string {
    return lastLinesOf(this.stderr);
  }
}

// sshd allows ten sessions on one connection unless told otherwise.
const MAX_SHELLS = 8;
const DEFAULT_TIMEOUT_SECONDS = 120;
const BOOT_DEADLINE_SECONDS = 60;

// Dozens of resources ask for the same host; once one has waited in vain, the others need not wait as long each.
const UNANSWERED_DEADLINE_SECONDS = 3;
const STDERR_LINES = 20;

export class Host {
  readonly #target: Target;
  readonly #onUnpinned: (message: string) => void;
  readonly #invocation: string;
  readonly #closed = new AbortController();
  readonly #queue: (() => void)[] = [];
  readonly #turns = new Map<string, Promise<unknown>>();
  #connection: Promise<Client> | undefined;
  #client: Client | undefined;
  #idle: Shell[] = [];
  #busy = 0;
  #isUnanswered = false;
  #limit = MAX_SHELLS;
  #mayJoin: boolean;
  #joined: Client | undefined;

  /** `joins`: whether a login that the process which started this one shares is as good as one of its own. */
  constructor(
    target: Target,
    onUnpinned: (message: string) => void,
    { joins = false }: { readonly joins?: boolean } = {},
  ) {
    this.#target = target;
    this.#onUnpinned = onUnpinned;
    this.#invocation = target.user === "root" ? "bash -s" : "sudo -n bash -s";
    this.#mayJoin = joins;
  }

  /** `user@address:port`. */
  get name(): string {
    return `${this.#target.user}@${where(this.#target)}`;
  }

  /** Runs the script; anything but exit code 0 is a `CommandFailure`. */
  async run(command: Command): Promise<Result> {
    command.signal.throwIfAborted();
    await this.#enter(command.signal);
    try {
      const outcome = await this.#execute(command, true);
      if (outcome.stopped === undefined && outcome.code === 0) {
        return outcome;
      }
      throw this.#failure(command, outcome);
    } finally {
      this.#leave();
    }
  }

  /** Runs `work` while no other work of that name runs, for what the host itself does one at a time, such as apt. */
  exclusively<T>(name: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.#turns.get(name) ?? Promise.resolve()).then(work, work);
    this.#turns.set(
      name,
      turn.catch(() => undefined),
    );
    return turn;
  }

  /** Lets the processes that are started from now on work over this login; it is made when the first of them needs it. */
  share(signal: AbortSignal): Sharing {
    return shareLogin(this.#target, async () =>
      openChannel(await this.#connect({ signal }), this.#invocation),
    );
  }

  /** Takes nothing more, and hangs up once what runs has ended. */
  close(): void {
    this.#closed.abort(new UserError("cancelled"));
    this.#hangUpWhenIdle();
  }

  async #enter(signal: AbortSignal): Promise<void> {
    while (this.#busy >= this.#limit) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#queue.push(resolve);
      signal.addEventListener("abort", () => resolve(), { once: true });
      await promise;
      if (signal.aborted) {
        // Whoever woke us must not have done so in vain for the next in line.
        const place = this.#queue.indexOf(resolve);
        if (place >= 0) {
          this.#queue.splice(place, 1);
        } else {
          this.#queue.shift()?.();
        }
        signal.throwIfAborted();
      }
    }
    this.#busy += 1;
  }

  #leave(): void {
    this.#busy -= 1;
    this.#queue.shift()?.();
    this.#hangUpWhenIdle();
  }

  #hangUpWhenIdle(): void {
    if (this.#closed.signal.aborted && this.#busy === 0) {
      void this.#connection?.then(
        (client) => client.end(),
        () => undefined,
      );
    }
  }

  // A connection found dead before the program began may be replaced without a question: nothing has been done.
  async #execute(command: Command, mayReconnect: boolean): Promise<Outcome> {
    const shell = await this.#openShell(command, mayReconnect);
    const outcome = await shell.execute({
      script: command.script,
      variables: { ...command.variables, ...command.secrets },
      stdin: command.stdin,
      timeoutSeconds: command.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS,
      signal: command.signal,
      onLine: command.onLine,
    });
    if (shell.isOpen) {
      this.#idle.push(shell);
    }
    const isLost =
      !outcome.hasBegun && outcome.stopped === undefined && sudoFault(outcome.stderr) === undefined;
    return isLost && mayReconnect ? this.#execute(command, false) : outcome;
  }

  async #openShell(command: Command, mayReconnect: boolean): Promise<Shell> {
    const client = await this.#connect(command);
    this.#idle = this.#idle.filter((shell) => shell.isOpen);
    const idle = this.#idle.pop();
    if (idle !== undefined) {
      return idle;
    }
    try {
      return new Shell(await openChannel(client, this.#invocation));
    } catch (error) {
      const isRefused = /open failed|administratively prohibited/i.test((error as Error).message);
      if (isRefused && this.#busy > 1) {
        // This sshd allows fewer sessions than most.
        this.#limit = Math.max(1, this.#busy - 1);
        this.#leave();
        await this.#enter(command.signal);
        return this.#openShell(command, mayReconnect);
      }
      if ((!isRefused || client === this.#joined) && mayReconnect) {
        this.#forget(client);
        return this.#openShell(command, false);
      }
      throw new UserError(
        `could not ${command.purpose} on ${this.name}: no session: ${(error as Error).message}`,
        { cause: error },
      );
    }
  }

  async #connect(command: Patience): Promise<Client> {
    if (this.#connection === undefined) {
      const attempt = this.#open(command);
      this.#connection = attempt;
      attempt.then(
        (client) => {
          this.#isUnanswered = false;
          this.#client = client;
          client.on("error", () => this.#forget(client));
          client.on("close", () => this.#forget(client));
        },
        () => {
          this.#connection = undefined;
          this.#isUnanswered = true;
        },
      );
      if (this.#target.hostKey === undefined) {
        this.#onUnpinned(`${this.name}: the host key is not checked; set hostKey`);
      }
    }
    return abortable(this.#connection, command.signal);
  }

  async #open(command: Patience): Promise<Client> {
    if (this.#mayJoin) {
      // Once only: a shared login that was lost, or has no session left, is followed by one of our own.
      this.#mayJoin = false;
      this.#joined = await joinLogin(this.#target, this.#closed.signal);
      if (this.#joined !== undefined) return this.#joined;
    }
    return connect(this.#target, {
      deadlineSeconds: Math.min(
        this.#isUnanswered ? UNANSWERED_DEADLINE_SECONDS : BOOT_DEADLINE_SECONDS,
        command.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS,
      ),
      signal: this.#closed.signal,
      onWaiting: command.onWaiting ?? (() => undefined),
      onAnswer: command.onAnswer,
    });
  }

  #forget(client: Client): void {
    // At once: whoever forgets it may ask for another in the same breath.
    if (this.#client === client) {
      this.#client = this.#connection = undefined;
    }
    client.destroy();
  }

  #failure(command: Command, outcome: Outcome): CommandFailure {
    const lines = lastLinesOf(outcome.stderr);
    const said = lines === "" ? "" : `; it said:\n  ${lines}`;
    const message = `could not ${command.purpose} on ${this.name}: ${this.#reason(outcome)}${said}`;
    return new CommandFailure(message, {
      stdout: outcome.stdout,
      stderr: outcome.stderr,
      ...(outcome.code === undefined ? {} : { exitCode: outcome.code }),
    });
  }

  #reason({ code, stopped, stderr, hasBegun }: Outcome): string {
    if (stopped !== undefined) {
      return `${stopped}; ${code !== undefined ? "it was killed there" : hasBegun ? "whether it still runs there is not known" : "it had not begun"}`;
    }
    if (code === undefined) {
      switch (hasBegun ? undefined : sudoFault(stderr)) {
        case "refused":
          return `sudo refused; give ${this.#target.user} the right to sudo without a password (NOPASSWD: ALL), or log in as root`;
        case "missing":
          return "there is no sudo; install it, or log in as root";
        case undefined:
          return hasBegun
            ? "the connection was lost meanwhile; how far it came is not known"
            : "the connection was lost before it began";
      }
    }
    if (/No space left on device|Disk quota exceeded/i.test(stderr)) {
      return `the disk of the host is full (exit code ${code}); make room there (df -h shows where)`;
    }
    if (/Read-only file system/i.test(stderr)) {
      return `the file system of the host is read-only (exit code ${code}); check its disk (dmesg)`;
    }
    return `exit code ${code}`;
  }
}

function sudoFault(stderr: string): "refused" | "missing" | undefined {
  if (
    /sudo: (a password is required|a terminal is required)|is not in the sudoers file|is not allowed to (run|execute)/i.test(
      stderr,
    )
  ) {
    return "refused";
  }
  return /sudo: (command )?not found|sudo: No such file/i.test(stderr) ? "missing" : undefined;
}

function openChannel(client: Client, invocation: string): Promise<ClientChannel> {
  return new Promise((resolve, reject) => {
    client.exec(invocation, (error, channel) => {
      if (error) {
        reject(error);
      } else {
        resolve(channel);
      }
    });
  });
}

function lastLinesOf(text: string): string {
  return text.trimEnd().split("\n").slice(-STDERR_LINES).join("\n  ");
}

function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void =>
      reject(signal.reason instanceof Error ? signal.reason : new UserError("cancelled"));
    if (signal.aborted) {
      onAbort();
    }
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
