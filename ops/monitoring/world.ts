/** What the commands of the monitoring reach. */
import { createInterface } from "node:readline/promises";

import type { AuditEvent } from "../../common/release.ts";
import { realEffects, type Effects } from "../effects.ts";
import { untilStopped } from "../terminal.ts";
import type { Server } from "../server/connection.ts";
import { appendHistory } from "../server/records.ts";
import { LOOPBACK, type Addresses } from "./stores.ts";

export interface MonitoringWorld extends Effects {
  readonly addresses: Addresses;

  /** Asks for a line of text; undefined where nobody can answer. */
  readonly ask: (question: string) => Promise<string | undefined>;

  /** Prints a line of the result at once. */
  readonly print: (line: string) => void;

  /** Whether the result goes to a terminal, which shows colours. */
  readonly isTerminal: boolean;
}

export async function inWorld<T>(work: (world: MonitoringWorld) => Promise<T>): Promise<T> {
  return await untilStopped(async (stop) => {
    // The reader of a pipe, such as head, may end first.
    process.stdout.on("error", () => stop.abort());
    return await work({
      ...realEffects(stop),
      addresses: LOOPBACK,
      ask: (question) => ask(question, stop.signal),
      print: (line) => void process.stdout.write(`${line}\n`),
      isTerminal: process.stdout.isTTY,
    });
  });
}

async function ask(question: string, signal: AbortSignal): Promise<string | undefined> {
  if (!process.stdin.isTTY) return undefined;
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await lines.question(question, { signal });
  } finally {
    lines.close();
  }
}

/** Adds to the audit of the server. */
export async function record(
  server: Server,
  { now, identity }: Pick<Effects, "now" | "identity">,
  event: Pick<AuditEvent, "detail"> & Partial<Pick<AuditEvent, "action" | "reason">>,
): Promise<void> {
  const whole = { action: "alert" as const, reason: "", ...event };
  await appendHistory(server, { ...whole, at: now().toISOString(), who: identity.who });
}
