/** A deployment and a check of drift by an operator who is far from the server. */
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { run } from "../../common/run.ts";
import { DATACENTRE, STATE } from "../../rehearsal/addresses.ts";
import { keepApart } from "../../rehearsal/distance.ts";
import { deploy, IMAGE, lastRelease, runningImage } from "./deployments.ts";
import { expectNoDrift } from "./drift-check.ts";
import { startFirst, stopRehearsal } from "./first-deployment.ts";
import { set } from "./rehearsal.ts";

const ROUND_TRIP_MS = 40;
const MBIT = 20;

beforeAll(async () => {
  await stopRehearsal();
  await startFirst("a server nearby");
  await keepApart({ roundTripMs: ROUND_TRIP_MS, mbitPerSecond: MBIT });
});
afterAll(stopRehearsal);

async function millisecondsOf(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

describe(`over ${ROUND_TRIP_MS} ms and ${MBIT} Mbit/s`, () => {
  it("packets take that long, and no more of them pass", async () => {
    const greeting = await millisecondsOf(async () => {
      const socket = connect(443, DATACENTRE.server);
      await once(socket, "connect");
      socket.destroy();
    });
    expect(greeting).toBeGreaterThan(ROUND_TRIP_MS - 1);

    const bytes = 8 * 1024 * 1024;
    const options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes"];
    const ssh = ["ssh", "-i", join(STATE, "id_ed25519"), ...options.flatMap((option) => ["-o", option])];
    const download = await millisecondsOf(() =>
      run([...ssh, `debian@${DATACENTRE.server}`, `head --bytes ${bytes} /dev/zero`]),
    );
    // The first of them pass at once.
    expect(download).toBeGreaterThan((0.95 * (bytes * 8)) / (MBIT * 1000));
  });

  it("a deployment goes through every gate", async () => {
    await set(IMAGE, "technicia/vector-store:1.0.1");
    const seconds =
      (await millisecondsOf(async () => {
        const { code, stdout, stderr } = await deploy();
        expect(code, `${stdout}\n${stderr}`).toBe(0);
      })) / 1000;
    console.log(`npm run deploy took ${seconds.toFixed(1)} s`);

    expect(await runningImage()).toContain("vector-store:1.0.1");
    const { outcome, verify } = await lastRelease();
    expect(outcome).toBe("succeeded");
    expect(verify.filter((check) => check.outcome === "failed")).toEqual([]);
  });

  it("a check finds no drift", expectNoDrift);
});
