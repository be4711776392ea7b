import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { stoppableWorld } from "../../../ops/drift/under-lock.ts";
import type { Effects } from "../../../ops/effects.ts";
import { PulumiFailure, type Pulumi } from "../../../ops/engine/cli.ts";
import { breakLock, readLock } from "../../../ops/server/lock.ts";
import { readHistory } from "../../../ops/server/records.ts";
import { startLocalServer, type LocalServer } from "../server/local-server.ts";

let server: LocalServer;
let tick: () => void;
let stop: AbortController;

beforeEach(async () => {
  server = await startLocalServer();
  stop = new AbortController();
});

afterEach(async () => {
  await server[Symbol.asyncDispose]();
});

function worldWith(pulumi: Pulumi) {
  const effects: Effects = {
    pulumi,
    git: () => Promise.resolve(""),
    openServer: () => server,
    identity: { who: "alice@laptop", run: "", process: 4001 },
    now: () => new Date("2026-11-24T10:00:00Z"),
    every: (_seconds, action) => {
      tick = action;
      return () => undefined;
    },
    pause: () => Promise.resolve(),
    isAlive: () => true,
    say: () => undefined,
    confirm: () => Promise.resolve(true),
    signal: stop.signal,
    openIncident: () => Promise.resolve({ id: "DEPLOY-001", isNew: true }),
  };
  const more = {
    fetch: () => Promise.resolve(new Response("")),
    readSettingsFile: () => Promise.resolve(""),
  };
  return stoppableWorld({ ...effects, ...more }, stop);
}

/** An engine that runs until it is interrupted. */
const endless: Pulumi = ({ signal }) =>
  new Promise((_, reject) => {
    const onAbort = () =>
      reject(new PulumiFailure("the repair failed:\nerror: update cancelled", { stdout: "", stderr: "" }));
    signal!.addEventListener("abort", onAbort);
  });

describe("a repair", () => {
  it("does not pass for done when its lock was taken, even if it noticed nothing", async () => {
    const world = worldWith(() => Promise.resolve("done"));
    const lost = Promise.withResolvers<undefined>();
    stop.signal.addEventListener("abort", () => lost.resolve(undefined));

    const repair = world.exclusively(server, "test", async () => {
      await breakLock(server, { stack: "test", holder: "alice@laptop", force: "by mistake" });
      tick();
      await lost.promise;
    });

    await expect(repair).rejects.toThrow("test: somebody broke the deployment lock of this command");
  });

  it("holds the lock of deployments while it works", async () => {
    const world = worldWith(() => Promise.resolve("done"));

    const holder = await world.exclusively(server, "test", async () => (await readLock(server))!.holder);
    expect(holder).toMatchObject({ who: "alice@laptop", why: "repair of drift" });
    expect(await readLock(server)).toBeUndefined();
  });

  it("ends the engine when its lock was taken, does nothing more, and says so in the audit", async () => {
    const world = worldWith(endless);
    const begun: string[] = [];

    const repair = world.exclusively(server, "test", async () => {
      await breakLock(server, { stack: "test", holder: "alice@laptop", force: "by mistake" });
      tick();
      await world.pulumi({ args: ["up"] }).finally(() => begun.push("next"));
    });

    await expect(repair).rejects.toThrow(
      /^test: somebody broke the deployment lock of this command .*\nthe repair failed:\nerror: update cancelled$/,
    );
    expect(begun).toEqual(["next"]);
    expect((await readHistory(server)).events).toMatchObject([
      {
        action: "repair",
        who: "alice@laptop",
        detail: expect.stringContaining("a pris le verrou") as string,
      },
    ]);
    // Neither another run of the engine nor a call to a vendor, such as the removal of a DNS record.
    const lost = "somebody broke the deployment lock";
    await expect(world.pulumi({ args: ["up"] })).rejects.toThrow(lost);
    await expect(world.fetch("https://api.cloudflare.com")).rejects.toThrow(lost);
  });
});
