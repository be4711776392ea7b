/** Lists of servers for tests. */
const DATA = ["qdrant", "n8n", "postgres", "monitoring"];

interface Entry {
  readonly name: string;
  readonly role: string;
  readonly serviceName?: string;
  readonly order?: object;
  readonly labels?: readonly string[];
  readonly [key: string]: unknown;
}

/** Three equal servers; the first one has the data, all of them take visitors. */
export const three: readonly (Entry & { readonly labels: readonly string[] })[] = [
  {
    name: "gra-1",
    role: "manager",
    serviceName: "vps-1a2b3c4d.vps.ovh.net",
    labels: ["gateway", ...DATA],
  },
  { name: "gra-2", role: "manager", serviceName: "vps-2a2b3c4d.vps.ovh.net", labels: ["gateway"] },
  { name: "gra-3", role: "manager", serviceName: "vps-3a2b3c4d.vps.ovh.net", labels: ["gateway"] },
];

/** Two of them, and a small one elsewhere that only votes. */
export const twoAndWitness: readonly Entry[] = [
  ...three.slice(0, 2),
  {
    name: "sbg-1",
    role: "witness",
    order: { subsidiary: "FR", maxMonthlyPriceEur: 5 },
    vcores: 1,
    memoryGib: 2,
    datacentre: "SBG",
  },
];

/** The settings of an environment with such a list, by path. */
export function listed(servers: readonly Entry[]): Readonly<Record<string, unknown>> {
  return { "server.serviceName": undefined, servers };
}
