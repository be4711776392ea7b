import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { requireOwnWorld } from "../../rehearsal/own-world.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "technicia-own-world-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** As once the fake clouds have run. */
async function begin(): Promise<void> {
  await mkdir(join(folder, "clouds"));
  await writeFile(join(folder, "clouds", "state.json"), "{}");
}

/** A Docker with the clouds of that folder, or without clouds, and with these containers of a rehearsal. */
const dockerWith =
  ({ clouds, containers = "" }: { readonly clouds?: string; readonly containers?: string }) =>
  ([verb]: readonly string[]): Promise<string> => {
    if (verb === "ps") return Promise.resolve(containers);
    if (clouds === undefined)
      return Promise.reject(new Error("No such container: technicia-rehearsal-clouds"));
    return Promise.resolve(`${clouds}\n`);
  };

describe("requireOwnWorld", () => {
  it("lets a first start and a rehearsal that is under way go on", async () => {
    await requireOwnWorld(folder, dockerWith({}));
    await begin();

    await requireOwnWorld(folder, dockerWith({ clouds: join(folder, "clouds"), containers: "a1\nb2\n" }));
    // The clouds alone are made again from their state.
    await requireOwnWorld(folder, dockerWith({ containers: "b2\n" }));
  });

  it("says at once that another clone has removed the containers", async () => {
    await begin();

    await expect(requireOwnWorld(folder, dockerWith({}))).rejects.toThrow(
      "npm start: expected the containers of the rehearsal that was started here, got none: another clone on this machine has removed them, " +
        "or Docker has lost them; remove what is left with npm run rehearsal:stop, and start anew",
    );
  });

  it("says whose rehearsal runs, and touches nothing of it", async () => {
    const other = dockerWith({ clouds: "/home/alice/technicia/.rehearsal/clouds", containers: "a1\n" });
    const whose =
      "npm start: expected no rehearsal or this folder's, got that of /home/alice/technicia; remove it there with npm run rehearsal:stop";

    await expect(requireOwnWorld(folder, other)).rejects.toThrow(new RegExp(`^${whose}$`));
    await begin();
    await expect(requireOwnWorld(folder, other)).rejects.toThrow(
      `${whose}, then what is left here with the same command`,
    );
  });
});
