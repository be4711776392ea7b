/** Holds the requests to n8n while an update of the engine restarts it: right before the engine comes to n8n, and no longer than n8n takes. */
import { readFile } from "node:fs/promises";

import { answerHold, HOLD_FOLDER, isHoldAsked } from "../../common/hold.ts";
import { parseJson } from "../../common/parse-json.ts";
import { swarmName } from "../../common/services.ts";
import { until } from "../../common/until.ts";
import { nameOf } from "../../common/urn.ts";
import { inPrivateFolder } from "../engine/events.ts";
import type { Hold } from "../hold/hold.ts";
import type { Session } from "./session.ts";
import type { Plan } from "./update.ts";

const ASKED_EVERY_MS = 100;
const LOOK_EVERY_MS = 1000;

/** Steps of the engine that leave a resource as it is. */
const QUIET = ["same", "refresh", "read"];

/** How long n8n may go on as before; then the update does not restart it. */
const STILL_SECONDS = 30;

interface Planned {
  readonly resourcePlans?: Readonly<Record<string, PlannedResource>>;
}

interface PlannedResource {
  readonly steps?: readonly string[];
  readonly goal?: { readonly inputDiff?: PlannedInputs };
}

interface PlannedInputs {
  readonly adds?: object;
  readonly deletes?: readonly string[];
  readonly updates?: object;
}

/** Whether the update by this plan restarts n8n, for another image, setting or secret; also where that cannot be read. */
export async function restartsN8n({ file }: Pick<Plan, "file">): Promise<boolean> {
  const text = await readFile(file, "utf8").catch(() => "");
  const read = parseJson(text) as Planned | undefined;
  if (read?.resourcePlans === undefined) return true;
  const service = `${swarmName("n8n")}-service`;
  return Object.entries(read.resourcePlans).some(
    ([urn, plan]) => nameOf(urn) === service && restartsService(plan),
  );
}

/** Docker starts no other container for how long an update is watched. An update without other inputs undoes what somebody changed. */
function restartsService({ steps = [], goal }: PlannedResource): boolean {
  const changes = steps.filter((step) => !QUIET.includes(step));
  if (changes.some((step) => step !== "update")) return true;
  const { adds = {}, deletes = [], updates = {} } = goal?.inputDiff ?? {};
  const inputs = [...Object.keys(adds), ...deletes, ...Object.keys(updates)];
  return changes.length > 0 && (inputs.length === 0 || inputs.includes("taskSpec"));
}

export interface Held<T> {
  readonly result: T;

  /** What n8n lacks after an update that worked; the requests are still held then. */
  readonly lacks: string | undefined;
}

/**
 * Runs an update, which gets the variables for the engine. Where `restarts`, the requests are held from when the program of the stack comes
 * to n8n until n8n answers as before. After an update that failed they are still held, for the rollback that follows; the session ends it.
 */
export async function holding<T extends { readonly failure: unknown }>(
  { hold, signal }: Pick<Session, "hold" | "signal">,
  restarts: boolean,
  work: (environment: Readonly<Record<string, string>>) => Promise<T>,
): Promise<Held<T>> {
  if (hold === undefined || !(restarts || hold.isOn)) return { result: await work({}), lacks: undefined };
  await hold.prepare();
  const result = await inPrivateFolder(async (folder) => {
    const ended = new AbortController();
    const watched = watch(hold, { folder, signal: ended.signal });
    try {
      return await work({ [HOLD_FOLDER]: folder });
    } finally {
      ended.abort();
      await watched;
    }
  });
  if (!hold.isOn || result.failure !== undefined || signal.aborted) return { result, lacks: undefined };
  const lacks = await hold.awaitBack();
  if (lacks === undefined) await hold.end();
  return { result, lacks };
}

async function watch(
  hold: Hold,
  { folder, signal }: { readonly folder: string; readonly signal: AbortSignal },
): Promise<void> {
  const forever = { limit: Infinity, signal, late: () => new Error("never") };
  try {
    await until(() => isHoldAsked(folder), { ...forever, every: ASKED_EVERY_MS });
    try {
      await hold.begin();
    } finally {
      await answerHold(folder);
    }
    if (!hold.isOn) return;
    await until(() => hold.hasEnded({ stillSeconds: STILL_SECONDS }), { ...forever, every: LOOK_EVERY_MS });
    await hold.end();
  } catch (error) {
    // The update has ended.
    if (!signal.aborted) throw error;
  }
}
