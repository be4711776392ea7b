/** One host: runs bash on it as root, over one connection whatever the number of callers. */
import type { Client, ClientChannel } from "ssh2";
import { UserError } from "../../common/user-error.ts";
import { commandFailure, wasLostBeforeBegin } from "./command-failure.ts";
import { fetchHostKey, where, type Endpoint, type Target } from "./connect.ts";
import { Connection, type Login } from "./connection.ts";
import { fingerprint } from "./keys.ts";
import { Shell, type Outcome } from "./shell-session.ts";
import { Slots } from "./slots.ts";

export interface Command {
  /** What it is for; follows "could not": `write /etc/motd`. */
  readonly purpose: string;

  /** Bash, run as root with `set -euo pipefail`, in `/`. */
  readonly script: string;

  /** Shell variables, not exported. */
  readonly variables?: Readonly<Record<string, string>>;

  /** Shell variables too; neither reaches a command line or an environment unless the script puts it there. */
  readonly secrets?: Readonly<Record<string, string>>;

  /** What the script reads from its standard input. */
  readonly stdin?: string | Buffer;

  /**
   * Limit after which the script and all it started are killed; also how long to wait for a host that does not answer, up to a minute.
   *
   * @default 120
   */
  readonly timeoutSeconds?: number;

  readonly signal: AbortSignal;

  /** Receives each line of both outputs as it arrives. */
  readonly onLine?: (line: string) => void;

  /** Called while the connection waits for a host that does not answer yet. */
  readonly onWaiting?: (reason: string) => void;

  /** Called when this command opens the connection, once a host with the pinned key answers and before it lets us in. */
  readonly onAnswer?: () => void;
}

export interface Result {
  readonly stdout: string;
  readonly stderr: string;
}

export interface HostOptions {
  /** Receives the warning that the host key is not checked, when `hostKey` is not set. */
  readonly onUnpinned?: (message: string) => void;
}

export { NoAnswer } from "./connect.ts";

// sshd allows ten sessions on one connection by default.
const MAX_SHELLS = 8;
const DEFAULT_TIMEOUT_SECONDS = 120;
const ANSWER_SECONDS = 30;

/** Fingerprint of the key with which a host answers, as `ssh-keygen -l` prints it; does not log in. */
export async function askFingerprint(endpoint: Endpoint): Promise<string> {
  const { signal } = new AbortController();
  return fingerprint(
    await fetchHostKey(endpoint, { deadlineSeconds: ANSWER_SECONDS, signal, onWaiting: () => undefined }),
  );
}

export class Host {
  readonly #target: Target;
  readonly #closed = new AbortController();
  readonly #connection: Connection;
  readonly #onUnpinned: ((message: string) => void) | undefined;
  readonly #slots = new Slots(MAX_SHELLS);
  readonly #turns = new Map<string, Promise<unknown>>();
  #idle: Shell[] = [];

  constructor(target: Target, { onUnpinned }: HostOptions = {}) {
    this.#target = target;
    this.#onUnpinned = target.hostKey === undefined ? onUnpinned : undefined;
    this.#connection = new Connection(target, this.#closed.signal);
  }

  /** `user@address:port`. */
  get name(): string {
    return `${this.#target.user}@${where(this.#target)}`;
  }

  get user(): string {
    return this.#target.user;
  }

  /** The same host over a login of its own, which proves that a new one is admitted. Close it. */
  another(): Host {
    return new Host(this.#target);
  }

  /** Runs the script; any exit code but 0 is a `CommandFailure`. */
  async run(command: Command): Promise<Result> {
    command.signal.throwIfAborted();
    await this.#slots.take(command.signal);
    try {
      const outcome = await this.#execute(command, { mayReconnect: true });
      if (outcome.stopped === undefined && outcome.code === 0) return outcome;
      throw commandFailure({
        purpose: command.purpose,
        host: this.name,
        user: this.#target.user,
        outcome,
      });
    } finally {
      this.#slots.release();
      this.#hangUpWhenIdle();
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

  /** Cancels what waits for the connection, and hangs up once the running commands have ended. */
  close(): void {
    this.#closed.abort(new UserError("cancelled"));
    this.#hangUpWhenIdle();
  }

  #hangUpWhenIdle(): void {
    if (this.#closed.signal.aborted && this.#slots.taken === 0) this.#connection.hangUp();
  }

  // A connection that was lost before the program began may be replaced: nothing has been done yet.
  async #execute(command: Command, { mayReconnect }: { readonly mayReconnect: boolean }): Promise<Outcome> {
    const shell = await this.#takeShell(command, { mayReconnect });
    const outcome = await shell.execute({
      script: command.script,
      variables: { ...command.variables, ...command.secrets },
      stdin: command.stdin,
      timeoutSeconds: command.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS,
      signal: command.signal,
      onLine: command.onLine,
    });
    if (shell.isOpen) this.#idle.push(shell);
    return mayReconnect && wasLostBeforeBegin(outcome)
      ? this.#execute(command, { mayReconnect: false })
      : outcome;
  }

  async #takeShell(command: Command, { mayReconnect }: { readonly mayReconnect: boolean }): Promise<Shell> {
    const { client, drop } = await this.#logIn(command);
    this.#idle = this.#idle.filter((shell) => shell.isOpen);
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    try {
      return new Shell(await openChannel(client, this.#shellCommand));
    } catch (error) {
      const { message } = error as Error;
      const isRefused = /open failed|administratively prohibited/i.test(message);
      if (isRefused && this.#slots.taken > 1) {
        // This sshd allows fewer sessions than most: wait for a shell that another command gives back.
        this.#slots.lowerLimit();
        this.#slots.release();
        await this.#slots.take(command.signal);
        return this.#takeShell(command, { mayReconnect });
      }
      if (mayReconnect && !isRefused) {
        drop();
        return this.#takeShell(command, { mayReconnect: false });
      }
      throw new UserError(`could not ${command.purpose} on ${this.name}: no session: ${message}`, {
        cause: error,
      });
    }
  }

  #logIn(command: Pick<Command, "timeoutSeconds" | "signal" | "onWaiting" | "onAnswer">): Promise<Login> {
    if (!this.#connection.isOpen) {
      this.#onUnpinned?.(`${this.name}: the host key is not checked; set hostKey`);
    }
    return this.#connection.open({
      deadlineSeconds: command.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS,
      signal: command.signal,
      onWaiting: command.onWaiting,
      onAnswer: command.onAnswer,
    });
  }

  get #shellCommand(): string {
    return this.#target.user === "root" ? "bash -s" : "sudo -n bash -s";
  }
}

function openChannel(client: Client, command: string): Promise<ClientChannel> {
  return new Promise((resolve, reject) => {
    client.exec(command, (error, channel) => {
      if (error) reject(error);
      else resolve(channel);
    });
  });
}
