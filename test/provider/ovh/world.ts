import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { Settings } from "../../../provider/definition.ts";
import { clients } from "../../../provider/ovh/clients.ts";
import { defineEdgeFirewall, type EdgeInputs, type EdgeOutputs } from "../../../provider/ovh/edge-firewall.ts";
import { defineVps } from "../../../provider/ovh/vps.ts";
import type { VpsInputs, VpsOutputs } from "../../../provider/ovh/vps-inputs.ts";
import {
  DEFAULT_CREDENTIAL,
  type OvhDouble,
  type OvhOptions,
  startOvh,
} from "../../../rehearsal/doubles/ovh/server.ts";
import { Stack, type StackOptions } from "./stack.ts";

export type VpsStack = Stack<VpsInputs, VpsOutputs>;
export type EdgeStack = Stack<EdgeInputs, EdgeOutputs>;

export const PACE = { pollMs: 2, deliveryMs: 10_000, tasksMs: 10_000, paymentMs: 20 };
export const EDGE_PACE = { pollMs: 2, stepMs: 10_000 };
export const PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExampl operator";

/** Inputs of a server to be ordered. */
export const ORDERED = {
  order: { subsidiary: "FR", maxMonthlyPriceEur: 10 },
  name: "technicia-test",
  vcores: 4,
  memoryGib: 8,
  datacentre: "GRA",
  image: "Debian 12",
  publicKey: PUBLIC_KEY,
  deleteAtExpiry: false,
};

/** Inputs of a server to be adopted. */
export function adopted(serviceName: string): Omit<typeof ORDERED, "order"> & { serviceName: string } {
  const { order: _, ...rest } = ORDERED;
  return { ...rest, serviceName };
}

export function settingsOf(url: string, keys: Partial<Settings> = {}): Settings {
  return {
    ovhEndpoint: url,
    ovhApplicationKey: DEFAULT_CREDENTIAL.applicationKey,
    ovhApplicationSecret: DEFAULT_CREDENTIAL.applicationSecret,
    ovhConsumerKey: DEFAULT_CREDENTIAL.consumerKey,
    ...keys,
  };
}

export interface World {
  readonly ovh: OvhDouble;
  readonly folder: string;
  vps(options?: Partial<StackOptions> & { folder?: string; timeoutMs?: number }): VpsStack;
  edge(options?: Partial<StackOptions> & { timeoutMs?: number }): EdgeStack;
  end(): Promise<void>;
}

/** An OVH of its own, and stacks that talk to it fast. */
export async function startWorld(options: OvhOptions = {}): Promise<World> {
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
    edge: ({ timeoutMs, ...rest } = {}) =>
      new Stack(defineEdgeFirewall({ clientOf: clientOf(timeoutMs), pace: EDGE_PACE }), { settings, name: "edge", ...rest }),
    end: async () => {
      await ovh.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
