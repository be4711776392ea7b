/** The recurring tasks in the team's table of maintenance: the day on which each is to be done next. Time alone changes none of them. */
import { recordsOf, type EnvironmentFacts, type Records } from "../facts.ts";
import type { Cells } from "../kept-cells.ts";
import { formatDay } from "../labels-fr.ts";
import { beganAt, dayOf, dueOf, tasksOf, type Task } from "../tasks/tasks.ts";

/** Those of the team's guide, the test of the alerts and the upgrades. The rehearsals of the server have a row of their own. */
const SHOWN = [
  ...["logs", "metrics", "backups", "performance", "incidents", "documentation"],
  ...["thresholds", "resources", "recovery", "alerts", "patches"],
];

const PERIODS: Readonly<Record<number, readonly [adjective: string, words: string]>> = {
  1: ["quotidienne", "chaque jour"],
  7: ["hebdomadaire", "chaque semaine"],
  30: ["mensuelle", "chaque mois"],
};

const TASKS = tasksOf({ drillDays: 7, isMonitored: true }).filter(({ name }) => SHOWN.includes(name));

/** None where the records are not known, so that what the document says of it stays, and none before the first release. */
export function taskRows(facts: EnvironmentFacts): Cells[] {
  const records = recordsOf(facts);
  if (records === undefined || records.releases.length === 0) return [];
  return TASKS.map((task) => rowOf(task, records, facts)).filter((row) => row !== undefined);
}

/** Those that an earlier report planned for what is not there any more. */
export function goneTaskRows(facts: EnvironmentFacts): Cells[] {
  if (facts.state !== "absent" && recordsOf(facts) === undefined) return [];
  const there = new Set(taskRows(facts).map((row) => row["Type"]));
  return TASKS.map((task) => {
    const ours = { Date: "-", Description: "-", Statut: "-" };
    return { ...ours, Type: typeOf(task), Environnement: facts.name };
  }).filter((row) => !there.has(row.Type));
}

function rowOf(task: Task, records: Records, { stack, name }: EnvironmentFacts): Cells | undefined {
  const last = task.lastDone({ records });
  if ("why" in last) return undefined;
  const { from } = dueOf(task, { last, began: beganAt(records), today: "" });
  const [, words] = periodOf(task);
  const done = last.at === undefined ? "jamais faite" : `dernière fois le ${day(dayOf(last.at))}`;
  return {
    Date: from === undefined ? "-" : day(from),
    Type: typeOf(task),
    Environnement: name,
    Description: { fact: `${words} ; ${done} ; npm run tasks -- ${stack}` },
    Statut: "Planifié",
  };
}

function typeOf(task: Task): string {
  return `Tâche ${periodOf(task)[0]} : ${task.title}`;
}

function periodOf({ days }: Task): readonly [adjective: string, words: string] {
  return PERIODS[days ?? 0] ?? ["", ""];
}

function day(iso: string): string {
  return formatDay(new Date(`${iso}T12:00:00Z`));
}
