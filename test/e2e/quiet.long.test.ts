/** An hour of ordinary operation, with everything that belongs to it, raises no alert. */
import { afterAll, beforeAll, expect, it } from "vitest";

import { readTold } from "../../rehearsal/bench/told.ts";
import { deploy, IMAGE, npm } from "./deployments.ts";
import { expectNoDrift } from "./drift-check.ts";
import { activeAlerts, ensureMonitored, firedSince, isOfMachine } from "./monitored.ts";
import { askHealth, onServer, set, startAgain, traffic, until } from "./rehearsal.ts";

const HOUR_MS = 3_600_000;

beforeAll(async () => {
  await ensureMonitored();
  await until("nothing to be wrong", async () => (await activeAlerts()).length === 0, 1200);
}, HOUR_MS / 2);
// Rewrites the settings.
afterAll(startAgain);

const served = () =>
  onServer(
    "openssl s_client -connect 127.0.0.1:443 -servername test.technicia.example </dev/null 2>/dev/null | openssl x509 -noout -serial",
  );

it(
  "tells nobody anything in an hour with a rollout, a renewal, a backup and a check",
  async () => {
    const since = Date.now();
    const asking = traffic(askHealth);

    await set(IMAGE, "technicia/vector-store:1.0.1");
    const rollout = await deploy();
    expect(rollout.code, `${rollout.stdout}\n${rollout.stderr}`).toBe(0);
    const certificate = await served();
    await onServer("/opt/technicia/bin/certificate renew --force");
    expect(await served()).not.toBe(certificate);
    for (const command of ["backup", "drill"]) {
      const { code, stdout, stderr } = await npm(command, "--", "test");
      expect(code, `${stdout}\n${stderr}`).toBe(0);
    }
    await expectNoDrift();
    const { asked, failures } = await asking.stop();
    expect(failures).toEqual([]);
    console.log(`${asked} requests were answered meanwhile`);

    await until("the hour to be over", () => Promise.resolve(Date.now() - since >= HOUR_MS), 3700);
    const told = await readTold(since);
    const ofMachine = told.filter(({ id }) => isOfMachine(id)).map(({ id }) => id);
    if (ofMachine.length > 0) console.log(`about this machine: ${[...new Set(ofMachine)].join(", ")}`);
    expect(told.filter(({ id }) => !isOfMachine(id))).toEqual([]);
    expect((await firedSince(since)).filter((id) => !isOfMachine(id))).toEqual([]);
  },
  HOUR_MS * 1.5,
);
