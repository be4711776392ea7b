/** The containers of the rehearsal's world. */
import { createHash } from "node:crypto";

import { run } from "../common/run.ts";
import { until } from "../common/until.ts";
import { DATACENTRE, INTERNET, LABEL, SECOND_DATACENTRE } from "./addresses.ts";
import { docker } from "./docker.ts";

const READY_MS = 60_000;

/** Starts a container unless one with the same arguments runs. */
export async function ensureContainer(
  name: string,
  {
    args,
    image,
    command,
  }: { readonly args: readonly string[]; readonly image: string; readonly command: readonly string[] },
): Promise<void> {
  const made = createHash("sha256")
    .update(JSON.stringify([args, image, command]))
    .digest("hex");
  const format = '{{.State.Running}} {{index .Config.Labels "technicia.made"}}';
  const found = await docker(["container", "inspect", "--format", format, name]).catch(() => "");
  if (found.trim() === `true ${made}`) return;
  await docker(["rm", "--force", name]).catch(() => undefined);
  const labels = ["--label", LABEL, "--label", `technicia.made=${made}`];
  const named = ["--name", name, "--hostname", name, ...labels];
  await docker(["run", "--detach", ...named, ...args, image, ...command]);
}

/** Answers to the servers pass the router, too, as they would pass OVH's edge. */
export async function routeThroughRouter(container: string): Promise<void> {
  const pid = (await docker(["container", "inspect", "--format", "{{.State.Pid}}", container])).trim();
  const enter = ["--target", pid, "--net", "ip"];
  for (const { subnet } of [DATACENTRE, SECOND_DATACENTRE]) {
    await run(["nsenter", ...enter, "route", "replace", subnet, "via", INTERNET.router]);
  }
}

/** Whether an address answers 200. */
export async function answers(url: string): Promise<boolean> {
  return (await statusOf(url)) === 200;
}

/** Status that an address answers with; 0 without an answer. */
export async function statusOf(url: string): Promise<number> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(2000) })).status;
  } catch {
    return 0;
  }
}

/** Waits until something of the world answers, and says which part did not. */
export function untilReady({
  what,
  isReady,
  limit = READY_MS,
}: {
  readonly what: string;
  readonly isReady: () => Promise<boolean>;
  readonly limit?: number;
}): Promise<true> {
  const late = () => new Error(`${what}: no answer within ${limit / 1000} s; look at docker logs`);
  return until(isReady, { limit, late });
}
