/** How a workflow in n8n differs from its file, whatever the order of what n8n keeps and wherever nodes are in the editor. */
import { isDeepStrictEqual } from "node:util";

import type { LiveWorkflow } from "./api.ts";
import { withoutSecrets } from "../../common/key-in-clear.ts";
import { withoutExported, workflow, type Workflow } from "./workflow.ts";

/** Settings that n8n gives a workflow by itself. */
const DEFAULTS: Readonly<Record<string, unknown>> = {
  callerPolicy: "workflowsFromSameOwner",
  availableInMCP: false,
};

interface Comparable {
  readonly name: string;
  readonly tags: readonly string[];
  readonly settings: Readonly<Record<string, unknown>>;
  readonly nodes: readonly unknown[];
  readonly connections: unknown;
}

export interface Difference {
  /** `nodes.Chercher.parameters.url` */
  readonly path: string;

  /** Undefined: there is none. */
  readonly ours: string | undefined;
  readonly live: string | undefined;
}

export type WorkflowState = "same" | "changed" | "missing" | "unpublished" | "outdated" | "extra";

export interface ComparedWorkflow {
  readonly id: string;
  readonly name: string;

  /**
   * `changed`: edited in n8n; `outdated`: what runs is not the last version that was saved; `extra`: it runs, and has no file.
   */
  readonly state: WorkflowState;
  readonly differences: readonly Difference[];
}

/** Every workflow of the folder, and every other one that runs. */
export function compareWorkflows(
  ours: readonly Workflow[],
  live: readonly LiveWorkflow[],
): ComparedWorkflow[] {
  const compared = ours.map((one) =>
    compareOne(
      one,
      live.find(({ id }) => id === one.id),
    ),
  );
  const extra = live.filter((one) => isPublished(one) && !ours.some(({ id }) => id === one.id));
  return [
    ...compared,
    ...extra.map(({ id, name }) => ({ id, name, state: "extra" as const, differences: [] })),
  ];
}

/** Whether n8n runs it. */
export function isPublished({ active, activeVersionId, isArchived }: LiveWorkflow): boolean {
  return isArchived !== true && (activeVersionId === undefined ? active : activeVersionId !== null);
}

function compareOne(ours: Workflow, live: LiveWorkflow | undefined): ComparedWorkflow {
  const { id, name } = ours;
  // An archived workflow is out of n8n's lists, and cannot be published.
  if (live === undefined || live.isArchived === true) return { id, name, state: "missing", differences: [] };
  const wanted = comparable(ours);
  const differences = differencesIn(wanted, comparable(live));
  if (differences.length > 0) return { id, name, state: "changed", differences };
  if (!isPublished(live)) return { id, name, state: "unpublished", differences };
  const { activeVersion } = live;
  if (!activeVersion) return { id, name, state: "same", differences };
  const running = { ...live, nodes: activeVersion.nodes, connections: activeVersion.connections };
  const behind = differencesIn(wanted, comparable(running));
  return { id, name, state: behind.length > 0 ? "outdated" : "same", differences: behind };
}

function comparable(given: Workflow | LiveWorkflow): Comparable {
  const settings = Object.entries(given.settings ?? {}).filter(
    ([key, value]) => key in workflow.shape.settings.shape && !isDeepStrictEqual(value, DEFAULTS[key]),
  );
  return {
    name: given.name,
    tags: (given.tags ?? []).map((tag) => (typeof tag === "string" ? tag : tag.name)).sort(),
    settings: Object.fromEntries(settings),
    nodes: given.nodes,
    connections: given.connections,
  };
}

function differencesIn(ours: Comparable, live: Comparable): Difference[] {
  return [
    ...compareValues("name", ours.name, live.name),
    ...compareValues("tags", ours.tags.join(", "), live.tags.join(", ")),
    ...compareValues("settings", ours.settings, live.settings),
    ...compareValues("nodes", byName(ours.nodes), byName(live.nodes)),
    ...compareValues("connections", linesOf(ours.connections), linesOf(live.connections)),
  ];
}

/** Nodes by name, without their place in the editor and without what says nothing. */
function byName(nodes: readonly unknown[]): Record<string, unknown> {
  return Object.fromEntries(
    nodes.map((node) => {
      const { name, ...rest } = node as Record<string, unknown>;
      delete rest["position"];
      delete rest["notesInFlow"];
      return [String(name), rest];
    }),
  );
}

/** Each connection as a key, so that empty lists and order do not count. */
function linesOf(connections: unknown): Record<string, string> {
  const lines: Record<string, string> = {};
  for (const [from, outputs] of Object.entries((connections ?? {}) as Workflow["connections"])) {
    for (const [kind, lists] of Object.entries(outputs)) {
      lists.forEach((list, output) => {
        for (const { node, type, index } of list ?? [])
          lines[`${from} ${kind}[${output}] → ${node} ${type}[${index}]`] = "connected";
      });
    }
  }
  return lines;
}

function compareValues(path: string, ours: unknown, live: unknown): Difference[] {
  if (isDeepStrictEqual(ours, live) || (isNothing(ours) && isNothing(live))) return [];
  if (isMap(ours) && isMap(live)) {
    const keys = [...new Set([...Object.keys(ours), ...Object.keys(live)])].sort();
    return keys.flatMap((key) => compareValues(`${path}.${key}`, ours[key], live[key]));
  }
  return [{ path, ours: describe(ours), live: describe(live) }];
}

// n8n leaves out a flag that is off.
function isNothing(value: unknown): boolean {
  return value === undefined || value === null || value === false;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function describe(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  return withoutSecrets(typeof value === "string" ? value : JSON.stringify(value));
}

/** Lines of a difference: `-` is the folder's, `+` n8n's; of a long text only what changes, with a line around it. */
export function renderDifference({ path, ours, live }: Difference): string[] {
  const [a, b] = [ours?.split("\n") ?? [], live?.split("\n") ?? []];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const lines = [
    ...a.slice(Math.max(0, start - 1), start).map((line) => `    ${line}`),
    ...a.slice(start, a.length - end).map((line) => `  - ${line}`),
    ...b.slice(start, b.length - end).map((line) => `  + ${line}`),
    ...(end > 0 ? a.slice(a.length - end, a.length - end + 1).map((line) => `    ${line}`) : []),
  ];
  return [`  ${path}`, ...lines.map((line) => `  ${line}`)];
}

/**
 * The live workflow as a file has it, with n8n's defaults only where the file has named them; undefined where it has something that no file may
 * have.
 */
export function asFile(live: LiveWorkflow, known: Workflow | undefined): Workflow | undefined {
  const { settings, ...rest } = withoutExported(live);
  const kept = Object.entries(settings ?? {}).filter(
    ([key, value]) =>
      key in workflow.shape.settings.shape &&
      (key in (known?.settings ?? {}) || !isDeepStrictEqual(value, DEFAULTS[key])),
  );
  const nodes = live.nodes.map((node) =>
    Object.fromEntries(
      Object.entries(node as object).filter(([, value]) => value !== undefined && value !== null),
    ),
  );
  return workflow.safeParse({ ...rest, tags: rest["tags"] ?? [], nodes, settings: Object.fromEntries(kept) })
    .data;
}
