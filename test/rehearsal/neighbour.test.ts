import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";

import { DATACENTRE, INTERNET, SECOND_DATACENTRE } from "../../rehearsal/addresses.ts";
import { neighbourEntry, neighbourOf, watchesNeighbour } from "../../rehearsal/neighbour.ts";
import { ALERT_SECRETS, NEIGHBOUR_SECRETS } from "../../rehearsal/stack.ts";
import { STACKS } from "../../rehearsal/stack-names.ts";
import { committedSettings, domainOf, renderSettings } from "../../rehearsal/stack-settings.ts";
import { placesOf, renderUplink, SECOND_SERVER, SERVER } from "../../rehearsal/world.ts";
import { entryOf, secretNames } from "../../secrets/catalog.ts";
import { contextIn } from "../../secrets/context.ts";
import { RULES, violations } from "../../stacks/policy/rules.ts";
import { parseSettings, settingsIn } from "../../stacks/settings.ts";
import { sections } from "../../stacks/settings-schema.ts";
import { publicKey } from "../support/fixtures.ts";

const SYSTEM = "Debian 12" as const;

const accounts = { zoneId: "0".repeat(32), ovhProject: "1".repeat(32) };

/** Settings of a rehearsed stack, as their file has them. */
async function settingsOf(stack: string, more: Partial<Parameters<typeof renderSettings>[1]> = {}) {
  const document = await committedSettings(stack);
  const server = {
    system: SYSTEM,
    serviceName: undefined,
    servers: "1",
    images: {},
    sources: undefined,
  } as const;
  renderSettings(document, { stack, accounts, publicKey, ...server, ...more });
  // As the engine reads it: a day without quotes is a time.
  return parse(document.toString(), { customTags: ["timestamp"] }) as {
    config: Record<string, Record<string, unknown>>;
  };
}

const small = () => settingsOf("staging", { isSmall: true, neighbour: neighbourEntry("test") });

/** Names of the rules that refuse staging with these settings before anything is created. */
function refusedBy(config: Readonly<Record<string, unknown>>): string[] {
  const texts = Object.entries(config).map(([key, value]): [string, string] => [
    key,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  const facts = { environment: parseSettings("staging", settingsIn(Object.fromEntries(texts))), secrets: [] };
  const stack = {
    ...{ urn: "stack", type: "pulumi:pulumi:Stack", name: "technicia-staging", inputs: {} },
    ...{ protect: false, deleteBeforeReplace: false },
  };
  return RULES.filter((rule) =>
    violations(rule, stack, { ...facts, now: new Date() }).some(({ level }) => level === "mandatory"),
  ).map(({ name }) => name);
}

describe("the second environment", () => {
  it.each(STACKS)("of %s is another one", (stack) => {
    expect(STACKS).toContain(neighbourOf(stack));
    expect(neighbourOf(stack)).not.toBe(stack);
  });

  it("begins without monitoring while the images are still being made, by an exception that the policy takes", async () => {
    const { config } = await settingsOf("staging", { lacksMonitoring: true, isSmall: true });

    expect(config["technicia:monitoring"]).toMatchObject({ enabled: false });
    expect(refusedBy(config)).toEqual([]);
  });

  it("is watched by the first at its public address, and watches it", async () => {
    const first = await settingsOf("test", { neighbour: neighbourEntry(neighbourOf("test")) });

    for (const [{ config }, other] of [
      [first, "staging"],
      [await small(), "test"],
    ] as const) {
      const { neighbours } = sections.monitoring.parse(config["technicia:monitoring"]);
      expect(neighbours).toEqual([{ stack: other, url: `https://${domainOf(other)}`, trusted: false }]);
    }
  });

  it("runs what the committed settings switch on, sends alerts as the first does, and has neither backups nor swap", async () => {
    const [{ config }, usual] = [await small(), await settingsOf("staging")];
    const monitoring = { ...config["technicia:monitoring"] };
    delete monitoring["neighbours"];

    expect(config["technicia:services"]).toEqual(usual.config["technicia:services"]);
    expect(monitoring).toEqual(usual.config["technicia:monitoring"]);
    expect(config["technicia:backup"]).not.toHaveProperty("project");
    expect(usual.config["technicia:backup"]).toHaveProperty("project", accounts.ovhProject);
    expect(config["technicia:host"]).toEqual({ ...usual.config["technicia:host"], swapGib: 0 });
    const others = (one: typeof config) =>
      Object.entries(one).filter(([key]) => !/:(monitoring|backup|host|policy)$/.test(key));
    expect(others(config)).toEqual(others(usual.config));
  });

  it("is refused by no rule of the policy pack, and without its exception by the one about backups", async () => {
    const { config } = await small();
    expect(refusedBy(config)).toEqual([]);
    expect(refusedBy({ ...config, "technicia:policy": {} })).toEqual(["backups-enabled"]);
  });

  it("needs the secrets that the rehearsal sets where there are two, and no other", async () => {
    const { config } = await small();
    const context = contextIn({ monitoring: config["technicia:monitoring"] });
    const needed = secretNames.filter(
      (name) => entryOf(name).neededFor.Monitoring?.holds(context, new Set()) === true,
    );

    expect(new Set(needed)).toEqual(new Set([...ALERT_SECRETS, ...NEIGHBOUR_SECRETS]));
  });
});

describe("the settings of a stack", () => {
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "technicia-state-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it("name a neighbour, or do not yet", async () => {
    expect(await watchesNeighbour("test", folder)).toBe(false);
    const file = join(folder, "Pulumi.test.yaml");
    await writeFile(file, JSON.stringify(await settingsOf("test")));
    expect(await watchesNeighbour("test", folder)).toBe(false);
    await writeFile(file, JSON.stringify(await settingsOf("test", { neighbour: neighbourEntry("staging") })));
    expect(await watchesNeighbour("test", folder)).toBe(true);
  });
});

