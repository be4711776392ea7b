/** A root shell on the host over one channel. It runs one program at a time for as long as the connection lives. */
import { randomBytes } from "node:crypto";
import type { ClientChannel } from "ssh2";
import {
  findBeginning,
  readEnding,
  renderRequest,
  SHELL,
  type Ending,
  type Program,
} from "./remote-shell.ts";

const MAX_OUTPUT_BYTES = 32 * 1024 * 1024;

/** How long to wait for a stopped program to end; the host kills it after five seconds. */
const STOP_MILLISECONDS = 10_000;

export interface Execution extends Omit<Program, "mark"> {
  readonly timeoutSeconds: number;
  readonly signal: AbortSignal;
  /** Receives each line of both outputs as it arrives. */
  readonly onLine: ((line: string) => void) | undefined;
}

export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  /** Undefined when the channel closed first. */
  readonly code: number | undefined;
  /** Whether the program was started at all. */
  readonly hasBegun: boolean;
  /** Why it was stopped; undefined when it ended by itself. */
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
    // Every error is followed by "close", which is handled.
    channel.on("error", () => undefined);
    channel.write(SHELL);
  }

  /** Whether it can run another program. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  close(): void {
    this.#isOpen = false;
    this.#channel.destroy();
  }

  /** Never rejects for what happens on the host: the outcome says how the program ended. */
  execute(execution: Execution): Promise<Outcome> {
    const channel = this.#channel;
    const { signal, timeoutSeconds, onLine } = execution;
    const mark = randomBytes(16).toString("hex");
    const request = renderRequest({ ...execution, mark });
    const stdout = new OutputReader(mark, onLine);
    const stderr = new OutputReader(mark, onLine);

    return new Promise((resolve) => {
      let stopped: string | undefined;
      let stopTimer: NodeJS.Timeout | undefined;

      // The end of its input makes the host kill the program; closing the channel now would hide whether it did.
      const stop = (reason: string): void => {
        if (stopped !== undefined) return;
        stopped = reason;
        this.#isOpen = false;
        channel.end();
        stopTimer = setTimeout(finish, STOP_MILLISECONDS);
      };
      const onAbort = (): void => stop(signal.reason instanceof Error ? signal.reason.message : "cancelled");
      const limit = setTimeout(() => stop(`took longer than ${timeoutSeconds} s`), timeoutSeconds * 1000);
      const read = (reader: OutputReader, chunk: Buffer): void => {
        reader.add(chunk);
        if (reader.size > MAX_OUTPUT_BYTES) stop(`printed more than ${MAX_OUTPUT_BYTES / 1024 / 1024} MiB`);
        if (stdout.end !== undefined && stderr.end !== undefined) finish();
      };
      const onStdout = (chunk: Buffer): void => read(stdout, chunk);
      const onStderr = (chunk: Buffer): void => read(stderr, chunk);
      const finish = (): void => {
        clearTimeout(limit);
        clearTimeout(stopTimer);
        signal.removeEventListener("abort", onAbort);
        channel.off("data", onStdout);
        channel.stderr.off("data", onStderr);
        channel.off("close", finish);
        // A process that still prints would spoil the next program's output.
        if (stopped !== undefined || stdout.end?.leftProcessesRunning !== false) this.close();
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
      signal.addEventListener("abort", onAbort);
      if (signal.aborted) onAbort();
      else channel.write(request);
    });
  }
}

/** Reads one output of a program, between its marks. */
class OutputReader {
  readonly #mark: string;
  readonly #onLine: ((line: string) => void) | undefined;
  readonly #chunks: Buffer[] = [];
  #tail = Buffer.alloc(0);
  #line = "";
  size = 0;
  hasBegun = false;
  end: Ending | undefined;

  constructor(mark: string, onLine: ((line: string) => void) | undefined) {
    this.#mark = mark;
    this.#onLine = onLine;
  }

  add(chunk: Buffer): void {
    if (this.end !== undefined) return;
    this.#chunks.push(chunk);
    this.size += chunk.length;
    // A mark may be split between two chunks.
    this.#tail = Buffer.concat([this.#tail, chunk]).subarray(-(chunk.length + this.#mark.length + 16));
    this.hasBegun ||= findBeginning(this.#tail, this.#mark) !== undefined;
    this.end = readEnding(this.#tail, this.#mark);
    this.#reportLines(chunk);
  }

  text(): string {
    const all = Buffer.concat(this.#chunks);
    const ending = readEnding(all, this.#mark);
    return ending?.text ?? all.subarray(findBeginning(all, this.#mark) ?? 0).toString("utf8");
  }

  #reportLines(chunk: Buffer): void {
    if (this.#onLine === undefined || !this.hasBegun) return;
    const lines = (this.#line + chunk.toString("utf8")).split("\n");
    // A progress bar prints no end of line; its text must not pile up.
    this.#line = (lines.pop() ?? "").slice(-1024);
    for (const line of lines) {
      if (line.trim() !== "" && !line.startsWith(this.#mark)) this.#onLine(line.trimEnd());
    }
  }
}
