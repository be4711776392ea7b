import { join, resolve } from "node:path";

/** Root of the checkout. */
export const ROOT = resolve(import.meta.dirname, "..");

/** What one rehearsal keeps between its commands; removed by `rehearsal:stop`. */
export const STATE = join(ROOT, ".rehearsal");

/** What the names of its containers, networks and volumes begin with. */
export const PREFIX = "technicia-rehearsal";

/** Label of every container, network and volume of the rehearsal. */
export const LABEL = "technicia.rehearsal=1";

export const INTERNET = {
  network: "technicia-rehearsal-internet",
  subnet: "198.51.100.0/24",
  subnet6: "2001:db8:51::/64",
  /** The operator's machine, which is this one. */
  operator: "198.51.100.1",
  operator6: "2001:db8:51::1",
  router: "198.51.100.2",
  registry: "198.51.100.5",
  ownRegistry: "198.51.100.6",
  storage: "198.51.100.7",
  mail: "198.51.100.8",
  acme: "198.51.100.14",
  clouds: "198.51.100.53",
  clouds6: "2001:db8:51::53",
} as const;

export const DATACENTRE = {
  network: "technicia-rehearsal-datacentre",
  subnet: "198.18.113.0/24",
  subnet6: "2001:db8:113::/64",
  router: "198.18.113.254",
  server: "198.18.113.10",
  server6: "2001:db8:113::10",
  /** Of an environment with several servers. */
  others: [
    { ipv4: "198.18.113.11", ipv6: "2001:db8:113::11" },
    { ipv4: "198.18.113.12", ipv6: "2001:db8:113::12" },
  ],
  /** As OVH names it. */
  code: "GRA",
} as const;

/** Of the neighbour's server, or of a witness: what watches is not lost with the same datacentre. */
export const SECOND_DATACENTRE = {
  network: "technicia-rehearsal-datacentre-2",
  subnet: "198.18.114.0/24",
  subnet6: "2001:db8:114::/64",
  router: "198.18.114.254",
  server: "198.18.114.10",
  server6: "2001:db8:114::10",
  code: "SBG",
} as const;

/** Of the backups: another one than the server's. */
export const STORAGE_REGION = "RBX";

export const ZONE = "technicia.example";
