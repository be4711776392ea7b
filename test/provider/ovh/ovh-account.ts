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
import { type Clock, systemClock } from "../../../rehearsal/fake-clouds/clock.ts";
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

/** A delay, in milliseconds, that ends with `release` of a `HeldClock`, and never by itself. */
export const HELD_MS = 3_600_000;

export interface HeldClock extends Clock {
  /** Does now what waits for `HELD_MS`. */
  release(): Promise<void>;
}

/** The machine's time, except that the test says when a delay of `HELD_MS` is over. */
export function heldClock(): HeldClock {
  const waiting = new Set<() => Promise<void>>();
  return {
    ...systemClock,
    at(time, run) {
      // Half of it, because some of the delay may be over by now.
      if (time - Date.now() < HELD_MS / 2) return systemClock.at(time, run);
      waiting.add(run);
      return () => waiting.delete(run);
    },
    async release() {
      for (const run of waiting) {
        waiting.delete(run);
        await run();
      }
    },
  };
}

/** Resolves once a status line of the stack contains this word. */
export async function reported(by: VpsStack, word: string): Promise<void> {
  while (!by.said("status").some((line) => line.includes(word)))
    await new Promise((resolve) => setImmediate(resolve));
}
