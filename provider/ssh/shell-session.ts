/** A root shell on the host, over one channel: runs one program at a time, as long as the connection lives. */
import { randomBytes } from "node:crypto";
import type { ClientChannel } from "ssh2";
import { beginning, ending, frame, SHELL, type Program } from "./remote-shell.ts";

const MAX_OUTPUT_BYTES = 32 * 1024 * 1024;

/** How long a program that was told to end may take; the host kills it after five seconds. */
const END_MILLISECONDS = 10_000;

export interface Execution extends Omit<Program, "mark"> {
  readonly timeoutSeconds: number;
  readonly signal: AbortSignal;
  /** Lines of both outputs as they come. */
  readonly onLine: ((line: string) => void) | undefined;
}

export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  /** Undefined when the channel closed first. */
  readonly code: number | undefined;
  /** Whether the program was started at all. */
  readonly hasBegun: boolean;
  /** Why it was told to end; undefined when it ended by itself. */
  readonly stopped: string | undefined;
}

export class Shell {
  readonly #channel: ClientChannel;
  #isOpen = true;

  constructor(channel: ClientChannel) {
    this.#channel = channel;
    channel.on("close", () => {
      this.#isOpen = false;
    });
    // The close that follows is what counts.
    channel.on("error", () => undefined);
    channel.write(SHELL);
  }

  /** Whether it can take another program. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  close(): void {
    this.#isOpen = false;
    this.#channel.destroy();
  }

  execute(execution: Execution): Promise<Outcome> {
    const channel = this.#channel;
    const mark = randomBytes(16).toString("hex");
    const stdout = new Collector(mark, execution.onLine);
    const stderr = new Collector(mark, execution.onLine);

    return new Promise((resolve) => {
      let stopped: string | undefined;
      let ultimatum: NodeJS.Timeout | undefined;

      // The end of its input makes the host kill the program; closing the channel at once would hide whether it did.
      const stop = (reason: string): void => {
        if (stopped === undefined) {
          stopped = reason;
          this.#isOpen = false;
          channel.end();
          ultimatum = setTimeout(finish, END_MILLISECONDS);
        }
      };
      const onAbort = (): void =>
        stop(execution.signal.reason instanceof Error ? execution.signal.reason.message : "cancelled");
      const timer = setTimeout(
        () => stop(`took longer than ${execution.timeoutSeconds} s`),
        execution.timeoutSeconds * 1000,
      );
      const take = (collector: Collector, chunk: Buffer): void => {
        collector.add(chunk);
        if (collector.size > MAX_OUTPUT_BYTES) {
          stop(`printed more than ${MAX_OUTPUT_BYTES / 1024 / 1024} MiB`);
        }
        if (stdout.end !== undefined && stderr.end !== undefined) {
          finish();
        }
      };
      const onStdout = (chunk: Buffer): void => take(stdout, chunk);
      const onStderr = (chunk: Buffer): void => take(stderr, chunk);
      const finish = (): void => {
        clearTimeout(timer);
        clearTimeout(ultimatum);
        execution.signal.removeEventListener("abort", onAbort);
        channel.off("data", onStdout);
        channel.stderr.off("data", onStderr);
        channel.off("close", finish);
        if (stopped !== undefined || stdout.end?.isHaunted !== false) {
          this.close();
        }
        resolve({
          stdout: stdout.text(),
          stderr: stderr.text(),
          code: stdout.end?.code,
          hasBegun: stdout.hasBegun || stderr.hasBegun,
          stopped,
        });
      };

      channel.on("data", onStdout);
      channel.stderr.on("data", onStderr);
      channel.on("close", finish);
      execution.signal.addEventListener("abort", onAbort);
      if (execution.signal.aborted) {
        onAbort();
      } else {
        channel.write(frame({ ...execution, mark }));
      }
    });
  }
}

/** One output of a program, between its marks. */
class Collector {
  readonly #mark: string;
  readonly #onLine: ((line: string) => void) | undefined;
  readonly #chunks: Buffer[] = [];
  #tail = Buffer.alloc(0);
  #line = "";
  size = 0;
  hasBegun = false;
  end: { readonly code: number; readonly isHaunted: boolean } | undefined;

  constructor(mark: string, onLine: ((line: string) => void) | undefined) {
    this.#mark = mark;
    this.#onLine = onLine;
  }

  add(chunk: Buffer): void {
    if (this.end !== undefined) {
      return;
    }
    this.#chunks.push(chunk);
    this.size += chunk.length;
    this.#tail = Buffer.concat([this.#tail, chunk]).subarray(-(chunk.length + this.#mark.length + 16));
    this.hasBegun ||= beginning(this.#tail, this.#mark) !== undefined;
    this.end = ending(this.#tail, this.#mark);
    this.#tell(chunk);
  }

  text(): string {
    const all = Buffer.concat(this.#chunks);
    return ending(all, this.#mark)?.text ?? all.subarray(beginning(all, this.#mark) ?? 0).toString("utf8");
  }

  #tell(chunk: Buffer): void {
    if (this.#onLine === undefined || !this.hasBegun) {
      return;
    }
    const lines = (this.#line + chunk.toString("utf8")).split("\n");
    // A progress bar without an end of line must not pile up.
    this.#line = (lines.pop() ?? "").slice(-1024);
    lines
      .filter((line) => line.trim() !== "" && !line.startsWith(this.#mark))
      .forEach((line) => this.#onLine?.(line.trimEnd()));
  }
}
