import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { clients } from "../../../provider/ovh/client.ts";
import {
  defineEdgeFirewall,
  type EdgeInputs,
  type EdgeOutputs,
} from "../../../provider/ovh/firewall/resource.ts";
import type { AnswerTest } from "../../../provider/ovh/firewall/guard.ts";
import { defineVps } from "../../../provider/ovh/vps/resource.ts";
import type { VpsInputs, VpsOutputs } from "../../../provider/ovh/vps/inputs.ts";
import { type FakeOvh, type OvhOptions, startOvh } from "../../../rehearsal/fake-clouds/ovh/server.ts";
import { EDGE_PACE, PACE, settingsOf } from "./fixtures.ts";
import { Stack, type StackOptions } from "./stack.ts";

export type VpsStack = Stack<VpsInputs, VpsOutputs>;
export type EdgeStack = Stack<EdgeInputs, EdgeOutputs>;

export interface OvhAccount {
  readonly ovh: FakeOvh;
  readonly folder: string;
  vps(options?: Partial<StackOptions> & { folder?: string; timeoutMs?: number }): VpsStack;
  edge(options?: Partial<StackOptions> & { timeoutMs?: number; answers?: AnswerTest }): EdgeStack;
  end(): Promise<void>;
}

/** An OVH account of its own, and stacks that use it without long pauses. */
export async function startOvhAccount(options: OvhOptions = {}): Promise<OvhAccount> {
  const ovh = await startOvh(options);
  const folder = mkdtempSync(join(tmpdir(), "technicia-journal-"));
  const settings = settingsOf(ovh.url);
  const clientOf = (timeoutMs: number | undefined): ReturnType<typeof clients> =>
    clients({ retryMs: 1, ...(timeoutMs && { timeoutMs }) });
  return {
    ovh,
    folder,
    vps: ({ folder: other, timeoutMs, ...rest } = {}) =>
      new Stack(defineVps({ clientOf: clientOf(timeoutMs), pace: PACE, journalFolder: other ?? folder }), {
        settings,
        ...rest,
      }),
    edge: ({ timeoutMs, answers, ...rest } = {}) =>
      new Stack(
        defineEdgeFirewall({ clientOf: clientOf(timeoutMs), pace: EDGE_PACE, ...(answers && { answers }) }),
        {
          settings,
          name: "edge",
          ...rest,
        },
      ),
    end: async () => {
      await ovh.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Resolves once a status line of the stack contains this word. */
export async function reported(by: VpsStack, word: string): Promise<void> {
  while (!by.said("status").some((line) => line.includes(word)))
    await new Promise((resolve) => setImmediate(resolve));
}
