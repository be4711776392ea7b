/** Alertmanager: the alerts that it has, and the silences. */
import { z } from "zod";

import type { Stores } from "./stores.ts";

export { AFTERMATH, ESCALATION, PLANNED } from "../../common/planned-alerts.ts";

const labels = z.record(z.string(), z.string());

export type Labels = z.output<typeof labels>;

const alert = z.looseObject({
  labels,
  annotations: labels.default({}),
  startsAt: z.string(),
  receivers: z.array(z.looseObject({ name: z.string() })),
  status: z.looseObject({
    state: z.string(),
    silencedBy: z.array(z.string()).default([]),
    inhibitedBy: z.array(z.string()).default([]),
  }),
});

export type SentAlert = z.output<typeof alert>;

const matcher = z.object({
  name: z.string(),
  value: z.string(),
  isRegex: z.boolean(),
  isEqual: z.boolean().default(true),
});

export type Matcher = z.output<typeof matcher>;

const silence = z.looseObject({
  id: z.string(),
  status: z.looseObject({ state: z.enum(["active", "pending", "expired"]) }),
  matchers: z.array(matcher),
  startsAt: z.string(),
  endsAt: z.string(),
  createdBy: z.string(),
  comment: z.string(),
});

export type Silence = z.output<typeof silence>;

/** Alerts that nobody is to be told of as such: it fires always, so that its end is noticed elsewhere. */
export const WATCHDOG = "Watchdog";

/** What is done to the environment: no fault, and nobody has to do anything about it. */
export const ANNOUNCEMENT = "Announcement";

/** Name of the receiver that tells nobody. */
export const NOBODY = "nobody";

export async function readAlerts(stores: Pick<Stores, "read">): Promise<readonly SentAlert[]> {
  return await stores.read({ store: "alerts", path: "/api/v2/alerts" }, z.array(alert));
}

/** Also those that have ended, as long as Alertmanager keeps them: `monitoring.metricsDays`. */
export async function readEverySilence(stores: Pick<Stores, "read">): Promise<readonly Silence[]> {
  return await stores.read({ store: "alerts", path: "/api/v2/silences" }, z.array(silence));
}

/** Those that have not ended, the next to end first. */
export async function readSilences(stores: Pick<Stores, "read">): Promise<readonly Silence[]> {
  const all = await readEverySilence(stores);
  return all
    .filter(({ status }) => status.state !== "expired")
    .sort((one, other) => one.endsAt.localeCompare(other.endsAt));
}

/** Names of the configured receivers. */
export async function readReceivers(stores: Pick<Stores, "read">): Promise<readonly string[]> {
  const shape = z.array(z.looseObject({ name: z.string() }));
  const found = await stores.read({ store: "alerts", path: "/api/v2/receivers" }, shape);
  return found.map(({ name }) => name);
}

export interface NewSilence {
  readonly matchers: readonly Matcher[];
  readonly from: Date;
  readonly until: Date;
  readonly by: string;
  readonly comment: string;
}

/** Gives its id. */
export async function makeSilence(stores: Pick<Stores, "read">, request: NewSilence): Promise<string> {
  const { matchers, from, until, by, comment } = request;
  const { silenceID } = await stores.read(
    {
      store: "alerts",
      path: "/api/v2/silences",
      json: {
        matchers,
        startsAt: from.toISOString(),
        endsAt: until.toISOString(),
        createdBy: by,
        comment,
      },
    },
    z.looseObject({ silenceID: z.string() }),
  );
  return silenceID;
}

export async function endSilence(stores: Pick<Stores, "ask">, id: string): Promise<void> {
  await stores.ask({
    store: "alerts",
    path: `/api/v2/silence/${encodeURIComponent(id)}`,
    method: "DELETE",
  });
}

export interface NewAlert {
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly startsAt: string;
  readonly endsAt: string;
}

export async function sendAlerts(stores: Pick<Stores, "ask">, alerts: readonly NewAlert[]): Promise<void> {
  await stores.ask({ store: "alerts", path: "/api/v2/alerts", json: alerts });
}
