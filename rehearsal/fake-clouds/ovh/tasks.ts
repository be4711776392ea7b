import { ovhDate } from "../clock.ts";
import { newId, now, type OvhContext } from "./context.ts";
import type { Task, VpsService } from "./state.ts";

/** Notes that something is being done to a server. */
export function startTask(
  context: OvhContext,
  { server, type, state }: { server: VpsService; type: string; state: "todo" | "doing" },
): Task {
  const task: Task = { id: newId(context), date: ovhDate(now(context)), progress: 0, state, type };
  server.tasks.push(task);
  return task;
}

export function findTask(server: VpsService, id: number): Task | undefined {
  return server.tasks.find((task) => task.id === id);
}

export function finishTask(server: VpsService, id: number, state: "done" | "error" = "done"): void {
  const task = findTask(server, id);
  if (!task) return;
  task.state = state;
  if (state === "done") task.progress = 100;
}
