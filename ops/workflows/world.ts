/** What the commands about workflows reach. */
import type { Clock } from "../../common/until.ts";
import { realEffects, type Effects } from "../effects.ts";
import { untilStopped } from "../terminal.ts";

export interface WorkflowsWorld extends Effects {
  /** n8n as the server reaches it. @default its loopback */
  readonly address?: string | undefined;

  /** Folder of the project. @default this one */
  readonly project?: string | undefined;

  /** Time for what is waited for. @default this machine's */
  readonly clock?: Clock | undefined;
}

export async function inWorld<T>(work: (world: WorkflowsWorld) => Promise<T>): Promise<T> {
  return await untilStopped((stop) => work(realEffects(stop)));
}
