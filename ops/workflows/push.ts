/** `npm run workflows -- <stack> push`: makes n8n as the folder, without a restart. */
import { UserError } from "../../common/user-error.ts";
import { isClean, readDrift, todoIn, writeContent } from "../../provider/n8n/content.ts";
import { missingWebhooks } from "../../provider/n8n/webhooks.ts";
import type { Outcome } from "../command.ts";
import { holdLock } from "../server/lock.ts";
import { appendHistory } from "../server/records.ts";
import { renderDrift } from "./diff.ts";
import { onOpened, type Opened } from "./open.ts";
import type { WorkflowsWorld } from "./world.ts";

export async function pushWorkflows(
  { stack, yes }: { readonly stack: string; readonly yes: boolean },
  world: WorkflowsWorld,
): Promise<Outcome> {
  return await onOpened({ stack }, world, async (opened) => {
    const { n8n, wanted, server } = opened;
    await n8n.ensureKey();
    const drift = await readDrift(n8n, wanted);
    const missing = await missingWebhooks(n8n, wanted.workflows);
    if (todoIn(drift).length + missing.length === 0) return { text: renderDrift(drift, stack), exitCode: 0 };
    world.say(renderDrift(drift, stack));
    for (const { method, path } of missing)
      world.say(`${method} /webhook/${path}: n8n does not answer there`);
    if (!yes && !(await world.confirm(`overwrite that in n8n of ${stack}?`)))
      return { text: "nothing was changed", exitCode: 1 };
    const lock = await holdLock(server, { ...world, stack, why: "push of workflows" });
    try {
      return await push(opened, world);
    } finally {
      await lock.release();
    }
  });
}

async function push(
  { n8n, wanted, content, environment, server, stack }: Opened,
  { clock, signal, say, now, identity }: WorkflowsWorld,
): Promise<Outcome> {
  // It compares again: somebody may have changed something while the question was open.
  const written = await writeContent(n8n, wanted, {
    ...{ stack, webhookSeconds: environment.workflows.webhookSeconds, clock, signal, say },
  });
  if (written.length > 0)
    await appendHistory(server, {
      at: now().toISOString(),
      who: identity.who,
      action: "workflows",
      reason: "",
      detail: `n8n écrit d'après ${content.folder} : ${written.join(", ")}`,
    });
  const left = await readDrift(n8n, wanted);
  if (todoIn(left).length > 0)
    throw new UserError(
      `n8n of ${stack} does not have what was pushed:\n${renderDrift(left, stack)}\nn8n keeps settings that a push leaves out: name each of them in the file, or change it in the editor`,
    );
  return {
    text: isClean(left) ? `n8n of ${stack} has what is in the folder` : renderDrift(left, stack),
    exitCode: 0,
  };
}
