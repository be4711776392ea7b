import { StringDecoder } from "node:string_decoder";

export type Logging = "stdout" | "stderr" | "stdoutAndStderr" | "none";
export type Stream = "stdout" | "stderr";

// The official plugin reads lines with a buffer of this size.
const LONGEST_LINE = 64 * 1024;

/** Keeps the output of a command and shows it line by line while the command runs. */
export class OutputRecorder {
  readonly #logging: Logging;
  readonly #show: (line: string) => void;
  readonly #decoders = { stdout: new StringDecoder(), stderr: new StringDecoder() };
  readonly #texts = { stdout: "", stderr: "" };
  #everything = "";
  #line = "";

  constructor(logging: Logging, show: (line: string) => void) {
    this.#logging = logging;
    this.#show = show;
  }

  get stdout(): string {
    return withoutLastNewline(this.#texts.stdout);
  }

  get stderr(): string {
    return withoutLastNewline(this.#texts.stderr);
  }

  /** Both streams, in the order of their chunks. */
  get everything(): string {
    return this.#everything;
  }

  /** Returns an error for output that hangs the official plugin. */
  add(stream: Stream, chunk: Buffer): Error | undefined {
    const text = this.#decoders[stream].write(chunk);
    this.#texts[stream] += text;
    this.#everything += text;
    return this.#logging === "stdoutAndStderr" || this.#logging === stream ? this.#log(text) : undefined;
  }

  /** Shows the last line when it does not end with a newline. */
  finish(): void {
    if (this.#line !== "") {
      this.#show(this.#line);
      this.#line = "";
    }
  }

  #log(text: string): Error | undefined {
    const lines = (this.#line + text).split("\n");
    this.#line = lines.pop() ?? "";
    lines.forEach(this.#show);

    return [...lines, this.#line].every((line) => line.length <= LONGEST_LINE)
      ? undefined
      : new Error(
          "a line is longer than 64 KiB, which hangs the official plugin for ever while logging is on; set logging to none",
        );
  }
}

function withoutLastNewline(text: string): string {
  return text.endsWith("\n") ? text.slice(0, -1) : text;
}
