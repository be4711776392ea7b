/** `npm run restore`: shows what will be overwritten, asks, restores under the deployment's lock, and records it. */
import type { Environment } from "../../stacks/environment.ts";
import type { Outcome } from "../command.ts";
import { Connections } from "../fleet/fleet.ts";
import { readEnvironment } from "../engine/settings.ts";
import { announce, type Announcement } from "../monitoring/announce.ts";
import { duringWorkOnServices, seenByNeighbours } from "../monitoring/planned.ts";
import type { Server } from "../server/connection.ts";
import { holdLock } from "../server/lock.ts";
import { renderTable } from "../terminal.ts";
import { renderCounts, renderTime, short } from "./backup.ts";
import { callProgram, restorePlan, restored, type Part, type Restored, type RestorePlan } from "./program.ts";
import { following } from "../hold/following.ts";
import { readGateways } from "../hold/gateways.ts";
import { Hold } from "../hold/hold.ts";
import { onServer } from "../on-server.ts";
import { record, type BackupWorld } from "./world.ts";

const PLAN_SECONDS = 600;
const RESTORE_SECONDS = 6 * 3600;

export interface RestoreRequest {
  readonly stack: string;

  /** Beginning of a set's id. @default the newest */
  readonly set: string | undefined;

  /** @default all of them */
  readonly only: Part | undefined;
  readonly keepNothing: boolean;
  readonly undo: boolean;
  readonly yes: boolean;
}

export async function restoreStack(request: RestoreRequest, world: BackupWorld): Promise<Outcome> {
  return await onServer(request.stack, world, async (server) => {
    const agreed = request.undo
      ? await askToUndo(request, world)
      : await askToRestore(request, server, world);
    if (agreed === undefined) return { text: "nothing was changed", exitCode: 1 };
    const environment = await readEnvironment(request.stack, world.pulumi);
    const lock = await holdLock(server, {
      ...world,
      stack: request.stack,
      why: request.undo ? "undo of a restore" : "restore",
    });
    const began = world.now();
    const tell = (what: Pick<Announcement, "stage" | "detail">) =>
      announce({ ...world, server, environment }, { work: "restore", began, ...what });
    try {
      const purpose = request.undo ? "take the last restore back" : `restore the set ${short(agreed)}`;
      const detail = request.undo ? "retour sur la dernière restauration" : `jeu ${short(agreed)}`;
      await tell({ stage: "started", detail });
      const restoring = { stack: request.stack, environment, server, world, purpose };
      const result = await silenced(restoring, () => held(restoring, wordsOf(request, agreed)));
      await record(server, world, { action: "restore", detail: describe(request, result) });
      await tell({ stage: "finished", detail: describe(request, result) });
      return { text: renderRestored(request, result), exitCode: 0 };
    } catch (error) {
      await tell({ stage: "failed", detail: (error as Error).message });
      throw error;
    } finally {
      await lock.release();
    }
  });
}

interface Restoring {
  readonly stack: string;
  readonly environment: Environment;
  readonly server: Server;
  readonly world: BackupWorld;

  /** What is done, for people. */
  readonly purpose: string;
}

/** The requests to n8n wait meanwhile, where they may. */
async function held(
  { environment, server, world, purpose }: Restoring,
  words: readonly string[],
): Promise<Restored> {
  const { enabled } = environment.services.gateway.hold;
  const { pulumi, say } = world;
  return await Connections.during(world, (connections) => {
    const gateways = () => readGateways({ server, environment, connections, pulumi });
    const hold = enabled ? new Hold({ ...world, server, environment, gateways }) : undefined;
    return following(hold, say, (tell) =>
      callProgram(server, {
        ...{ purpose, words, answer: restored, timeoutSeconds: RESTORE_SECONDS },
        say: tell,
      }),
    );
  });
}

