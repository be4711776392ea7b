import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { ensureChoices } from "../../rehearsal/choices.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "technicia-choices-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** As once the fake clouds have run. */
async function begin(): Promise<void> {
  await mkdir(join(folder, "clouds"));
  await writeFile(join(folder, "clouds", "state.json"), "{}");
}

describe("ensureChoices", () => {
  it("gives the usual system where nothing was asked for", async () => {
    expect(await ensureChoices({}, folder)).toEqual({
      system: "Debian 12",
      variants: [],
      hasNeighbour: false,
      servers: "1",
    });
  });

  it("continues with what the first start asked for", async () => {
    await ensureChoices({ system: "Debian 13", variants: ["chrony"] }, folder);
    await begin();

    const chosen = { system: "Debian 13", variants: ["chrony"], hasNeighbour: false, servers: "1" };
    expect(await ensureChoices({}, folder)).toEqual(chosen);
    expect(await ensureChoices({ system: "Debian 13" }, folder)).toEqual(chosen);
  });

  it("adds a neighbour to a rehearsal that is under way, and keeps it", async () => {
    await ensureChoices({ system: "Debian 13" }, folder);
    await begin();

    const chosen = { system: "Debian 13", hasNeighbour: true };
    expect(await ensureChoices({ hasNeighbour: true }, folder)).toMatchObject(chosen);
    expect(await ensureChoices({}, folder)).toMatchObject(chosen);
    await expect(ensureChoices({ system: "Debian 11" }, folder)).rejects.toThrow(
      'npm start: expected --image "Debian 13" --neighbour, with which',
    );
  });

  it("refuses a neighbour of a server that is there already", async () => {
    const both = { variants: ["in-use", "swap"], hasNeighbour: true } as const;

    await expect(ensureChoices(both, folder)).rejects.toThrow(
      "npm start: expected --neighbour without --variant in-use, because its server is ordered, got both; leave one of them out",
    );
    expect(await ensureChoices({ variants: ["in-use"] }, folder)).toMatchObject({ hasNeighbour: false });
  });

  it("refuses several servers beside what needs their room or brings its own", async () => {
    await expect(ensureChoices({ servers: "3", hasNeighbour: true }, folder)).rejects.toThrow(
      "npm start: expected --servers 3 without --neighbour, because all its servers are ordered and need the room, got both; leave one of them out",
    );
    await expect(ensureChoices({ servers: "2+1", variants: ["in-use"] }, folder)).rejects.toThrow(
      "--servers 2+1 without --variant in-use",
    );
    expect(await ensureChoices({ servers: "2+1" }, folder)).toMatchObject({ servers: "2+1" });
  });

  it("takes another choice until the clouds have run", async () => {
    await ensureChoices({ system: "Debian 13" }, folder);

    expect(await ensureChoices({ system: "Debian 11" }, folder)).toMatchObject({ system: "Debian 11" });
  });

  it("refuses another choice for a rehearsal that is under way", async () => {
    await ensureChoices({ system: "Debian 13", variants: ["chrony", "swap"] }, folder);
    await begin();

    await expect(ensureChoices({ variants: ["swap"] }, folder)).rejects.toThrow(
      'npm start: expected --image "Debian 13" --variant chrony --variant swap, with which this rehearsal was started, ' +
        'got --image "Debian 13" --variant swap; remove it first with npm run rehearsal:stop',
    );
    expect(await ensureChoices({}, folder)).toMatchObject({ variants: ["chrony", "swap"] });
  });
});
