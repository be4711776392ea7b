/** Another environment that no longer answers, or no longer says that it lives. */
import type { Fault } from "./faults.ts";
import { breakNeighbour, fallSilent, NEIGHBOUR, repairNeighbour, speak } from "./neighbour.ts";

export const NEIGHBOURS: readonly (readonly Fault[])[] = [
  [
    {
      name: "a neighbour's address no longer answers",
      inject: () => breakNeighbour("^/healthz"),
      repair: repairNeighbour,
      alerts: { [`NeighbourDown-${NEIGHBOUR}`]: "P1" },
    },
  ],
  [
    {
      name: "a neighbour no longer says that it lives",
      inject: () => Promise.resolve(fallSilent()),
      repair: () => Promise.resolve(speak()),
      alerts: { [`NeighbourSilent-${NEIGHBOUR}`]: "P1" },
      windowSeconds: 120,
    },
  ],
  [
    {
      name: "a neighbour's server is gone",
      inject: async () => {
        fallSilent();
        await breakNeighbour("^/(healthz|deadman)");
      },
      repair: async () => {
        await repairNeighbour();
        speak();
      },
      alerts: { [`NeighbourDown-${NEIGHBOUR}`]: "P1" },
      follows: ["NeighbourSilent"],
      mayFollow: ["NotificationsFailing"],
    },
  ],
];
