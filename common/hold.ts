/** How requests to n8n are held while it restarts: the names that the program, the commands and the server share. */
import { existsSync } from "node:fs";
import { access, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { type ServiceName, swarmName } from "./services.ts";
import { type Clock, until } from "./until.ts";

/** Script on the server; the gateway installs it where requests may be held. */
export const HOLD_SCRIPT = "/opt/technicia/bin/gateway-hold";

/** What the program of the backups says once it has had the requests held. */
export const HELD = "the gateway holds the requests to n8n";

/** What it says before it stops n8n, also where the server of the data has no gateway that could hold anything. */
export const STOPPING_N8N = `stopping ${swarmName("n8n")}`;

/** Services that stop before their successor starts, and without which n8n answers nothing. */
export const heldServices = ["n8n", "qdrant", "postgres"] as const satisfies readonly ServiceName[];

export type HeldService = (typeof heldServices)[number];

/**
 * Names the folder in which the program of the stack asks for the hold, right before a service changes. It has a folder for each service that the
 * update restarts, and none for others.
 */
export const HOLD_FOLDER = "TECHNICIA_HOLD_FOLDER";

export const holdFolderOf = (folder: string, service: HeldService): string =>
  join(folder, swarmName(service));

const QUESTION = "asked";
const ANSWER = "go";

/** Longer than a command takes that lives: one that was killed must not stop an update for long. */
const ANSWER_SECONDS = 120;

interface Asked {
  /** Of the service. */
  readonly folder: string;

  /** @default this machine's */
  readonly clock?: Clock | undefined;
}

/** Asks the command that runs the engine to hold the requests, and waits for its answer; goes on without one after a while. */
export async function askToHold({ folder, clock }: Asked): Promise<void> {
  // A command that has ended has removed the folder; a service that does not restart has none.
  if (!existsSync(folder)) return;
  await place(join(folder, QUESTION));
  const isAnswered = async () => !existsSync(folder) || (await exists(join(folder, ANSWER)));
  const late = () => new Unanswered();
  await until(isAnswered, {
    ...{ limit: ANSWER_SECONDS * 1000, every: 50, late },
    ...(clock && { clock }),
  }).catch((error: unknown) => {
    if (!(error instanceof Unanswered)) throw error;
  });
}

/** Whether the program of the stack has come to the service. */
export function isHoldAsked(folder: string): Promise<boolean> {
  return exists(join(folder, QUESTION));
}

/** Lets the program of the stack go on. */
export function answerHold(folder: string): Promise<void> {
  return place(join(folder, ANSWER));
}

class Unanswered extends Error {}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

/** Whole at once: the other side looks at any time. */
async function place(path: string): Promise<void> {
  await writeFile(`${path}.new`, "");
  await rename(`${path}.new`, path);
}
