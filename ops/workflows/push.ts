/** `npm run workflows -- <stack> push`: makes n8n as the folder, without a restart. */
import { UserError } from "../../common/user-error.ts";
import type { Outcome } from "../command.ts";
import { holdLock } from "../server/lock.ts";
import { appendHistory } from "../server/records.ts";
import { isClean, readDrift, renderDrift, type Drift } from "./diff.ts";
import { onOpened, type Opened } from "./open.ts";
import { calledWorkflows } from "./rules/nodes.ts";
import { awaitWebhooks, missingWebhooks } from "./webhooks.ts";
import type { WorkflowsWorld } from "./world.ts";
import type { Workflow } from "./workflow.ts";

export async function pushWorkflows(
  { stack, yes }: { readonly stack: string; readonly yes: boolean },
  world: WorkflowsWorld,
): Promise<Outcome> {
  return await onOpened({ stack }, world, async (opened) => {
    await opened.n8n.ensureKey();
    const drift = await readDrift(opened);
    const missing = await missingWebhooks(opened);
    if (todoIn(drift).length + missing.length === 0) return { text: renderDrift(drift, stack), exitCode: 0 };
    world.say(renderDrift(drift, stack));
    for (const { method, path } of missing)
      world.say(`${method} /webhook/${path}: n8n does not answer there`);
    if (!yes && !(await world.confirm(`overwrite that in n8n of ${stack}?`)))
      return { text: "nothing was changed", exitCode: 1 };
    const lock = await holdLock(opened.server, { ...world, stack, why: "push of workflows" });
    try {
      return await push(opened, world);
    } finally {
      await lock.release();
    }
  });
}

/** Ids of what differs, and is in the folder. */
function todoIn({ workflows, credentials }: Drift): string[] {
  const ids = workflows.filter(({ state }) => state !== "same" && state !== "extra").map(({ id }) => id);
  return [...credentials.missing, ...credentials.changed, ...ids];
}

async function push(opened: Opened, world: WorkflowsWorld): Promise<Outcome> {
  const { n8n, content, credentials, stack } = opened;
  // Somebody may have changed something while the question was open.
  const drift = await readDrift(opened);
  const stale = [...drift.credentials.missing, ...drift.credentials.changed];
  await n8n.importCredentials(credentials.filter(({ id }) => stale.includes(id)));
  for (const id of stale) world.say(`credentials ${id}: written`);

  const stateOf = new Map(drift.workflows.map(({ id, state }) => [id, state]));
  const ours = inOrderOfPublication(content.files.map(({ workflow }) => workflow));
  const missing = ours.filter(({ id }) => stateOf.get(id) === "missing");
  await n8n.importWorkflows(missing);
  for (const workflow of ours) {
    const state = stateOf.get(workflow.id);
    if (state === "same") continue;
    if (state === "changed") await n8n.updateWorkflow(workflow);
    if (state === "changed" || state === "missing") await n8n.setTags(workflow.id, workflow.tags);
    await n8n.publish(workflow.id);
    world.say(`${workflow.id}: ${state === "missing" ? "created" : "written"} and published`);
  }
  await awaitWebhooks(opened, world);
  const written = [...stale, ...ours.filter(({ id }) => stateOf.get(id) !== "same").map(({ id }) => id)];
  if (written.length > 0) await record(opened, world, written);
  const left = await readDrift(opened);
  const isDone = todoIn(left).length === 0;
  if (!isDone)
    throw new UserError(
      `n8n of ${stack} does not have what was pushed:\n${renderDrift(left, stack)}\nn8n keeps settings that a push leaves out: name each of them in the file, or change it in the editor`,
    );
  return {
    text: isClean(left) ? `n8n of ${stack} has what is in the folder` : renderDrift(left, stack),
    exitCode: 0,
  };
}

/** What handles errors and what is called by others first: n8n publishes no workflow that starts one which is not published. */
export function inOrderOfPublication(workflows: readonly Workflow[]): Workflow[] {
  const ordered: Workflow[] = [];
  const visit = (workflow: Workflow, above: readonly string[]): void => {
    if (ordered.includes(workflow) || above.includes(workflow.id)) return;
    const needed = [
      workflow.settings.errorWorkflow,
      ...workflow.nodes.flatMap((node) => calledWorkflows({ node })),
    ];
    for (const other of workflows.filter(({ id }) => needed.includes(id)))
      visit(other, [...above, workflow.id]);
    ordered.push(workflow);
  };
  for (const workflow of workflows) visit(workflow, []);
  return ordered;
}

async function record(
  { server, content }: Opened,
  { now, identity }: WorkflowsWorld,
  written: readonly string[],
): Promise<void> {
  const detail = `n8n écrit d'après ${content.folder} : ${written.join(", ")}`;
  await appendHistory(server, {
    at: now().toISOString(),
    who: identity.who,
    action: "workflows",
    reason: "",
    detail,
  });
}
