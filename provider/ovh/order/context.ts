import type { Call } from "../../plugin/definition.ts";
import type { OvhClient } from "../client.ts";
import type { Journal } from "./journal.ts";

/** How often to poll, and how long to wait. */
export interface Pace {
  /** First pause between two polls. */
  readonly pollMs: number;
  /** Longest wait for an order to be delivered. */
  readonly deliveryMs: number;
  /** Longest wait for the tasks of a server, an installation included. */
  readonly tasksMs: number;
  /** How long a paid order may still be shown as unpaid. */
  readonly paymentMs: number;
}

/** What every step needs that makes or reads a server. */
export interface VpsContext {
  readonly client: OvhClient;
  readonly call: Call;
  readonly pace: Pace;
  readonly journal: Journal;
}

export function serverPath(serviceName: string): string {
  return `/vps/${encodeURIComponent(serviceName)}`;
}
