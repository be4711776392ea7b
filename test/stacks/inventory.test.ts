import { describe, expect, it } from "vitest";

import { identify, INVENTORY, rowOf } from "../../stacks/inventory.ts";
import { serverOf } from "../../stacks/inventory-servers.ts";
import { listed, three } from "../support/servers.ts";
import { deploy, everything, least, usual } from "../support/technicia.ts";

const several = { settings: { ...everything.settings, ...listed(three) } };

async function resources() {
  const variants = [everything, least, usual, several];
  const recordings = [];
  for (const variant of variants) recordings.push(await deploy(variant));
  return recordings.flatMap(({ registrations }) => registrations).filter(({ custom }) => custom);
}

describe("the inventory", () => {
  it("has a row for every resource of the program", async () => {
    const without = (await resources()).filter((resource) => rowOf(resource) === undefined);

    expect(without.map(({ urn }) => urn)).toEqual([]);
  });

  it("has no row that no resource of the program has", async () => {
    const used = new Set((await resources()).map(rowOf));

    expect(INVENTORY.filter((row) => !used.has(row)).map(({ names }) => names)).toEqual([]);
  });
});

describe("serverOf", () => {
  it.each([
    ["gra-2/host-swarm", "gra-2"],
    ["host-swarm", undefined],
    ["technicia-qdrant-service", undefined],
  ])("says whose %s is", (name, server) => {
    expect(serverOf(name)).toBe(server);
  });
});

describe("identify", () => {
  it.each([
    ["docker:index/volume:Volume", "data", "data volume"],
    ["pulumi:providers:docker", "containers", "connection (docker)"],
    ["pulumi:providers:random", "other", "connection (random)"],
    ["random:index/randomId:RandomId", "other", "RandomId"],
  ])("describes a %s that is not in the program by its type", (type, layer, label) => {
    const { name, row } = identify(`urn:pulumi:test::technicia::${type}::of-an-earlier-version`);

    expect(name).toBe("of-an-earlier-version");
    expect(row).toMatchObject({ layer, label });
  });
});
