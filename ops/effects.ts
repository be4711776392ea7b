/** Everything outside of the commands that they touch, so that a test can replace it. */
import { setTimeout } from "node:timers/promises";

import type { NewIncident, OpenedIncident } from "../reports/incidents/book.ts";
import type { StackOutputs } from "../stacks/deployment-status.ts";
import { UserError } from "../common/user-error.ts";
import type { Pulumi } from "./engine/cli.ts";
import { pulumiWithOwnLocks } from "./engine/state-lock.ts";
import { openServer, type Server } from "./server/connection.ts";
import { type Git, gitOnPath, identifyHere, type Identity } from "./server/identity.ts";
import { isAlive } from "../common/is-alive.ts";
import { confirm, say } from "./terminal.ts";

export interface Effects {
  readonly pulumi: Pulumi;
  readonly git: Git;
  readonly openServer: (outputs: Pick<StackOutputs, "ssh">) => Server;
  readonly identity: Identity;
  readonly now: () => Date;

  /** Repeats an action; the returned function ends that. */
  readonly every: (seconds: number, action: () => void) => () => void;

  /** Fails when the command is interrupted meanwhile. */
  readonly pause: (seconds: number) => Promise<void>;

  /** Whether a process of this machine still runs; `started` as `startOf` gives it. */
  readonly isAlive: (process: number, started?: string) => boolean;

  /** Prints progress. */
  readonly say: (line: string) => void;

  /** Asks a yes/no question; without a terminal it fails and names `--yes`. */
  readonly confirm: (question: string) => Promise<boolean>;

  /** Aborted when the command is interrupted. */
  readonly signal: AbortSignal;

  /** Opens an entry in the team's issues document, or notes there that it was seen again. */
  readonly openIncident: (incident: NewIncident) => Promise<OpenedIncident>;
}

/** Acts as the person at this terminal, or as this run of the CI. */
export function realEffects(stop: AbortController): Effects {
  return {
    pulumi: pulumiWithOwnLocks,
    git: gitOnPath,
    openServer,
    identity: identifyHere(),
    now: () => new Date(),
    every(seconds, action) {
      const timer = setInterval(action, seconds * 1000).unref();
      return () => clearInterval(timer);
    },
    pause: (seconds) => pause(seconds, stop.signal),
    isAlive,
    say,
    confirm: (question) => confirm(question, stop),
    signal: stop.signal,
    async openIncident(incident) {
      // The Markdown parser takes a while to load, and most runs need none.
      const { openIncident } = await import("../reports/incidents/book.ts");
      return await openIncident(incident, { now: new Date() });
    },
  };
}

async function pause(seconds: number, signal: AbortSignal): Promise<void> {
  await setTimeout(seconds * 1000, undefined, { signal }).catch(() => signal.throwIfAborted());
}

/** Opens an incident and says so. An incident that cannot be written must not fail the command: undefined then. */
export async function reportIncident(
  incident: NewIncident,
  { openIncident, say }: Pick<Effects, "openIncident" | "say">,
): Promise<OpenedIncident | undefined> {
  try {
    const opened = await openIncident(incident);
    say(`${opened.isNew ? "opened" : "seen again:"} ${opened.id} in docs/deployment-issues.md`);
    return opened;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    say(`no incident was opened: ${error.message}`);
    return undefined;
  }
}
