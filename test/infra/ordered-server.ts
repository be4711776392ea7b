import type { VpsArgs } from "../../provider/resources.ts";
import { publicKey } from "../support/fixtures.ts";

/** A server whose address a first preview cannot know. */
export const orderedServer: VpsArgs = {
  order: { subsidiary: "FR", maxMonthlyPriceEur: 15 },
  name: "technicia-test",
  vcores: 4,
  memoryGib: 8,
  datacentre: "GRA",
  image: "Debian 12",
  publicKey,
  deleteAtExpiry: false,
};
