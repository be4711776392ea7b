import { describe, expect, it } from "vitest";

import { identify, INVENTORY, rowOf } from "../../stacks/inventory.ts";
import { deploy, everything, least, usual } from "../support/technicia.ts";

async function resources() {
  const recordings = [await deploy(everything), await deploy(least), await deploy(usual)];
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
