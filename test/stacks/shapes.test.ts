import { readFile } from "node:fs/promises";

import { describe, expect, it } from "vitest";

import { renderServers } from "../../stacks/settings-reference.ts";
import { describeLoss, lossesOf, SHAPES, toleratedVoters } from "../../stacks/shapes.ts";
import { environmentWith } from "../support/fixtures.ts";
import { listed, three, twoAndWitness } from "../support/servers.ts";

describe("what a shape survives", () => {
  it("is no loss at all with one server", () => {
    expect(lossesOf(environmentWith().servers)).toEqual([
      { server: "main", hasGateway: false, hasData: false, hasServices: false, hasQuorum: false },
    ]);
  });

  it("is with two and a witness the loss of any for pages, and of all but one for the data", () => {
    const losses = lossesOf(environmentWith(listed(twoAndWitness)).servers);

    expect(losses.map(({ hasGateway, hasQuorum }) => hasGateway && hasQuorum)).toEqual([true, true, true]);
    expect(losses.map(({ hasData }) => hasData)).toEqual([false, true, true]);
  });

  it("is no vote with one voter, one with three, two with five", () => {
    const [first] = SHAPES["one server"]!;
    const five = Array.from({ length: 5 }, (_, index) => ({ ...first!, name: `s${index}` }));

    expect([[first!], environmentWith(listed(three)).servers, five].map(toleratedVoters)).toEqual([0, 1, 2]);
  });

  it("is no change of the Swarm where the only voter is lost and workers are left", () => {
    const workers = [
      { name: "a", role: "manager", labels: ["gateway", "n8n"] },
      { name: "b", role: "worker", labels: ["gateway"] },
    ] as const;
    const [ofManager, ofWorker] = lossesOf(workers).map(describeLoss);

    expect(ofManager).toEqual([
      "a",
      "pages, by the other addresses",
      "none until it is back, or restored from a set of backups",
      "stands still: nothing can be changed until it is back",
    ]);
    expect(ofWorker?.[3]).toBe("goes on, and starts elsewhere what was there");
  });
});

describe("docs/servers.md", () => {
  it("says what the shapes say; otherwise run npm run settings", async () => {
    const file = await readFile(new URL("../../docs/servers.md", import.meta.url), "utf8");

    expect(file).toBe(await renderServers());
  });
});
