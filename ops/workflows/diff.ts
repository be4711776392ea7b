/** `npm run workflows -- <stack> diff`: how n8n differs from the folder. */
import type { Outcome } from "../command.ts";
import type { ComparedCredentials } from "../../provider/n8n/api.ts";
import { isClean, readDrift, type Drift } from "../../provider/n8n/content.ts";
import { renderDifference, type WorkflowState } from "../../provider/n8n/differences.ts";
import { onOpened } from "./open.ts";
import type { WorkflowsWorld } from "./world.ts";

export async function diffWorkflows(
  { stack, json }: { readonly stack: string; readonly json: boolean },
  world: WorkflowsWorld,
): Promise<Outcome> {
  return await onOpened({ stack }, world, async ({ n8n, wanted }) => {
    await n8n.ensureKey();
    const drift = await readDrift(n8n, wanted);
    const text = json ? JSON.stringify(drift, null, 2) : renderDrift(drift, stack);
    return { text, exitCode: isClean(drift) ? 0 : 1 };
  });
}

/** What of n8n's credentials is not as the stack's secrets, without writing anything; empty: they are current. */
export async function staleCredentials(
  { stack }: { readonly stack: string },
  world: WorkflowsWorld,
): Promise<string[]> {
  return await onOpened({ stack }, world, async ({ n8n, wanted }) =>
    renderStale(await n8n.compareCredentials(wanted.credentials)),
  );
}

const WORDS: Readonly<Record<WorkflowState, string>> = {
  same: "as in the folder",
  changed: "edited in n8n",
  missing: "not in n8n",
  unpublished: "not published",
  outdated: "an earlier version of it is published",
  extra: "published, and not in the folder",
};

/** One line for each of the credentials that n8n lacks, or has with another value; never a value. */
export function renderStale({
  missing,
  changed,
}: Pick<ComparedCredentials, "missing" | "changed">): string[] {
  return [
    ...missing.map((id) => `credentials ${id}: not in n8n`),
    ...changed.map((id) => `credentials ${id}: other values than the stack's secrets`),
  ];
}

export function renderDrift(drift: Drift, stack: string): string {
  const { workflows, credentials } = drift;
  const lines = workflows.flatMap(({ id, state, differences }) =>
    state === "same" ? [] : [`${id}: ${WORDS[state]}`, ...differences.flatMap(renderDifference)],
  );
  const others = [
    ...renderStale(credentials),
    ...credentials.extra.map(
      ({ id, name, type }) =>
        `credentials ${id} (${name}, ${type}): in n8n, and not in the folder; nothing touches them`,
    ),
  ];
  const extra = workflows.some(({ state }) => state === "extra");
  const remedy = isClean(drift)
    ? ["n8n has what is in the folder"]
    : [
        `npm run workflows -- ${stack} push makes n8n as the folder; npm run workflows -- ${stack} pull takes n8n's changes into the folder`,
        ...(extra
          ? ["a push does not touch what is not in the folder: pull it, or unpublish it in the editor"]
          : []),
      ];
  return [...lines, ...others, ...remedy].join("\n");
}
