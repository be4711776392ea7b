/** `npm run servers`: each server with its role, state, work, load, patches and last backup. */
import { z } from "zod";

import { parseJson } from "../../common/parse-json.ts";
import { script } from "../../common/script.ts";
import { UserError } from "../../common/user-error.ts";
import { environmentIn } from "../engine/settings.ts";
import { isBackedUp, readBackupStatus } from "../backup/status.ts";
import { renderTime } from "../backup/backup.ts";
import type { Outcome } from "../command.ts";
import { EXIT } from "../deploy/release-progress.ts";
import { pendingOf, readPatches } from "../server/patches.ts";
import type { Server } from "../server/connection.ts";
import { renderTable } from "../terminal.ts";
import type { Fleet, Member } from "../fleet/fleet.ts";
import { renderLosses } from "../losses.ts";
import { askManagers, findUnsettled, nodeOf, runningOn, type Asked, type SwarmView } from "../fleet/swarm.ts";
import type { Opened } from "./world.ts";

const OVERVIEW = script(new URL("overview.sh", import.meta.url));

/** A server that is down must not keep the others from being shown. */
const ANSWER_SECONDS = 20;

/** apt thinks for some seconds on a small server. */
const PATCHES_SECONDS = 60;

const usage = z.object({
  load: z.number(),
  cores: z.number(),
  memoryMib: z.number(),
  freeMib: z.number(),
  diskPercent: z.number(),
});

/** Cells of a server that it says itself. */
type Said = readonly [load: string, patches: string, backup: string];

export async function showServers({ fleet, connections }: Opened): Promise<Outcome> {
  const [asked, said] = await Promise.all([
    orMessage(askManagers(fleet, connections)),
    Promise.all(fleet.members.map((member) => ask(fleet, member, () => connections.to(member)))),
  ]);
  const view = "why" in asked ? undefined : asked.view;
  const rows = fleet.members.map((member, index) => [
    member.name,
    describeRole(member),
    describeState(member, view),
    describeWork(member, view),
    ...said[index]!,
  ]);
  const headings = ["Server", "Role", "State", "Runs", "Load", "Patches", "Last backup"];
  const notes = [
    ...("why" in asked ? [asked.why] : findUnsettled(asked.view).map(describeUnsettled)),
    ...pendingChanges(fleet),
  ];
  const text = [
    renderTable({ headings, rows }),
    "",
    renderLosses(fleet.environment.servers),
    ...(notes.length === 0 ? [] : ["", ...notes]),
  ];
  const isWell = !("why" in asked) && isAllReady(fleet, asked) && findUnsettled(asked.view).length === 0;
  return { text: text.join("\n"), exitCode: isWell ? EXIT.ok : EXIT.failed };
}

function isAllReady({ members }: Fleet, { view }: Asked): boolean {
  return members.every((member) => nodeOf(member, view)?.state === "ready");
}

async function orMessage<T extends object>(work: Promise<T>): Promise<T | { readonly why: string }> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof UserError) return { why: error.message };
    throw error;
  }
}

async function ask(fleet: Fleet, member: Member, open: () => Server): Promise<Said> {
  try {
    const server = open();
    const load = await readLoad(server);
    const [patches, backup] = await Promise.all([
      orMessage(readPatches(server, { timeoutSeconds: PATCHES_SECONDS })),
      member.name === fleet.home.name ? describeBackup(fleet, server) : "no data",
    ]);
    const waiting =
      "why" in patches
        ? "unknown"
        : pendingOf(patches)
            .map(({ what }) => what)
            .join(", ");
    return [load, waiting || "none pending", backup];
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return ["no answer", "unknown", member.name === fleet.home.name ? "unknown" : "no data"];
  }
}

async function readLoad(server: Server): Promise<string> {
  const { stdout } = await server.run({
    purpose: "see how the server is",
    script: OVERVIEW,
    timeoutSeconds: ANSWER_SECONDS,
  });
  const read = usage.safeParse(parseJson(stdout)).data;
  if (read === undefined) return "unknown";
  const { load, cores, memoryMib, freeMib, diskPercent } = read;
  return `${load.toFixed(1)} of ${cores}, memory ${Math.round((100 * (memoryMib - freeMib)) / memoryMib)} %, disk ${diskPercent} %`;
}

async function describeBackup({ environment }: Fleet, server: Server): Promise<string> {
  if (!isBackedUp(environment)) return "not set up";
  const status = await orMessage(readBackupStatus(server).then((found) => ({ found })));
  if ("why" in status) return "unknown";
  return status.found?.last === undefined ? "none" : `${renderTime(status.found.last.time)} UTC`;
}

function describeRole({ role, labels }: Member): string {
  return labels.length === 0 ? role : `${role}: ${labels.join(", ")}`;
}

function describeState(member: Member, view: SwarmView | undefined): string {
  if (view === undefined) return "unknown";
  const node = nodeOf(member, view);
  if (node === undefined) return "not in the Swarm";
  const parts = [
    node.state,
    ...(node.isLeader ? ["leader"] : []),
    ...(node.role === "manager" && node.reachability === "unreachable" ? ["does not vote now"] : []),
    // A witness runs nothing in any case.
    ...(node.availability === "active" || member.role === "witness" ? [] : [node.availability]),
  ];
  return parts.join(", ");
}

function describeWork(member: Member, view: SwarmView | undefined): string {
  const node = view && nodeOf(member, view);
  if (view === undefined || node === undefined) return "";
  // The managers go on naming the tasks that it had.
  if (node.state !== "ready") return "unknown";
  const names = runningOn(view, node).map((name) => name.replace(/^technicia-/, ""));
  const counted = [...new Set(names)].map((name) => {
    const count = names.filter((one) => one === name).length;
    return count === 1 ? name : `${name} ×${count}`;
  });
  return counted.length === 0 ? "nothing" : counted.join(", ");
}

function describeUnsettled({ text, isStranded }: ReturnType<typeof findUnsettled>[number]): string {
  return isStranded
    ? `${text}: no server that takes tasks has its label, and elsewhere it would start empty`
    : text;
}

/** Servers that only the settings have, or only the deployment. */
function pendingChanges({ stack, members, configuration }: Fleet): string[] {
  const wanted = namesIn(stack, configuration);
  if (wanted === undefined) return [];
  const deployed = members.map(({ name }) => name);
  const added = wanted.filter((name) => !deployed.includes(name));
  const removed = deployed.filter((name) => !wanted.includes(name));
  return [
    ...added.map((name) => `${name} is in the settings and not deployed: npm run deploy -- ${stack}`),
    ...removed.map(
      (name) => `${name} is deployed and no longer in the settings: npm run preview -- ${stack}`,
    ),
  ];
}

/** Undefined where the settings have problems, which others name. */
function namesIn(stack: string, configuration: Fleet["configuration"]): string[] | undefined {
  try {
    return environmentIn(stack, configuration).servers.map(({ name }) => name);
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}
