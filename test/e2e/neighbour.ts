/** A neighbour of the rehearsed environment: it answers where the webhooks' double does, and says that it lives as long as it is told to. */
import { randomBytes } from "node:crypto";

import { readCalls, type Call } from "../../rehearsal/bench/told.ts";
import { WEBHOOK_HOSTS } from "../../rehearsal/webhooks.ts";
import { ask, management, operator, pulumi, set, up, until } from "./rehearsal.ts";

/** What it is called; of its address people know the second of the double's names. */
export const NEIGHBOUR = "staging";
const ADDRESS = `https://${WEBHOOK_HOSTS[1] ?? ""}`;

/** Environments say once a minute that they live. */
export const SIGN_SECONDS = 60;
const OFTEN_MS = 20_000;

let token = "";
let saying: NodeJS.Timeout | undefined;

/** Deploys the environment with this neighbour, which says from now on that it lives. */
export async function addNeighbour(): Promise<void> {
  token = randomBytes(20).toString("hex");
  const key = ["--secret", "technicia:neighbourToken", token];
  const { code, stderr } = await operator(["pulumi", "config", "set", ...key, "--stack", "test"]);
  if (code !== 0) throw new Error(stderr);
  await set("technicia:monitoring.neighbours[0].stack", NEIGHBOUR);
  await set("technicia:monitoring.neighbours[0].url", ADDRESS);
  await up();
  await until("the gateway to take a sign of life", async () => (await say()) === 204);
  speak();
  await until("the neighbour to hear that this environment lives", async () => (await heard()) < 75, 240);
}

export async function removeNeighbour(): Promise<void> {
  fallSilent();
  await management("faults", "DELETE");
  await pulumi("config", "rm", "--path", "technicia:monitoring.neighbours");
  await pulumi("config", "rm", "technicia:neighbourToken");
  await up();
}

/** Status of the answer to one sign of life. */
async function say(): Promise<number> {
  const headers = { authorization: `Bearer ${token}` };
  const { status } = await ask(`/deadman/${NEIGHBOUR}`, { method: "POST", headers });
  return status;
}

export function speak(): void {
  fallSilent();
  // One that is lost is followed by the next.
  saying = setInterval(() => void say().catch(() => undefined), OFTEN_MS);
}

export function fallSilent(): void {
  clearInterval(saying);
}

/** Has the neighbour's address answer 500: what probes ask, or also what takes signs of life. */
export const breakNeighbour = (path: "^/healthz" | "^/(healthz|deadman)") =>
  management("faults", "POST", { api: "webhooks", path, status: 500, times: 0 });

export const repairNeighbour = () => management("faults", "DELETE");

const isSign = ({ method, path, status }: Call) =>
  method === "POST" && path === "/deadman/test" && status === 200;

/** Seconds since the neighbour last heard that this environment lives. */
export async function heard(): Promise<number> {
  const signs = (await readCalls()).filter(isSign).map(({ time }) => Date.parse(time));
  return (Date.now() - Math.max(0, ...signs)) / 1000;
}
