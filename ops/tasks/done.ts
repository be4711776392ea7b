/** `npm run tasks -- <stack> done <task>`: a task that only a person can say was done goes into the audit. */
import { UserError } from "../../common/user-error.ts";
import { describeDone, tasksOf, dayOf, dueOf, type Task } from "../../reports/tasks/tasks.ts";
import type { Outcome } from "../command.ts";
import type { Effects } from "../effects.ts";
import { onServer } from "../on-server.ts";
import { appendHistory } from "../server/records.ts";

interface DoneRequest {
  readonly stack: string;
  readonly task: string;

  /** What was found; empty where there is nothing to say. */
  readonly comment: string;
}

export async function recordDone(
  { stack, task: name, comment }: DoneRequest,
  world: Pick<Effects, "pulumi" | "openServer" | "now" | "identity">,
): Promise<Outcome> {
  const task = findTask(stack, name);
  const at = world.now().toISOString();
  const { who } = world.identity;
  await onServer(stack, world, (server) =>
    appendHistory(server, { at, who, action: "task", reason: comment, detail: describeDone(task) }),
  );
  const { from } = dueOf(task, { last: { at }, began: undefined, today: dayOf(at) });
  return { text: `${stack}: recorded that ${who} has done ${name}; due again on ${from}`, exitCode: 0 };
}

/** Where the others were done stands in records of their own. */
function findTask(stack: string, name: string): Task {
  const all = tasksOf({ drillDays: 7, isMonitored: true });
  const task = all.find((one) => one.name === name);
  if (task?.isConfirmed) return task;
  const names = all.filter(({ isConfirmed }) => isConfirmed).map((one) => one.name);
  const got = JSON.stringify(name);
  throw new UserError(
    task === undefined
      ? `task: expected one of ${names.join(", ")}, got ${got}; npm run tasks -- ${stack} lists all`
      : `task: expected one that a person confirms (${names.join(", ")}), got ${got}, whose record is ${task.record}; do it: ${task.how(stack)}`,
  );
}
