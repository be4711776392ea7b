/** One host: bash run on it as root, over one connection whatever the number of callers. */
import { randomBytes } from "node:crypto";
import type { Client, ClientChannel } from "ssh2";
import { render, splitAtMark } from "./bootstrap.ts";
import { UserError } from "./definition.ts";
import { connect, where, type Target } from "./ssh-connect.ts";

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

  /** Limit after which the script and all it started are killed. */
  readonly timeoutSeconds?: number;

  readonly signal: AbortSignal;

  /** Lines of both outputs as they come. */
  readonly onLine?: (line: string) => void;

  /** Told while the connection waits for a host that does not answer yet. */
  readonly onWaiting?: (reason: string) => void;
}

export interface Result {
  readonly stdout: string;
  readonly stderr: string;
}

/** The script ended with another code than 0, or was killed. */
export class CommandFailure extends UserError {
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;

  constructor(message: string, result: Partial<Result> & { readonly exitCode?: number; readonly cause?: unknown }) {
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
const MAX_CHANNELS = 8;
const DEFAULT_TIMEOUT_SECONDS = 120;
const BOOT_DEADLINE_SECONDS = 60;
const MAX_OUTPUT_BYTES = 32 * 1024 * 1024;
const STDERR_LINES = 20;

/** How long a script that was told to end may take; the host kills it after five seconds. */
const END_MILLISECONDS = 10_000;

export class Host {
  readonly #target: Target;
  readonly #onUnpinned: (message: string) => void;
  readonly #closed = new AbortController();
  readonly #queue: (() => void)[] = [];
  readonly #turns = new Map<string, Promise<unknown>>();
  #connection: Promise<Client> | undefined;
  #channels = 0;
  #limit = MAX_CHANNELS;

  constructor(target: Target, onUnpinned: (message: string) => void) {
    this.#target = target;
    this.#onUnpinned = onUnpinned;
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
      return await this.#session(command, await this.#openChannel(command, true));
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

  close(): void {
    this.#closed.abort(new UserError("cancelled"));
    void this.#connection?.then(
      (client) => client.end(),
      () => undefined,
    );
  }

  async #enter(signal: AbortSignal): Promise<void> {
    while (this.#channels >= this.#limit) {
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
    this.#channels += 1;
  }

  #leave(): void {
    this.#channels -= 1;
    this.#queue.shift()?.();
  }

  // Nothing has run before the channel is open, so a connection found dead may be replaced without a question.
  async #openChannel(command: Command, mayReconnect: boolean): Promise<ClientChannel> {
    const client = await this.#connect(command);
    const invocation = this.#target.user === "root" ? "bash -s" : "sudo -n bash -s";
    try {
      return await new Promise<ClientChannel>((resolve, reject) => {
        client.exec(invocation, (error, channel) => {
          if (error) {
            reject(error);
          } else {
            resolve(channel);
          }
        });
      });
    } catch (error) {
      const refused = /open failed|administratively prohibited/i.test((error as Error).message);
      if (refused && this.#channels > 1) {
        this.#limit = Math.max(1, this.#channels - 1);
        this.#leave();
        await this.#enter(command.signal);
        return this.#openChannel(command, mayReconnect);
      }
      if (!refused && mayReconnect) {
        this.#forget(client);
        return this.#openChannel(command, false);
      }
      throw new UserError(`could not ${command.purpose} on ${this.name}: no session: ${(error as Error).message}`, { cause: error });
    }
  }

  async #connect(command: Command): Promise<Client> {
    if (this.#connection === undefined) {
      const attempt = connect(this.#target, {
        deadlineSeconds: BOOT_DEADLINE_SECONDS,
        signal: this.#closed.signal,
        onWaiting: command.onWaiting ?? (() => undefined),
      });
      this.#connection = attempt;
      attempt.then(
        (client) => {
          client.on("error", () => this.#forget(client));
          client.on("close", () => this.#forget(client));
        },
        () => {
          this.#connection = undefined;
        },
      );
      if (this.#target.hostKey === undefined) {
        this.#onUnpinned(`${this.name}: the host key is not checked; set hostKey`);
      }
    }
    return abortable(this.#connection, command.signal);
  }

  #forget(client: Client): void {
    const current = this.#connection;
    void current?.then(
      (held) => {
        if (held === client && this.#connection === current) {
          this.#connection = undefined;
        }
      },
      () => undefined,
    );
    client.destroy();
  }

  #session(command: Command, channel: ClientChannel): Promise<Result> {
    const mark = randomBytes(16).toString("hex");
    const timeoutSeconds = command.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS;
    const stdout = new Collector(mark, command.onLine);
    const stderr = new Collector(mark, command.onLine);

