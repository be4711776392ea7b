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
import { onMonitored, orReason, type Reach } from "./deployed.ts";
import { LOOPBACK, MonitoringOff, openStores, type Addresses, type Stores } from "./stores.ts";

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

  /** Environments that watch this one and would tell of it. @default none */
  readonly seenBy?: SeenBy;
}

export interface SeenBy extends Reach {
  /** The stack on which somebody works. */
  readonly stack: string;

  /** Stacks of its neighbours. */
  readonly neighbours: readonly string[];
}

/** Each neighbour watches the environment that watches it. */
export function seenByNeighbours(
  { monitoring }: Pick<Environment, "monitoring">,
  { stack, pulumi, openServer }: Pick<Effects, "pulumi" | "openServer"> & Pick<SeenBy, "stack">,
): SeenBy {
  return {
    ...{ stack, pulumi, openServer },
    neighbours: monitoring.neighbours.map((neighbour) => neighbour.stack),
    addresses: LOOPBACK,
  };
}

/** Who notices the work, and how their Alertmanager is reached. */
interface Watcher {
  readonly alerts: PlannedAlerts;
  readonly reach: <T>(work: (stores: Stores) => Promise<T>) => Promise<T>;

  /** What is said once they are silenced, and begins what is said where they are not. */
  readonly silenced: string;
  readonly notSilenced: string;
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
  const made: { readonly watcher: Watcher; readonly silences: readonly string[] }[] = [];
  try {
    for (const watcher of watchersOf(planned))
      made.push({ watcher, silences: await begin(planned, watcher) });
    return await work();
  } finally {
    for (const silenced of made) await end(planned, silenced);
  }
}

function watchersOf({ server, alerts, isOn = true, seconds, addresses, seenBy }: PlannedWork): Watcher[] {
  const own: Watcher = {
    alerts,
    reach: (work) => work(openStores(server, addresses ?? LOOPBACK)),
    silenced: `the alerts of this work are silenced until it ends, for ${renderSpan(seconds)} at most`,
    notSilenced: "the alerts of this work are not silenced",
  };
  return [...(isOn ? [own] : []), ...(seenBy === undefined ? [] : neighboursOf(seenBy))];
}

function neighboursOf({ stack, neighbours, ...reach }: SeenBy): Watcher[] {
  return neighbours.map((neighbour) => ({
    alerts: { kind: "neighbour", neighbour: stack },
    reach: (work) => onMonitored(neighbour, reach, ({ stores }) => work(stores)),
    silenced: `${neighbour} does not tell of ${stack} meanwhile`,
    notSilenced: `${neighbour} may tell of ${stack} meanwhile`,
  }));
}

async function begin(
  { what, seconds, identity, now, say }: PlannedWork,
  { alerts, reach, silenced, notSilenced }: Watcher,
): Promise<readonly string[]> {
  const from = now();
  const until = new Date(from.getTime() + seconds * 1000);
  const comment = `${PLANNED}${what}`;
  const made: string[] = [];
  try {
    await reach(async (stores) => {
      for (const matchers of silencesFor(alerts))
        made.push(await makeSilence(stores, { matchers, from, until, by: identity.who, comment }));
    });
    say(silenced);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    // Whoever has no monitoring tells nobody.
    if (!(error instanceof MonitoringOff)) say(`${notSilenced}: ${error.message}`);
  }
  return made;
}

async function end(
  { seconds, now, say }: PlannedWork,
  { watcher, silences }: { readonly watcher: Watcher; readonly silences: readonly string[] },
): Promise<void> {
  if (silences.length === 0) return;
  // One that is gone already does not keep the others.
  const ended = await orReason(
    watcher.reach((stores) => Promise.all(silences.map((id) => orReason(endSilence(stores, id))))),
  );
  const reasons = silences.map(
    (id, index) => [id, ended instanceof UserError ? ended : ended[index]] as const,
  );
  const left = reasons.flatMap(([id, why]) => (why instanceof UserError ? [{ id, why }] : []));
  if (left[0] === undefined) return;
  const ids = left.map(({ id }) => id.slice(0, 8)).join(", ");
  const latest = renderMoment(new Date(now().getTime() + seconds * 1000));
  say(`silences ${ids} could not be ended and end by themselves, before ${latest}: ${left[0].why.message}`);
}
