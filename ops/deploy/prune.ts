/** Removes from the server the images of earlier releases that nothing has run for a while: n8n and Qdrant write to the same disk. */
import { isGood, type Release } from "../../common/release.ts";
import { UserError } from "../../common/user-error.ts";
import { readImageReference } from "../../common/image-reference.ts";
import type { Server } from "../server/connection.ts";
import { readReleases } from "../server/records.ts";
import type { Operator } from "./session.ts";

const UNUSED_DAYS = 14;
const DAY_MS = 86_400_000;

/** Good releases that one can still roll back to without a download, besides the one that runs. */
const KEPT_RELEASES = 1;

// Without --force Docker keeps what a container uses, also one that has stopped. One that cannot be removed must not keep the others.
const REMOVE = `
before=$(df --output=avail --block-size=1M /var/lib/docker | tail -1)
while read -r image; do
  if docker image rm "$image" >/dev/null 2>&1; then echo "removed $image"; fi
done
after=$(df --output=avail --block-size=1M /var/lib/docker | tail -1)
echo "freed $((after - before))"`;

/** `repository@digest` of images that only releases of long ago have run. An image of no release is not ours to remove. */
export function unusedImages(releases: readonly Release[], now: Date): string[] {
  const kept = new Set(
    releases
      .filter(isGood)
      .slice(-1 - KEPT_RELEASES)
      .flatMap(imagesOf),
  );
  const lastUsed = new Map<string, number>();
  for (const [index, release] of releases.entries()) {
    // What a release runs, it runs until the next one begins.
    const until = releases[index + 1]?.startedAt;
    for (const image of imagesOf(release))
      lastUsed.set(image, until === undefined ? Infinity : Date.parse(until));
  }
  const limit = now.getTime() - UNUSED_DAYS * DAY_MS;
  return [...lastUsed].flatMap(([image, at]) => (at < limit && !kept.has(image) ? [image] : []));
}

/** After a release that was verified. What goes wrong here is said, and changes nothing about the release. */
export async function pruneImages(
  server: Server,
  { now, say }: Pick<Operator, "now" | "say">,
): Promise<void> {
  try {
    const images = unusedImages((await readReleases(server)).releases, now());
    if (images.length === 0) return;
    const { stdout } = await server.run({
      purpose: "remove images that no release has run for a while",
      script: REMOVE,
      stdin: images.map((image) => `${image}\n`).join(""),
      timeoutSeconds: 120,
    });
    const removed = stdout.match(/^removed /gm)?.length ?? 0;
    const freed = Number(/^freed (\d+)$/m.exec(stdout)?.[1] ?? 0);
    if (removed > 0)
      say(
        `removed ${removed} images that no release has run for ${UNUSED_DAYS} days, which freed ${freed} MiB`,
      );
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    say(`unused images were not removed: ${error.message}`);
  }
}

/** Docker has an image under its repository and digest; the tag is not part of that name. */
function imagesOf({ images }: Release): string[] {
  return Object.values(images).flatMap((image) => {
    const { repository, digest } = readImageReference(image) ?? {};
    return repository === undefined || digest === undefined ? [] : [`${repository}@${digest}`];
  });
}