    return new Promise((resolve, reject) => {
      let stopped: string | undefined;
      let endTimer: NodeJS.Timeout | undefined;

      // The end of its standard input makes the host kill the script; closing at once would hide whether it did.
      const stop = (reason: string): void => {
        if (stopped === undefined) {
          stopped = reason;
          channel.end();
          endTimer = setTimeout(() => finish(), END_MILLISECONDS);
        }
      };
      const onAbort = (): void => stop(reasonOfAbort(command.signal));
      const timer = setTimeout(() => stop(`took longer than ${timeoutSeconds} s`), timeoutSeconds * 1000);
      command.signal.addEventListener("abort", onAbort);
      if (command.signal.aborted) {
        onAbort();
      }

      let done = false;
      const finish = (): void => {
        if (done) {
          return;
        }
        done = true;
        clearTimeout(timer);
        clearTimeout(endTimer);
        command.signal.removeEventListener("abort", onAbort);
        channel.destroy();
        const result = { stdout: stdout.text(), stderr: stderr.text() };
        const code = stdout.code();
        if (stopped === undefined && code === 0) {
          resolve(result);
        } else {
          reject(this.#failure(command, { ...result, code, stopped }));
        }
      };
      const take = (collector: Collector, chunk: Buffer): void => {
        collector.add(chunk);
        if (stdout.size > MAX_OUTPUT_BYTES || stderr.size > MAX_OUTPUT_BYTES) {
          stop(`printed more than ${MAX_OUTPUT_BYTES / 1024 / 1024} MiB`);
        }
        if (stdout.code() !== undefined && stderr.code() !== undefined) {
          finish();
        }
      };

      channel.on("data", (chunk: Buffer) => take(stdout, chunk));
      channel.stderr.on("data", (chunk: Buffer) => take(stderr, chunk));
      channel.on("error", () => finish());
      channel.on("close", () => finish());
      channel.write(
        render({
          script: command.script,
          variables: { ...command.variables, ...command.secrets },
          stdin: command.stdin,
          mark,
        }),
      );
    });
  }

  #failure(command: Command, end: Result & { readonly code: number | undefined; readonly stopped: string | undefined }): CommandFailure {
    const lines = lastLinesOf(end.stderr);
    const said = lines === "" ? "" : `; it said:\n  ${lines}`;
    const message = `could not ${command.purpose} on ${this.name}: ${this.#reason(end)}${said}`;
    return new CommandFailure(message, { ...end, ...(end.code === undefined ? {} : { exitCode: end.code }) });
  }

  #reason({ code, stopped, stderr }: { readonly code: number | undefined; readonly stopped: string | undefined; readonly stderr: string }): string {
    if (stopped !== undefined) {
      return `${stopped}; ${code === undefined ? "whether it still runs there is not known" : "it was killed there"}`;
    }
    if (code === undefined) {
      if (/sudo: (a password is required|a terminal is required)|is not in the sudoers file|not allowed to execute/i.test(stderr)) {
        return `sudo refused; give ${this.#target.user} the right to sudo without a password (NOPASSWD: ALL), or log in as root`;
      }
      if (/sudo: (command )?not found|sudo: No such file/i.test(stderr)) {
        return "there is no sudo; install it, or log in as root";
      }
      return "the connection was lost meanwhile; how far it came is not known";
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

/** One output of a script, up to its mark. */
class Collector {
  readonly #mark: string;
  readonly #onLine: ((line: string) => void) | undefined;
  readonly #chunks: Buffer[] = [];
  #tail = Buffer.alloc(0);
  #code: number | undefined;
  #line = "";
  size = 0;

  constructor(mark: string, onLine: ((line: string) => void) | undefined) {
    this.#mark = mark;
    this.#onLine = onLine;
  }

  add(chunk: Buffer): void {
    if (this.#code !== undefined) {
      return;
    }
    this.#chunks.push(chunk);
    this.size += chunk.length;
    this.#tail = Buffer.concat([this.#tail, chunk]).subarray(-(chunk.length + this.#mark.length + 8));
    this.#code = splitAtMark(this.#tail, this.#mark)?.code;
    this.#tell(chunk);
  }

  code(): number | undefined {
    return this.#code;
  }

  text(): string {
    const all = Buffer.concat(this.#chunks);
    return splitAtMark(all, this.#mark)?.text ?? all.toString("utf8");
  }

  #tell(chunk: Buffer): void {
    if (this.#onLine === undefined) {
      return;
    }
    const lines = (this.#line + chunk.toString("utf8")).split("\n");
    // A progress bar without an end of line must not pile up.
    this.#line = (lines.pop() ?? "").slice(-1024);
    lines.filter((line) => line.trim() !== "" && !line.startsWith(this.#mark)).forEach(this.#onLine);
  }
}

function lastLinesOf(text: string): string {
  return text.trimEnd().split("\n").slice(-STDERR_LINES).join("\n  ");
}

function reasonOfAbort(signal: AbortSignal): string {
  return signal.reason instanceof Error ? signal.reason.message : "cancelled";
}

function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason instanceof Error ? signal.reason : new UserError("cancelled"));
    if (signal.aborted) {
      onAbort();
    }
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
