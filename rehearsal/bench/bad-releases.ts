/** Releases of the vector-store that pass their verification and fall ill while they are observed. */
import { join } from "node:path";

import { docker } from "../docker.ts";
import { prepareImage, prepareImages } from "../images/build.ts";
import { publishImages } from "../images/publish.ts";
import { SERVER } from "../world.ts";

/** What becomes of the release, and its tag. */
export const ILLNESSES = {
  errors: "1.1.0-errors",
  "errors-later": "1.1.1-errors-later",
  slow: "1.1.2-slow",
  leak: "1.1.3-leak",
  crash: "1.1.4-crash",
} as const;

export type Illness = keyof typeof ILLNESSES;

export const imageOf = (illness: Illness): string => `technicia/vector-store:${ILLNESSES[illness]}`;

const LOCAL = "technicia-rehearsal/bad-vector-store";

/** What `deploy` says when the verification is over and the observation begins. */
export const OBSERVING = /^observing the release for \d+ s$/;

/** Builds them, and offers them in the rehearsal's registry. */
export async function offerBadReleases(): Promise<void> {
  const quiet = { progress: () => undefined };
  const base = await prepareImage("vector-store", quiet);
  const images = await prepareImages(quiet);
  const published: Record<string, string> = {};
  for (const illness of Object.keys(ILLNESSES) as Illness[]) {
    const tag = `${LOCAL}:${illness}`;
    const values = ["--build-arg", `BASE=${base}`, "--build-arg", `ILLNESS=${illness}`];
    await docker([
      "build",
      "--quiet",
      "--tag",
      tag,
      ...values,
      join(import.meta.dirname, "bad-vector-store"),
    ]);
    // By content, so that a changed one is published again.
    const id = (await docker(["image", "inspect", "--format", "{{.Id}}", tag])).trim();
    published[imageOf(illness)] = id;
  }
  await publishImages({ ...images, published }, quiet);
}

/** Once a second, until stopped: every process of the release is told to be ill, also one that was started anew. */
export async function makeIll(): Promise<{ readonly stop: () => Promise<void> }> {
  const unit = "technicia-ill";
  const running = "docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-vector-store";
  const loop = `while :; do for one in $(${running}); do case $(docker inspect --format '{{.Config.Env}}' $one) in *ILLNESS=*) docker kill --signal USR1 $one;; esac; done; sleep 1; done`;
  const onServer = (script: string) => docker(["exec", SERVER, "bash", "-euc", script]);
  await onServer(
    `systemd-run --quiet --unit ${unit} bash -c "$0"`.replace('"$0"', `'${loop.replaceAll("'", `'\\''`)}'`),
  );
  return { stop: () => onServer(`systemctl stop ${unit}`).then(() => undefined) };
}
