import type { Settings } from "../../../provider/plugin/definition.ts";

export const PACE = { pollMs: 2, deliveryMs: 10_000, tasksMs: 10_000, paymentMs: 1_000 };
export const EDGE_PACE = { pollMs: 2, stepMs: 10_000 };
export const PUBLIC_KEY =
  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExampleExampleExampleExampleExampleExampl operator";

const WANTED = {
  name: "technicia-test",
  vcores: 4,
  memoryGib: 8,
  datacentre: "GRA",
  image: "Debian 12",
  publicKey: PUBLIC_KEY,
  deleteAtExpiry: false,
};

/** Inputs of a server to be ordered. */
export const ORDERED = { ...WANTED, order: { subsidiary: "FR", maxMonthlyPriceEur: 10 } };

/** Inputs of a server to be adopted. */
export function adopted(serviceName: string): typeof WANTED & { serviceName: string } {
  return { ...WANTED, serviceName };
}

/** Keys that the double accepts. */
export const KEYS = {
  ovhApplicationKey: "rehearsal0AppKey",
  ovhApplicationSecret: "rehearsal-application-secret-0001",
  ovhConsumerKey: "rehearsal-consumer-key-0000000001",
};

export function settingsOf(url: string, keys: Partial<Settings> = {}): Settings {
  return {
    ovhEndpoint: url,
    ...KEYS,
    ...keys,
  };
}
