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

async function deliver(...servers: readonly string[]): Promise<void> {
  await mkdir(join(folder, "clouds"));
  await writeFile(join(folder, "clouds", "state.json"), JSON.stringify({ ovh: { servers } }));
}

describe("ensureChoices", () => {
  it("gives the usual system where nothing was asked for", async () => {
    expect(await ensureChoices({}, folder)).toEqual({ system: "Debian 12" });
  });

  it("continues with what the first start asked for", async () => {
    await ensureChoices({ system: "Debian 13" }, folder);
    await deliver("vps-1");

    expect(await ensureChoices({}, folder)).toEqual({ system: "Debian 13" });
    expect(await ensureChoices({ system: "Debian 13" }, folder)).toEqual({ system: "Debian 13" });
  });

  it("takes another choice until a server is delivered", async () => {
    await ensureChoices({ system: "Debian 13" }, folder);
    await deliver();

    expect(await ensureChoices({ system: "Debian 11" }, folder)).toEqual({ system: "Debian 11" });
  });

  it("refuses another choice for a server that is there", async () => {
    await ensureChoices({ system: "Debian 13" }, folder);
    await deliver("vps-1");

    await expect(ensureChoices({ system: "Debian 11" }, folder)).rejects.toThrow(
      'npm start: expected --image "Debian 13", with which this rehearsal\'s server was delivered, got --image "Debian 11"; ' +
        "remove it first with npm run rehearsal:stop",
    );
    expect(await ensureChoices({}, folder)).toEqual({ system: "Debian 13" });
  });
});
