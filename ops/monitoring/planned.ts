/**
 * Silences of planned work: exactly the alerts that the work causes, visibly, and no longer than it lasts. The work itself never fails because of
 * that: where nobody can be silenced, somebody is told of what is planned.
 */
import { enabledAliases } from "../../common/services.ts";
import { PLANNED, silencesFor, type PlannedAlerts } from "../../common/planned-alerts.ts";
import { UserError } from "../../common/user-error.ts";
import type { Environment } from "../../stacks/environment.ts";
import type { Effects } from "../effects.ts";
import type { Server } from "../server/connection.ts";
import { endSilence, makeSilence } from "./alertmanager.ts";
import { renderMoment, renderSpan } from "./durations.ts";
import { LOOPBACK, openStores, type Addresses } from "./stores.ts";

export interface PlannedWork extends Pick<Effects, "identity" | "now" | "say"> {
  readonly server: Pick<Server, "name" | "run">;

  /** What is done, for people who read the list of alerts. */
  readonly what: string;
  readonly alerts: PlannedAlerts;

  /** The silence ends after this time in any case. */
  readonly seconds: number;

  /** `technicia:monitoring.enabled`, where it is known. */
  readonly isOn?: boolean;

  /** @default those on the server's loopback */
  readonly addresses?: Addresses;
}

/** Work on an environment's services that takes longer is worth an alert. */
const ON_SERVICES_SECONDS = 3600;

/** Does the work while the alerts of the environment's services are silenced. */
export async function duringWorkOnServices<T>(
  {
    environment,
    kind,
    ...planned
  }: Omit<PlannedWork, "alerts" | "seconds" | "isOn"> & {
    readonly environment: Environment;
    readonly kind: "deployment" | "restore";
  },
  work: () => Promise<T>,
): Promise<T> {
  const alerts = { kind, services: enabledAliases(environment) };
  const isOn = environment.monitoring.enabled;
  return await during({ ...planned, alerts, seconds: ON_SERVICES_SECONDS, isOn }, work);
}

/** Does the work while its alerts are silenced. */
export async function during<T>(planned: PlannedWork, work: () => Promise<T>): Promise<T> {
  const silences = await begin(planned);
  try {
    return await work();
  } finally {
    await end(planned, silences);
  }
}

async function begin(planned: PlannedWork): Promise<readonly string[]> {
  const { server, what, alerts, seconds, identity, now, say, isOn = true } = planned;
  if (!isOn) return [];
  const stores = openStores(server, planned.addresses ?? LOOPBACK);
  const from = now();
  const until = new Date(from.getTime() + seconds * 1000);
  const made: string[] = [];
  try {
    for (const matchers of silencesFor(alerts)) {
      const comment = `${PLANNED}${what}`;
      made.push(await makeSilence(stores, { matchers, from, until, by: identity.who, comment }));
    }
    say(`the alerts of this work are silenced until it ends, for ${renderSpan(seconds)} at most`);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    say(`the alerts of this work are not silenced: ${error.message}`);
  }
  return made;
}

async function end(planned: PlannedWork, silences: readonly string[]): Promise<void> {
  const { server, seconds, now, say } = planned;
  const stores = openStores(server, planned.addresses ?? LOOPBACK);
  for (const id of silences) {
    try {
      await endSilence(stores, id);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      const latest = renderMoment(new Date(now().getTime() + seconds * 1000));
      say(
        `silence ${id.slice(0, 8)} could not be ended and ends by itself, before ${latest}: ${error.message}`,
      );
    }
  }
}
