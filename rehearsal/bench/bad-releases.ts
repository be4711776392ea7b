/** Releases of the vector-store that pass their verification and fall ill while they are observed. */
import { join } from "node:path";

import { STATE } from "../addresses.ts";
import { ensureAuthority } from "../authority.ts";
import { docker } from "../docker.ts";
import { prepareImage, prepareImages } from "../images/build.ts";
import { publishImages } from "../images/publish.ts";
import { trustingImage } from "../images/trusting.ts";
import { SERVER } from "../world.ts";
import { tasksOf } from "./server.ts";

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
  const authority = await ensureAuthority(join(STATE, "authority"));
  const base = await trustingImage(await prepareImage("vector-store", quiet), authority);
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

/** Tells every process of such a release, also one that was started anew, to be ill. */
const TELL = `while :; do
  for one in $(docker ps --quiet --filter ${tasksOf("vector-store")}); do
    case $(docker inspect --format '{{.Config.Env}}' $one) in *ILLNESS=*) docker exec $one touch /tmp/ill || true ;; esac
  done
  sleep 1
done`;

/** Makes the release ill until stopped. */
export async function makeIll(): Promise<{ readonly stop: () => Promise<void> }> {
  const unit = "technicia-ill";
  await docker(["exec", SERVER, "systemd-run", "--quiet", "--unit", unit, "bash", "-c", TELL]);
  return {
    async stop() {
      await docker(["exec", SERVER, "systemctl", "stop", unit]);
    },
  };
}
