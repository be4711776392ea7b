/** What object storage costs at OVHcloud. */

/** Euros a month for each GiB, without tax: OVHcloud's list for the class Standard, as known on that day. */
const LIST = {
  of: "2025-11",
  address: "https://www.ovhcloud.com/fr/public-cloud/prices/",
  oneZone: 0.007,
  threeZones: 0.014,
} as const;

const GIB = 1024 ** 3;

export interface Price {
  /** Of a month, in euros without tax. */
  readonly euros: number;
  readonly eurosPerGib: number;

  /** Month of the price list, and where today's is. */
  readonly of: string;
  readonly address: string;
}

/** `region`: as OVHcloud writes it, `RBX`; those in three zones have names such as `EU-WEST-PAR`. */
export function priceOf(bytes: number, region: string): Price {
  const { of, address, oneZone, threeZones } = LIST;
  const eurosPerGib = region.includes("-") ? threeZones : oneZone;
  return { euros: (bytes / GIB) * eurosPerGib, eurosPerGib, of, address };
}
