/** What n8n has of a folder's workflows and credentials, and making it so without a restart. */
import type { ComparedCredentials, FilledCredential, LiveWorkflow, N8n } from "./api.ts";
import { compareWorkflows, type ComparedWorkflow } from "./differences.ts";
import { awaitWebhooks, type Waiting } from "./webhooks.ts";
import type { Node, Workflow } from "./workflow.ts";

export interface Content {
  readonly workflows: readonly Workflow[];
  readonly credentials: readonly FilledCredential[];
}

export interface Drift {
  readonly workflows: readonly ComparedWorkflow[];
  readonly credentials: ComparedCredentials;
}

/** `given`: the workflows of n8n, where they were read already. */
export async function readDrift(
  n8n: N8n,
  { workflows, credentials }: Content,
  given?: readonly LiveWorkflow[],
): Promise<Drift> {
  const live = given ?? (await n8n.listWorkflows());
  return {
    workflows: compareWorkflows(workflows, live),
    credentials: await n8n.compareCredentials(credentials),
  };
}

/** Credentials that n8n has besides are no difference: people make some for what they try. */
export function isClean({ workflows, credentials }: Drift): boolean {
  return (
    workflows.every(({ state }) => state === "same") &&
    credentials.missing.length + credentials.changed.length === 0
  );
}

/** Ids of what differs, and is in the folder. */
export function todoIn({ workflows, credentials }: Drift): string[] {
  const ids = workflows.filter(({ state }) => state !== "same" && state !== "extra").map(({ id }) => id);
  return [...credentials.missing, ...credentials.changed, ...ids];
}

/** Writes and publishes what differs, and waits until every webhook answers. Gives the ids of what it wrote. */
export async function writeContent(n8n: N8n, content: Content, waiting: Waiting): Promise<string[]> {
  const { say } = waiting;
  const drift = await readDrift(n8n, content);
  const stale = [...drift.credentials.missing, ...drift.credentials.changed];
  await n8n.importCredentials(content.credentials.filter(({ id }) => stale.includes(id)));
  for (const id of stale) say(`credentials ${id}: written`);

  const stateOf = new Map(drift.workflows.map(({ id, state }) => [id, state]));
  const ours = inOrderOfPublication(content.workflows);
  await n8n.importWorkflows(ours.filter(({ id }) => stateOf.get(id) === "missing"));
  for (const workflow of ours) {
    const state = stateOf.get(workflow.id);
    if (state === "same") continue;
    if (state === "changed") await n8n.updateWorkflow(workflow);
    if (state === "changed" || state === "missing") await n8n.setTags(workflow.id, workflow.tags);
    await n8n.publish(workflow.id);
    say(`${workflow.id}: ${state === "missing" ? "created" : "written"} and published`);
  }
  await awaitWebhooks(n8n, ours, waiting);
  return [...stale, ...ours.filter(({ id }) => stateOf.get(id) !== "same").map(({ id }) => id)];
}

/** What handles errors and what is called by others first: n8n publishes no workflow that starts one which is not published. */
export function inOrderOfPublication(workflows: readonly Workflow[]): Workflow[] {
  const ordered: Workflow[] = [];
  const visit = (workflow: Workflow, above: readonly string[]): void => {
    if (ordered.includes(workflow) || above.includes(workflow.id)) return;
    const needed = [workflow.settings.errorWorkflow, ...workflow.nodes.flatMap(calledWorkflows)];
    for (const other of workflows.filter(({ id }) => needed.includes(id)))
      visit(other, [...above, workflow.id]);
    ordered.push(workflow);
  };
  for (const workflow of workflows) visit(workflow, []);
  return ordered;
}

const SUB_WORKFLOW = "n8n-nodes-base.executeWorkflow";

/** Workflows that this node starts, by id; an expression decides while it runs. */
export function calledWorkflows({ type, parameters }: Node): string[] {
  const given = parameters["workflowId"];
  const id = typeof given === "object" && given !== null && "value" in given ? given.value : given;
  return type === SUB_WORKFLOW && typeof id === "string" && id !== "" && !id.startsWith("=") ? [id] : [];
}
