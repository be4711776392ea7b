/** A workflow as its file holds it: the part of n8n's own JSON that decides what it does. */
import { z } from "zod";

const text = (expected: string) => z.string({ error: expected });

/** As n8n's public API accepts a node (`/api/v1/openapi.yml`); it refuses any other key. */
export const node = z.strictObject({
  id: text("expected the id of the node"),
  name: text("expected the name of the node").min(1, "expected the name of the node"),
  type: text("expected the type of the node, such as n8n-nodes-base.code"),
  typeVersion: z.number({ error: "expected the version of the node's type, such as 2" }),
  position: z.tuple([z.number(), z.number()], { error: "expected the place in the editor: [x, y]" }),
  parameters: z.record(z.string(), z.unknown(), { error: "expected a map" }),
  credentials: z
    .record(z.string(), z.strictObject({ id: z.string().nullable(), name: z.string() }))
    .optional(),
  webhookId: z.string().optional(),
  disabled: z.boolean().optional(),
  notes: z.string().optional(),
  notesInFlow: z.boolean().optional(),
  executeOnce: z.boolean().optional(),
  alwaysOutputData: z.boolean().optional(),
  retryOnFail: z.boolean().optional(),
  maxTries: z.number().optional(),
  waitBetweenTries: z.number().optional(),
  continueOnFail: z.boolean().optional(),
  onError: z.enum(["stopWorkflow", "continueRegularOutput", "continueErrorOutput"]).optional(),
});

/** As the public API accepts settings. */
const settings = z.strictObject({
  executionOrder: z.enum(["v0", "v1"]).optional(),
  errorWorkflow: z.string().optional(),
  callerPolicy: z.enum(["any", "none", "workflowsFromAList", "workflowsFromSameOwner"]).optional(),
  callerIds: z.string().optional(),
  timezone: z.string().optional(),
  executionTimeout: z.number().optional(),
  saveExecutionProgress: z.boolean().optional(),
  saveManualExecutions: z.boolean().optional(),
  saveDataErrorExecution: z.enum(["all", "none"]).optional(),
  saveDataSuccessExecution: z.enum(["all", "none"]).optional(),
  timeSavedPerExecution: z.number().optional(),
  availableInMCP: z.boolean().optional(),
});

const connection = z.strictObject({ node: z.string(), type: z.string(), index: z.number() });

/** Node → kind of output → one list for each output. */
const connections = z.record(z.string(), z.record(z.string(), z.array(z.array(connection).nullable())), {
  error: "expected a map",
});

/** What n8n takes as an id: 36 characters, part of an address. */
export const ID = /^[A-Za-z0-9_-]{1,36}$/;

export const workflow = z.strictObject({
  id: text("expected an id").regex(ID, "expected an id of at most 36 letters, digits, - and _"),
  name: text("expected a name")
    .min(1, "expected a name")
    .max(128, "expected a name of at most 128 characters"),
  tags: z.array(z.string()).default([]),
  settings,
  nodes: z.array(node, { error: "expected a list of nodes" }).min(1, "expected at least one node"),
  connections,
});

export type Node = z.output<typeof node>;
export type Workflow = z.output<typeof workflow>;

/** Keys of n8n's own exports that say nothing of what a workflow does. */
const EXPORTED = [
  ...["active", "activeVersion", "activeVersionId", "createdAt", "description", "isArchived", "meta"],
  ...["parentFolder", "parentFolderId", "pinData", "shared", "staticData", "triggerCount", "updatedAt"],
  ...["versionCounter", "versionId", "scopes", "homeProject", "sharedWithProjects", "usedCredentials"],
];

/** What is left of an export; of tags, which n8n gives as objects, the names. */
export function withoutExported(value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const kept = Object.entries(value).filter(([key]) => !EXPORTED.includes(key));
  return Object.fromEntries(
    kept.map(([key, inner]) => [key, key === "tags" && Array.isArray(inner) ? inner.map(nameOfTag) : inner]),
  );
}

function nameOfTag(tag: unknown): unknown {
  return typeof tag === "object" && tag !== null && "name" in tag ? tag.name : tag;
}

const KEYS = ["id", "name", "tags", "settings", "nodes", "connections"] as const;

/** The same workflow in the one order that a file has: nodes by name, keys by the alphabet, no empty outputs at an end. */
export function normalise(given: Workflow): Workflow {
  const whole = {
    ...given,
    tags: [...given.tags].sort(),
    nodes: [...given.nodes].sort((a, b) => (a.name < b.name ? -1 : 1)),
    connections: Object.fromEntries(
      Object.entries(given.connections).flatMap(([from, outputs]) => {
        const kept = Object.entries(outputs).filter(([, lists]) =>
          lists.some((list) => (list ?? []).length > 0),
        );
        return kept.length === 0
          ? []
          : [[from, Object.fromEntries(kept.map(([kind, lists]) => [kind, trim(lists)]))]];
      }),
    ),
  };
  return Object.fromEntries(KEYS.map((key) => [key, sorted(whole[key])])) as Workflow;
}

type Lists = Workflow["connections"][string][string];

function trim(lists: Lists): Lists {
  const last = lists.findLastIndex((list) => (list ?? []).length > 0);
  return lists.slice(0, last + 1).map((list) => list ?? []);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return Object.fromEntries(
    entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, sorted(inner)]),
  );
}

/** The text of a workflow's file, as `npm run fix` leaves it. */
export async function renderWorkflow(given: Workflow): Promise<string> {
  const { format } = await import("prettier");
  return await format(JSON.stringify(normalise(given), null, 2), { parser: "json", printWidth: 110 });
}

const runs = z.enum(["this", "an earlier version", "nothing"]);

/** A workflow with its nodes by name: compared by position, one more node would differ in all that follow. */
export const kept = z.strictObject({
  name: z.string().min(1),
  tags: z.array(z.string()).optional(),
  settings: workflow.shape.settings.optional(),
  nodes: z.record(z.string(), node.omit({ name: true })).optional(),
  connections: connections.optional(),

  /** What n8n runs of it. */
  runs: runs.default("this"),
});

export type KeptWorkflow = z.output<typeof kept>;

/** A workflow as the provider's resource has it. */
export function keepWorkflow(given: Workflow): KeptWorkflow {
  const { name, tags, settings, nodes, connections } = normalise(given);
  const byName = Object.fromEntries(nodes.map(({ name, ...rest }) => [name, rest]));
  return { name, tags, settings, nodes: byName, connections, runs: "this" };
}

/** The other way round; what is not there is empty. */
export function asWorkflow(id: string, given: KeptWorkflow): Workflow {
  const { name, tags = [], settings = {}, nodes = {}, connections = {} } = given;
  const list = Object.entries(nodes).map(([name, rest]) => ({ ...rest, name }));
  return { id, name, tags, settings, nodes: list, connections };
}
