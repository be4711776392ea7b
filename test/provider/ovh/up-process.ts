/**
 * One run of `pulumi up` for a server, in a process of its own that dies where it is told to.
 *
 * Reads its task as JSON from the first argument and prints what the engine would have saved.
 */
import { clients } from "../../../provider/ovh/client.ts";
import { defineVps } from "../../../provider/ovh/vps/resource.ts";
import { type Saved, Stack } from "./stack.ts";
import { PACE, settingsOf } from "./fixtures.ts";

export interface Task {
  readonly url: string;
  readonly folder: string;
  readonly inputs: object;
  readonly saved?: Saved | undefined;
  readonly death?: Death;
}

/** Which call is the last one, counting all or only those that change something; and when exactly the process dies. */
export interface Death {
  readonly call: number;
  readonly of: "calls" | "changes";
  readonly when: "at its answer" | "before the next call";
}

const task = JSON.parse(process.argv[2] ?? "") as Task;
let calls = 0;
let changes = 0;

const mortalFetch: typeof fetch = async (input, init) => {
  if (isDue("before the next call")) return die();
  calls += 1;
  if (init?.method !== "GET") changes += 1;
  const response = await fetch(input, init);
  if (isDue("at its answer")) return die();
  return response;
};

function isDue(when: Death["when"]): boolean {
  const { death } = task;
  return death?.when === when && (death.of === "calls" ? calls : changes) === death.call;
}

function die(): Promise<never> {
  process.kill(process.pid, "SIGKILL");
  return new Promise(() => undefined);
}

const definition = defineVps({
  clientOf: clients({ retryMs: 1, fetch: mortalFetch }),
  pace: PACE,
  journalFolder: task.folder,
});
const stack = new Stack(definition, { settings: settingsOf(task.url), saved: task.saved });
let failure: string | undefined;
try {
  await stack.up(task.inputs);
} catch (error) {
  failure = String(error);
}
process.stdout.write(JSON.stringify({ saved: stack.saved, calls, failure }));
