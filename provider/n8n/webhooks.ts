/** The webhooks of workflows, and whether n8n has registered them: it says that it has before it does, and sometimes never does. */
import { until, type Clock } from "../../common/until.ts";
import { UserError } from "../../common/user-error.ts";
import type { N8n } from "./api.ts";
import type { Node, Workflow } from "./workflow.ts";

const WEBHOOK = "n8n-nodes-base.webhook";

/** n8n takes it where a node names no method. */
const DEFAULT_METHOD = "GET";

export interface Webhook {
  readonly node: Node;
  readonly methods: readonly string[];

  /** Without a slash at the beginning. */
  readonly path: string;
}

/** The webhook that n8n registers for this node. */
export function webhookIn(node: Node): Webhook | undefined {
  if (node.type !== WEBHOOK || node.disabled === true) return undefined;
  const { httpMethod = DEFAULT_METHOD, path = "" } = node.parameters;
  return { node, methods: [httpMethod].flat().map(String), path: String(path).replace(/^\/+/, "") };
}

/** Where n8n serves it below `/webhook/`; a path with parameters comes after the webhook's id. */
export function servedPath({ path, node }: Pick<Webhook, "path" | "node">): string {
  return path.includes(":") ? `${node.webhookId}/${path}` : path;
}

export interface WantedWebhook {
  /** Below `/webhook/`. */
  readonly path: string;
  readonly method: string;

  /** Id of its workflow. */
  readonly workflow: string;
}

/** One for each method of each webhook. */
export function wantedWebhooks(workflows: readonly Workflow[]): WantedWebhook[] {
  return workflows.flatMap(({ id, nodes }) =>
    nodes.flatMap((node) => {
      const webhook = webhookIn(node);
      if (webhook === undefined) return [];
      return webhook.methods.map((method) => ({ path: servedPath(webhook), method, workflow: id }));
    }),
  );
}

/** The webhooks of these workflows that n8n does not answer. */
export async function missingWebhooks(n8n: N8n, workflows: readonly Workflow[]): Promise<WantedWebhook[]> {
  const wanted = wantedWebhooks(workflows);
  const found = await n8n.readWebhooks([...new Set(wanted.map(({ path }) => path))]);
  const methodsAt = new Map(found.map(({ path, methods }) => [path, methods ?? []]));
  return wanted.filter(({ path, method }) => !methodsAt.get(path)!.includes(method));
}

export interface Waiting {
  readonly stack: string;

  /** How long a webhook may take to be registered. */
  readonly webhookSeconds: number;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;

  /** @default this machine's */
  readonly clock?: Clock | undefined;
}

/** Publishes a workflow once more whose webhook is missing after half of the time. */
export async function awaitWebhooks(
  n8n: N8n,
  workflows: readonly Workflow[],
  { stack, webhookSeconds, signal, say, clock }: Waiting,
): Promise<void> {
  let missing: readonly WantedWebhook[] = [];
  const look = async () => {
    signal.throwIfAborted();
    missing = await missingWebhooks(n8n, workflows);
    return missing.length === 0;
  };
  const areThere = async (): Promise<boolean> => {
    try {
      return await until(look, {
        limit: webhookSeconds * 500,
        every: 500,
        signal,
        late: () => new Late(),
        ...(clock ? { clock } : {}),
      });
    } catch (error) {
      if (!(error instanceof Late)) throw error;
      return false;
    }
  };
  if (await areThere()) return;
  for (const id of new Set(missing.map(({ workflow }) => workflow))) {
    say(`${id}: n8n has not registered its webhook; publishing it once more`);
    await n8n.unpublish(id);
    await n8n.publish(id);
  }
  if (await areThere()) return;
  const names = missing
    .map(({ method, path, workflow }) => `${method} /webhook/${path} (${workflow})`)
    .join(", ");
  throw new UserError(
    `n8n of ${stack} has published its workflows, and after ${webhookSeconds} s does not answer at ${names}; look at npm run logs -- ${stack} n8n --errors, and push again`,
  );
}

class Late extends Error {}
