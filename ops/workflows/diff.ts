/** `npm run workflows -- <stack> diff`: how n8n differs from the folder. */
import type { Outcome } from "../command.ts";
import {
  compareWorkflows,
  renderDifference,
  type ComparedWorkflow,
  type WorkflowState,
} from "./differences.ts";
import type { ComparedCredentials } from "./n8n.ts";
import { onOpened, type Opened } from "./open.ts";
import type { WorkflowsWorld } from "./world.ts";

export interface Drift {
  readonly workflows: readonly ComparedWorkflow[];
  readonly credentials: ComparedCredentials;
}

export async function diffWorkflows(
  { stack, json }: { readonly stack: string; readonly json: boolean },
  world: WorkflowsWorld,
): Promise<Outcome> {
  return await onOpened({ stack }, world, async (opened) => {
    await opened.n8n.ensureKey();
    const drift = await readDrift(opened);
    const text = json ? JSON.stringify(drift, null, 2) : renderDrift(drift, stack);
    return { text, exitCode: isClean(drift) ? 0 : 1 };
  });
}

export async function readDrift({ n8n, content, credentials }: Opened): Promise<Drift> {
  const live = await n8n.listWorkflows();
  const ours = content.files.map(({ workflow }) => workflow);
  return { workflows: compareWorkflows(ours, live), credentials: await n8n.compareCredentials(credentials) };
}

/** Credentials that n8n has besides are said, and are no difference: people make some for what they try. */
export function isClean({ workflows, credentials }: Drift): boolean {
  return (
    workflows.every(({ state }) => state === "same") &&
    credentials.missing.length + credentials.changed.length === 0
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

export function renderDrift(drift: Drift, stack: string): string {
  const { workflows, credentials } = drift;
  const lines = workflows.flatMap(({ id, state, differences }) =>
    state === "same" ? [] : [`${id}: ${WORDS[state]}`, ...differences.flatMap(renderDifference)],
  );
  const others = [
    ...credentials.missing.map((id) => `credentials ${id}: not in n8n`),
    ...credentials.changed.map((id) => `credentials ${id}: other values than the stack's secrets`),
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
