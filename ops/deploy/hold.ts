/**
 * Holds the requests to n8n while an update of the engine restarts it, or a service that it needs: right before the engine comes to the service,
 * and no longer than that takes.
 */
import { mkdir, readFile } from "node:fs/promises";

import {
  answerHold,
  HOLD_FOLDER,
  type HeldService,
  heldServices,
  holdFolderOf,
  isHoldAsked,
} from "../../common/hold.ts";
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

/** How long a service may go on as before; then the update does not restart it. */
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

/** What the update by this plan restarts, for another image, setting or secret; n8n where that cannot be read. */
export async function restartedBy({ file }: Pick<Plan, "file">): Promise<readonly HeldService[]> {
  const text = await readFile(file, "utf8").catch(() => "");
  const read = parseJson(text) as Planned | undefined;
  if (read?.resourcePlans === undefined) return ["n8n"];
  const plans = Object.entries(read.resourcePlans);
  return heldServices.filter((service) =>
    plans.some(([urn, plan]) => nameOf(urn) === `${swarmName(service)}-service` && restartsService(plan)),
  );
}

/** `n8n and qdrant restart`. */
export function renderRestarts(services: readonly HeldService[]): string {
  const names = services.join(" and ");
  return `${names} ${services.length === 1 ? "restarts" : "restart"}`;
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
 * Runs an update, which gets the variables for the engine. The requests are held from when the program of the stack comes to one of `restarted`
 * until that answers as before. After an update that failed they are still held, for the rollback that follows; the session ends it.
 */
export async function holding<T extends { readonly failure: unknown }>(
  { hold, signal }: Pick<Session, "hold" | "signal">,
  restarted: readonly HeldService[],
  work: (environment: Readonly<Record<string, string>>) => Promise<T>,
): Promise<Held<T>> {
  if (hold === undefined || (restarted.length === 0 && !hold.isOn))
    return { result: await work({}), lacks: undefined };
  // Of a hold that goes on n8n is not back, whatever else is to restart.
  const services = restarted.length === 0 ? (["n8n"] as const) : restarted;
  await hold.prepare(services);
  const result = await inPrivateFolder(async (folder) => {
    await Promise.all(services.map((service) => mkdir(holdFolderOf(folder, service))));
    const ended = new AbortController();
    const watched = watch(hold, { folder, services, signal: ended.signal });
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

interface Watched {
  readonly folder: string;
  readonly services: readonly HeldService[];
  readonly signal: AbortSignal;
}

/** Each service has its own time; the requests are held as long as one of them is away. */
async function watch(hold: Hold, { folder, services, signal }: Watched): Promise<void> {
  const away = new Set<HeldService>();
  const watchOne = async (service: HeldService) => {
    const forever = { limit: Infinity, signal, late: () => new Error("never") };
    const own = holdFolderOf(folder, service);
    await until(() => isHoldAsked(own), { ...forever, every: ASKED_EVERY_MS });
    away.add(service);
    try {
      await hold.begin();
    } finally {
      await answerHold(own);
    }
    if (!hold.isOn) return;
    const hasEnded = () => hold.hasEnded({ service, stillSeconds: STILL_SECONDS });
    await until(hasEnded, { ...forever, every: LOOK_EVERY_MS });
    away.delete(service);
    if (away.size === 0) await hold.end();
  };
  await Promise.all(
    services.map(async (service) => {
      await watchOne(service).catch((error: unknown) => {
        // The update has ended.
        if (!signal.aborted) throw error;
      });
    }),
  );
}
