/** `npm run tasks -- <stack>`: what is due, who does it, and when it was done last. */
import { readFile } from "node:fs/promises";

import { scan, scanFile } from "../../common/scan.ts";
import { beganAt, confirmation, dayOf, dueOf, tasksOf } from "../../reports/tasks/tasks.ts";
import type { Due, LastDone, Task, TaskFacts } from "../../reports/tasks/tasks.ts";
import { areSeveral } from "../../stacks/servers.ts";
import type { Outcome } from "../command.ts";
import { orWhy, recordsOn } from "../documents/facts.ts";
import type { Effects } from "../effects.ts";
import { readEnvironment } from "../engine/settings.ts";
import { onServer } from "../on-server.ts";
import { readState } from "../engine/state.ts";
import { otherMembers, readPatchesOf } from "../fleet/pending.ts";
import { pendingOf, readPatches, type Patches } from "../server/patches.ts";
import type { Server } from "../server/connection.ts";
import { renderTable } from "../terminal.ts";

export interface TasksWorld extends Pick<Effects, "pulumi" | "openServer" | "now"> {
  readonly readScanned: (stack: string) => Promise<LastDone>;
}

/** A server that is down must not keep the rest from being printed. */
const SERVER_SECONDS = 10;

/** apt thinks for some seconds on a small server. */
const PENDING_SECONDS = 30;

interface Listed {
  readonly task: Task;
  readonly last: LastDone;
  readonly due: Due;
  readonly by: string | undefined;
}

export async function listTasks(
  { stack, json }: { readonly stack: string; readonly json: boolean },
  world: TasksWorld,
): Promise<Outcome> {
  const { tasks, facts, unread } = await readTasks(stack, world);
  const today = dayOf(world.now().toISOString());
  const listed = tasks
    .map((task): Listed => {
      const last = task.lastDone(facts);
      const by = task.isConfirmed ? confirmation(facts, task.name)?.who : undefined;
      return { task, last, by, due: dueOf(task, { last, began: beganAt(facts.records), today }) };
    })
    .sort(byUrgency);
  const text = json
    ? JSON.stringify({ stack, tasks: listed.map((one) => describe(one, stack)), unread }, undefined, 2)
    : [renderTasks(listed, { stack, unread }), ...unread].join("\n");
  return { text, exitCode: 0 };
}

/** What is due longest comes first, then what comes next, and last what has no date. */
function byUrgency(one: Listed, other: Listed): number {
  const rank = ({ due }: Listed) => `${due.isDue ? 0 : 1} ${due.from ?? "9999"}`;
  return rank(one).localeCompare(rank(other));
}

export async function readTasks(stack: string, world: TasksWorld) {
  const { pulumi, readScanned, now } = world;
  const environment = await orWhy(readEnvironment(stack, pulumi));
  const settings =
    "why" in environment
      ? { drillDays: 7, isMonitored: true }
      : { drillDays: environment.backup.drillDays, isMonitored: environment.monitoring.enabled };
  const [read, scanned, others] = await Promise.all([
    onServer(stack, world, readServer),
    readScanned(stack),
    "why" in environment || !areSeveral(environment) ? [] : readOthers(stack, world),
  ]);
  const unread = [
    ...("why" in environment ? [`the settings could not be read: ${environment.why}`] : []),
    ...("why" in read.records
      ? [`the records could not be read: ${read.records.why}`]
      : read.records.corrupt),
    ...("why" in read.pending ? [`pending upgrades could not be read: ${read.pending.why}`] : []),
    ...others.flatMap(({ name, pending }) =>
      "why" in pending ? [`pending upgrades of ${name} could not be read: ${pending.why}`] : [],
    ),
  ];
  const othersPending = new Map(others.map(({ name, pending }) => [name, pending]));
  const facts: TaskFacts = { ...read, othersPending, scanned, now: now() };
  return { tasks: tasksOf({ ...settings, otherServers: [...othersPending.keys()] }), facts, unread };
}

async function readOthers(stack: string, world: Pick<TasksWorld, "pulumi" | "openServer">) {
  const { resources } = await readState(stack, world.pulumi);
  const options = { timeoutSeconds: PENDING_SECONDS };
  const found = await readPatchesOf(otherMembers(stack, resources), world, options);
  return found.map(({ name, patches }) => ({
    name,
    pending: "why" in patches ? patches : kindsIn(patches),
  }));
}

const kindsIn = (patches: Patches) => pendingOf(patches).map(({ what }) => what);

async function readServer(server: Server) {
  const within = (timeoutSeconds: number): Pick<Server, "run"> => ({
    run: (command) => server.run({ ...command, timeoutSeconds }),
  });
  const records = await orWhy(recordsOn(within(SERVER_SECONDS)));
  if ("why" in records) return { records, pending: records };
  const pending = await orWhy(readPatches(within(PENDING_SECONDS)).then(kindsIn));
  return { records, pending };
}

/** When `npm run scan` ran here. */
export async function readScanned(stack: string): Promise<LastDone> {
  const file = scanFile(stack);
  const text = await readFile(file, "utf8").catch(() => undefined);
  if (text === undefined) return { why: `no ${file} on this machine; CI keeps its own` };
  try {
    return { at: scan.parse(JSON.parse(text)).at };
  } catch {
    return { why: `${file} is no record of a scan` };
  }
}

const PERIODS: Readonly<Record<number, string>> = { 1: "daily", 7: "weekly", 30: "monthly" };

function renderTasks(
  listed: readonly Listed[],
  { stack, unread }: { readonly stack: string; readonly unread: readonly string[] },
): string {
  const table = renderTable({
    headings: ["Task", "Period", "Last done", "Due since", "How"],
    rows: listed.map(({ task, last, due }) => [
      `${task.name}${task.isConfirmed ? "*" : ""}`,
      task.days === undefined ? "–" : (PERIODS[task.days] ?? `${task.days} days`),
      "why" in last ? "unknown" : last.at === undefined ? "never" : dayOf(last.at),
      due.isDue ? due.from! : due.from === undefined ? "–" : `next ${due.from}`,
      task.how(stack),
    ]),
  });
  const count = listed.filter(({ due }) => due.isDue).length;
  // What keeps all of them from being known is said once.
  const unknown = listed.flatMap(({ task, last }) =>
    "why" in last && !unread.some((line) => line.endsWith(last.why)) ? [`${task.name}: ${last.why}`] : [],
  );
  return [
    table,
    "",
    ...unknown,
    `${count === 0 ? "nothing is" : count === 1 ? "1 task is" : `${count} tasks are`} due`,
    `* recorded by a person: npm run tasks -- ${stack} done <task> --comment "…"`,
  ].join("\n");
}

function describe({ task, last, due, by }: Listed, stack: string) {
  const { name, title, days, isAutomatic, isConfirmed, how, record } = task;
  return {
    ...{ name, title, days: days ?? null, isAutomatic, isConfirmed, how: how(stack), record },
    lastDone: "why" in last ? null : (last.at ?? null),
    by: by ?? null,
    unknown: "why" in last ? last.why : null,
    dueFrom: due.from ?? null,
    isDue: due.isDue,
  };
}
