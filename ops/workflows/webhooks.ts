/** Waits until n8n has registered what it has published: it says that it has before it does, and sometimes never does. */
import { until } from "../../common/until.ts";
import { UserError } from "../../common/user-error.ts";
import type { Opened } from "./open.ts";
import { servedPath, webhooksOf } from "./rules/webhooks.ts";
import type { WorkflowsWorld } from "./world.ts";

export interface MissingWebhook {
  /** Below `/webhook/`. */
  readonly path: string;
  readonly method: string;

  /** Id of its workflow. */
  readonly workflow: string;
}

/** The webhooks of the folder that n8n does not answer. */
export async function missingWebhooks({
  content,
  n8n,
}: Pick<Opened, "content" | "n8n">): Promise<MissingWebhook[]> {
  const wanted = webhooksOf(content).flatMap((webhook) =>
    webhook.methods.map((method) => ({ path: servedPath(webhook), method, workflow: webhook.workflow.id })),
  );
  const found = await n8n.readWebhooks([...new Set(wanted.map(({ path }) => path))]);
  const methodsAt = new Map(found.map(({ path, methods }) => [path, methods ?? []]));
  return wanted.filter(({ path, method }) => !methodsAt.get(path)!.includes(method));
}

/** Publishes a workflow once more whose webhook is missing after half of the time. */
export async function awaitWebhooks(
  { content, n8n, environment, stack }: Pick<Opened, "content" | "n8n" | "environment" | "stack">,
  { clock, signal, say }: Pick<WorkflowsWorld, "clock" | "signal" | "say">,
): Promise<void> {
  const limit = environment.workflows.webhookSeconds * 1000;
  let missing: readonly MissingWebhook[] = [];
  const look = async () => {
    signal.throwIfAborted();
    missing = await missingWebhooks({ content, n8n });
    return missing.length === 0;
  };
  const wait = (part: number) =>
    until(look, {
      limit: limit * part,
      every: 500,
      signal,
      late: () => new Late(),
      ...(clock ? { clock } : {}),
    });
  try {
    await wait(0.5);
    return;
  } catch (error) {
    if (!(error instanceof Late)) throw error;
  }
  for (const id of new Set(missing.map(({ workflow }) => workflow))) {
    say(`${id}: n8n has not registered its webhook; publishing it once more`);
    await n8n.unpublish(id);
    await n8n.publish(id);
  }
  try {
    await wait(0.5);
  } catch (error) {
    if (!(error instanceof Late)) throw error;
    const names = missing
      .map(({ method, path, workflow }) => `${method} /webhook/${path} (${workflow})`)
      .join(", ");
    throw new UserError(
      `n8n of ${stack} has published its workflows, and after ${environment.workflows.webhookSeconds} s does not answer at ${names}; look at npm run logs -- ${stack} n8n --errors, and push again`,
    );
  }
}

class Late extends Error {}
