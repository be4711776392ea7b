/** What the rules about workflows judge. */
import type { Environment } from "../../environment.ts";
import type { Credential } from "../credential.ts";
import type { KnownNodes } from "../known-nodes.ts";
import type { Problem } from "../problem.ts";
import type { Node, Workflow } from "../../../provider/n8n/workflow.ts";

export interface WorkflowFile {
  /** Path of the file, for people. */
  readonly file: string;
  readonly workflow: Workflow;
}

/** The folder's content, and the environment that it is for. */
export interface Judged {
  /** Path of the folder, for people. */
  readonly folder: string;
  readonly files: readonly WorkflowFile[];
  readonly credentials: readonly Credential[];
  readonly environment: Pick<Environment, "name" | "services" | "monitoring" | "documents">;

  /** Undefined where nobody knows what the pinned n8n knows. */
  readonly known: KnownNodes | undefined;
}

export type Rule = (judged: Judged) => readonly Problem[];

export interface PlacedNode {
  readonly file: string;
  readonly workflow: Workflow;
  readonly node: Node;

  /** `workflows/technicia-question.json: Chercher` */
  readonly at: string;
}

/** Every node, with its place. */
export function nodesOf({ files }: Pick<Judged, "files">): PlacedNode[] {
  return files.flatMap(({ file, workflow }) =>
    workflow.nodes.map((node) => ({ file, workflow, node, at: `${file}: ${node.name}` })),
  );
}

/** Every node that n8n would run. */
export function enabledNodesOf(judged: Pick<Judged, "files">): PlacedNode[] {
  return nodesOf(judged).filter(({ node }) => node.disabled !== true);
}

export interface PlacedText {
  /** `parameters.url` */
  readonly path: string;

  /** Last key on the way to it; of a list's entry, that of the list. */
  readonly key: string;
  readonly text: string;
}

/** Every text in a node's parameters. */
export function textsIn(value: unknown, path = "parameters", key = ""): PlacedText[] {
  if (typeof value === "string") return [{ path, key, text: value }];
  if (Array.isArray(value)) return value.flatMap((inner, index) => textsIn(inner, `${path}[${index}]`, key));
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) => textsIn(inner, `${path}.${name}`, name));
}

/** The values that occur again, each with its second place. */
export function repeated<T>(
  entries: readonly T[],
  keyOf: (entry: T) => string,
): { readonly entry: T; readonly first: T }[] {
  const seen = new Map<string, T>();
  return entries.flatMap((entry) => {
    const first = seen.get(keyOf(entry));
    if (first !== undefined) return [{ entry, first }];
    seen.set(keyOf(entry), entry);
    return [];
  });
}
