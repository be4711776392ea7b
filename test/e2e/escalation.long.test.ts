/** A fault that nobody takes in charge is told to one level after the other, until somebody does; whatever is restarted meanwhile. */
import { afterAll, beforeAll, expect, it } from "vitest";

import { readSilences } from "../../ops/monitoring/alertmanager.ts";
import { readTold, type Receiver } from "../../rehearsal/bench/told.ts";
import { npm } from "./deployments.ts";
import { START, STOP } from "./faults-services.ts";
import { activeAlerts, ensureMonitored, query, stores } from "./monitored.ts";
import { onServer, set, startAgain, until, up } from "./rehearsal.ts";

const ID = "ServiceDown-vector-store";

/** Instead of 5, 15, 30 and 60: nobody waits for an hour. */
const MINUTES = [1, 3, 5, 6];

/** After a level's time: the next evaluation, the group's wait, and the way. */
const DELIVERY_SECONDS = 35;

beforeAll(async () => {
  await ensureMonitored();
  for (const [at, minutes] of MINUTES.entries())
    await set(`technicia:monitoring.escalation[${at}].afterMinutes`, String(minutes));
  await up();
  await until("nothing to be wrong", async () => (await activeAlerts()).length === 0, 900);
});
// Rewrites the settings.
afterAll(async () => {
  await onServer(`set -e; ${START("vector-store")}`);
  await startAgain();
});

let since = 0;

const toldTo = async (receiver: Receiver) =>
  (await readTold(since)).filter((one) => one.id === ID && one.receiver === receiver);

const firing = async (receiver: Receiver) =>
  (await toldTo(receiver)).filter(({ status }) => status === "firing");

/** Ends a program's process; Docker starts another one on what the first has kept. */
const kill = (alias: string) =>
  onServer(`set -e
running() { docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-${alias} "$@"; }
before=$(running); docker kill "$before" >/dev/null
until [ -n "$(running --filter health=healthy)" ] && [ "$(running)" != "$before" ]; do sleep 0.5; done`);

/** Whether Alertmanager has written its silences and messages to the disk since then. */
const isSaved = (since: number) => async () => {
  const folder = "/var/lib/docker/volumes/technicia-alerts-data/_data";
  const times = await onServer(`stat --format %Y ${folder}/silences ${folder}/nflog`);
  return times
    .trim()
    .split("\n")
    .every((at) => Number(at) * 1000 > since);
};

async function untilLevel(receiver: Receiver, minutes: number): Promise<void> {
  const [{ at: begun } = { at: since }] = await firing("team");
  const late = begun + (minutes * 60 + DELIVERY_SECONDS) * 1000;
  const isTold = async () => (await firing(receiver)).length > 0;
  await until(`${receiver} to be told`, isTold, (late - Date.now()) / 1000 + 60);
  const [{ at } = { at: Infinity }] = await firing(receiver);
  console.log(
    `${receiver} was told ${((at - begun) / 1000).toFixed(1)} s after the team, for ${minutes} minutes`,
  );
  expect(at).toBeGreaterThan(begun + (minutes * 60 - DELIVERY_SECONDS) * 1000);
  expect(at).toBeLessThanOrEqual(late);
}

it("tells the first level after its time", async () => {
  since = Date.now();
  await onServer(`set -e; ${STOP("vector-store")}`);
  await until("the team to be told", async () => (await firing("team")).length > 0, 120);

  await untilLevel("N1", MINUTES[0]!);
  expect(await firing("N2")).toEqual([]);
});

it("tells the second in time, although the rules' program was restarted", async () => {
  await kill("metric-rules");

  await untilLevel("N2", MINUTES[1]!);
  expect(await firing("N3")).toEqual([]);
});

it("tells no other once somebody has taken it in charge, although everything is restarted", async () => {
  const { code, stdout, stderr } = await npm("alerts", "--", "test", "ack", ID, "--comment", "je regarde");
  expect(code, `${stdout}\n${stderr}`).toBe(0);
  await until("the acknowledgement to be saved", isSaved(Date.now()), 30);
  for (const alias of ["alerts", "metrics", "metric-rules"]) await kill(alias);

  // They ask to be told: otherwise nobody would know what keeps them from it.
  await until(
    "the third and the fourth level to ask for it",
    async () => {
      const asked = await query('ALERTS{alertstate="firing",alertname="Escalation",level=~"N3|N4"}');
      return new Set(asked.map(({ labels }) => labels["level"])).size === 2;
    },
    480,
  );
  expect([await firing("N3"), await firing("N4")]).toEqual([[], []]);
  expect((await readSilences(stores)).map(({ comment }) => comment)).toEqual(["je regarde"]);
});

it("has told each person of it once, whatever was restarted", async () => {
  const receivers = ["team", "slack", "pager", "N1", "N2"] as const;
  const counts = await Promise.all(receivers.map(async (one) => [one, (await firing(one)).length] as const));

  expect(counts).toEqual(receivers.map((one) => [one, 1]));
});

it("ends for everybody, and leaves nothing silent that is new", async () => {
  await onServer(`set -e; ${START("vector-store")}`);
  await until("nothing to be wrong", async () => (await activeAlerts()).length === 0, 600);

  const { code, stdout, stderr } = await npm("alerts", "--", "test", "unsilence", ID);
  expect(code, `${stdout}\n${stderr}`).toBe(0);
  expect(await readSilences(stores)).toEqual([]);
});