/** Nobody is told that what the restore stops stands still. */
async function silenced<T>(
  { stack, environment, server, world, purpose }: Restoring,
  work: () => Promise<T>,
): Promise<T> {
  const { identity, now, say } = world;
  const seenBy = seenByNeighbours(environment, { ...world, stack });
  const planned = {
    server,
    environment,
    kind: "restore",
    what: purpose,
    identity,
    now,
    say,
    seenBy,
  } as const;
  return await duringWorkOnServices(planned, work);
}

function wordsOf({ only, keepNothing, undo }: RestoreRequest, set: string): string[] {
  if (undo) return ["undo"];
  return [
    ...["restore", "--set", set],
    ...(only === undefined ? [] : ["--only", only]),
    ...(keepNothing ? ["--keep-nothing"] : []),
  ];
}

/** Gives the set's whole id; undefined where the operator does not agree. */
async function askToRestore(
  { stack, set, only, keepNothing, yes }: RestoreRequest,
  server: Server,
  world: BackupWorld,
): Promise<string | undefined> {
  const plan = await callProgram(server, {
    purpose: "look what a restore would overwrite",
    words: [
      "plan",
      ...(set === undefined ? [] : ["--set", set]),
      ...(only === undefined ? [] : ["--only", only]),
    ],
    answer: restorePlan,
    timeoutSeconds: PLAN_SECONDS,
    say: world.say,
  });
  world.say(renderPlan(plan, { keepNothing, stack }));
  return yes || (await world.confirm(`overwrite the data of ${stack}?`)) ? plan.id : undefined;
}

async function askToUndo({ stack, yes }: RestoreRequest, world: BackupWorld): Promise<string | undefined> {
  const question = `bring back what the last restore of ${stack} replaced, and lose what was written since?`;
  return yes || (await world.confirm(question)) ? "" : undefined;
}

/** What is there and what comes, and how much is lost. */
export function renderOverwritten(plan: RestorePlan): string {
  const rows = Object.entries(plan.items).map(([name, { at, now, then }]) => [
    name,
    renderTime(at),
    renderCounts(now) || "not counted",
    renderCounts(then),
  ]);
  const release = plan.release === null ? "" : `, of release ${plan.release.number}`;
  return [
    renderTable({ headings: ["Item", "Of (UTC)", "Now", "Afterwards"], rows }),
    `set ${short(plan.id)}${release}: what was written in the last ${plan.minutesLost} minutes is lost`,
    ...Object.keys(plan.indexedSince).map(
      (name) => `${name}: documents that were indexed while the set was made have to be indexed again`,
    ),
  ].join("\n");
}

function renderPlan(
  plan: RestorePlan,
  { keepNothing, stack }: { readonly keepNothing: boolean; readonly stack: string },
): string {
  return [
    renderOverwritten(plan),
    keepNothing
      ? "what is replaced is not kept"
      : `what is replaced is kept until the next deployment; npm run restore -- ${stack} --undo brings it back`,
  ].join("\n");
}

function describe({ undo }: RestoreRequest, { set, counts, stoppedSeconds }: Restored): string {
  const what = undo ? "restauration annulée, jeu" : "jeu";
  const restoredCounts = Object.entries(counts).map(([name, known]) => `${name} ${renderCounts(known)}`);
  return `${what} ${short(set)} : ${restoredCounts.join(" ; ")} ; arrêt de ${stoppedSeconds} s`;
}

function renderRestored(
  { undo, stack }: RestoreRequest,
  { set, counts, stoppedSeconds, took }: Restored,
): string {
  const rows = Object.entries(counts).map(([name, known]) => [name, renderCounts(known)]);
  return [
    renderTable({ headings: ["Item", "Counts"], rows }),
    undo
      ? `took back the restore of ${short(set)} in ${took} s`
      : `restored the set ${short(set)} in ${took} s; what writes to it stood still for ${stoppedSeconds} s`,
    `check it with npm run status -- ${stack}`,
  ].join("\n");
}
