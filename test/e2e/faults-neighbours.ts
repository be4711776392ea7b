/**
 * Faults of which one of two environments tells because the other cannot, or does not see them. The first is `test`; its neighbour is the
 * second server of `npm start -- --neighbour`.
 */
import { run } from "../../common/run.ts";
import { DATACENTRE } from "../../rehearsal/addresses.ts";
import type { Fault } from "./faults.ts";
import { BLIND } from "./faults-monitoring.ts";
import { REQUESTS, START, STOP } from "./faults-services.ts";
import { FIRST, SECOND } from "./monitored.ts";
import { cut, mend } from "./neighbour.ts";
import { askHealth, until } from "./rehearsal.ts";

/** What one environment tells of a fault. */
type Told = Omit<Fault, "name" | "inject" | "repair" | "on" | "by" | "breaks">;

/** A fault, where it is, and what each of the two tells of it. */
export interface SeenFault extends Pick<Fault, "name" | "inject" | "repair" | "on" | "breaks"> {
  readonly first: Told;
  readonly second: Told;
}

// Not a step on a server: the one that is gone runs none.
export const nothing = () => Promise.resolve();

/** As two faults that are one: the second of them breaks nothing more. */
export function viewsOf({ name, first, second, ...broken }: SeenFault): [Fault, Fault] {
  return [
    { on: FIRST, ...broken, name: `${name}, by ${SECOND.stack}`, by: SECOND, ...second },
    { name: `${name}, by ${FIRST.stack}`, inject: nothing, repair: nothing, by: FIRST, ...first },
  ];
}

/** Two signs of life have to be missing before the rule's time begins. */
const SIGN_WINDOW_SECONDS = 120;

/** A probe that nobody answers ends after five seconds. */
const PROBE_WINDOW_SECONDS = 20;

/** Within six minutes a silence is noticed. */
const SILENT_SECONDS = 360;

const DOWN = { [`NeighbourDown-${FIRST.stack}`]: "P1" } as const;
const SILENT = { [`NeighbourSilent-${FIRST.stack}`]: "P1" } as const;

/** That it is away is told from outside; that it says nothing either, in time, nobody has to be told as well. */
const AWAY: Told = {
  alerts: DOWN,
  follows: ["NeighbourSilent"],
  noticed: { [`NeighbourSilent-${FIRST.stack}`]: SILENT_SECONDS },
  windowSeconds: PROBE_WINDOW_SECONDS,
};

const NOTHING: Told = { alerts: {} };

const answersAgain = () => until("TechnicIA to answer again", () => askHealth().then(() => true), 300);

/** A server that has just booted: its programs do not start in one moment, and its gateway answers visitors before n8n does. */
const AFTER_BOOT = ["CollectorSilent", "HealthFailing", "SiteDown", "TargetDown", "ErrorRateCritical"];

export const GONE: SeenFault = {
  name: "the server is gone",
  inject: () => run(["docker", "stop", "--time", "30", FIRST.container]),
  repair: async () => {
    await run(["docker", "start", FIRST.container]);
    await answersAgain();
  },
  second: AWAY,
  first: { ...NOTHING, mayBeTold: AFTER_BOOT },
};

export const CUT: SeenFault = {
  name: "the server's network is cut",
  inject: () => cut(DATACENTRE.server, "all"),
  repair: mend,
  second: AWAY,
  // It sees nothing of the world, and says so as soon as it is back.
  first: {
    ...NOTHING,
    mayBeTold: ["SiteDown", "HealthFailing", "NeighbourDown", "NeighbourSilent", "NotificationsFailing"],
  },
};

/** It sends mail and answers itself, so that it is wrong about itself. */
export const CLOSED: SeenFault = {
  name: "no visitor gets to the site, which sees itself answer",
  inject: () => cut(DATACENTRE.server, "visitors"),
  repair: async () => {
    await mend();
    await answersAgain();
  },
  second: { alerts: DOWN, windowSeconds: PROBE_WINDOW_SECONDS },
  // Its neighbour does not get in either; five minutes of that are a silence.
  first: { ...NOTHING, mayBeTold: ["NeighbourSilent"] },
};

export const UNMEASURED: SeenFault = {
  name: "nobody looks from outside",
  inject: STOP("probes"),
  repair: START("probes"),
  on: SECOND,
  second: { alerts: { "TargetDown-probes": "P2" }, restarts: ["probes"] },
  first: NOTHING,
};

export const NEIGHBOUR_CLOSED: SeenFault = {
  name: "the neighbour's gateway is stopped",
  inject: STOP("gateway"),
  repair: START("gateway"),
  on: SECOND,
  second: {
    alerts: { SiteDown: "P1" },
    follows: ["HealthFailing"],
    mayFollow: ["ServiceNotRunning", ...REQUESTS],
    restarts: ["gateway"],
  },
  first: { alerts: { [`NeighbourDown-${SECOND.stack}`]: "P1" } },
};

/** What a monitoring that was away may say of that once it is back. */
const BACK = [...BLIND, "MonitoringDown", "AlertsNotSent", "CollectorSilent", "ConfigurationRefused"];

const silentWithout = (alias: "metrics" | "metric-rules"): SeenFault => ({
  name: `its ${alias} are stopped`,
  breaks: { service: alias, how: "stopped" },
  inject: STOP(alias),
  repair: START(alias),
  second: { alerts: SILENT, windowSeconds: SIGN_WINDOW_SECONDS },
  first: { ...NOTHING, mayBeTold: BACK, restarts: [alias] },
});

export const SILENCES: readonly SeenFault[] = [
  {
    name: "the neighbour's Alertmanager is stopped",
    breaks: { service: "alerts", how: "stopped" },
    inject: STOP("alerts"),
    repair: START("alerts"),
    on: SECOND,
    second: { ...NOTHING, follows: ["AlertsNotSent"], mayBeTold: BACK, restarts: ["alerts"] },
    first: { alerts: { [`NeighbourSilent-${SECOND.stack}`]: "P1" }, windowSeconds: SIGN_WINDOW_SECONDS },
  },
  silentWithout("metrics"),
  silentWithout("metric-rules"),
];

export const SEEN: readonly SeenFault[] = [GONE, CUT, CLOSED, UNMEASURED, NEIGHBOUR_CLOSED, ...SILENCES];