describe("the world of two environments", () => {
  const places = placesOf({ hasNeighbour: true, servers: "1" });

  it("has a place for the first server alone, unless there is a neighbour", () => {
    expect(placesOf({ hasNeighbour: false, servers: "1" }).map(({ container }) => container)).toEqual([
      SERVER,
    ]);
    expect(places.map(({ container }) => container)).toEqual([SERVER, SECOND_SERVER]);
    // The first one that is ordered is the first environment's.
    expect(places[0]).toEqual(placesOf({ hasNeighbour: false, servers: "1" })[0]);
  });

  it("gives the servers nothing in common, so that all between them passes the router", () => {
    for (const key of ["container", "network", "ipv4", "ipv6", "gateway"] as const)
      expect(new Set(places.map((place) => place[key])).size).toBe(places.length);
    const networks = [INTERNET, DATACENTRE, SECOND_DATACENTRE];
    expect(new Set(networks.map(({ subnet }) => subnet)).size).toBe(3);
    expect(new Set(networks.map(({ subnet6 }) => subnet6)).size).toBe(3);
    for (const { subnet, subnet6, server, server6, router } of [DATACENTRE, SECOND_DATACENTRE]) {
      for (const address of [server, router])
        expect(address.startsWith(subnet.replace(/0\/24$/, ""))).toBe(true);
      expect(server6.startsWith(subnet6.replace("/64", ""))).toBe(true);
    }
  });

  it("shows each server the other's own address, and hides both from the real internet", () => {
    expect(renderUplink([DATACENTRE])).toContain(
      "ip saddr { 198.18.113.0/24 } ip daddr != { 198.51.100.0/24, 198.18.113.0/24 } masquerade",
    );
    expect(renderUplink([DATACENTRE, SECOND_DATACENTRE])).toContain(
      "ip saddr { 198.18.113.0/24, 198.18.114.0/24 } ip daddr != { 198.51.100.0/24, 198.18.113.0/24, 198.18.114.0/24 } masquerade",
    );
  });
});
