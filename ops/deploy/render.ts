/** What a deployment tells the person who started it. */
import type { Check } from "../../common/check.ts";
import type { Release } from "../../common/release.ts";

/** Counts, then every check that is not ok. */
export function renderChecks(part: string, checks: readonly Check[]): string[] {
  const of = (outcome: Check["outcome"]) => checks.filter((check) => check.outcome === outcome);
  const counts = `${of("ok").length} ok, ${of("failed").length} failed, ${of("not-checked").length} not checked`;
  return [
    `${part}: ${counts}`,
    ...of("failed").map(({ title, detail }) => `  failed       ${title}: ${detail}`),
    ...of("not-checked").map(({ title, detail }) => `  not checked  ${title}: ${detail}`),
  ];
}

export function renderSeconds(seconds: Readonly<Record<string, number>>): string {
  return Object.entries(seconds)
    .map(([part, value]) => `${part} ${value.toFixed(1)} s`)
    .join(", ");
}

/** Each image that another release has differently, `vectorStore 1.0.0 → 1.0.1`. */
export function renderImageChanges(
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
): string {
  const changed = Object.entries(after).filter(([name, image]) => before[name] !== image);
  if (changed.length === 0) return "mêmes images";
  return changed
    .map(([name, image]) => {
      const [from, to] = [shortly(before[name]), shortly(image)];
      return `${name} ${from === "" ? to : `${from} → ${to}`}`;
    })
    .join(", ");
}

export function renderRelease({ number, images, revision }: Release): string {
  const parts = Object.entries(images).map(([name, image]) => `${name} ${shortly(image)}`);
  return `release ${number} (${revision.slice(0, 12)}): ${parts.join(", ") || "images unknown"}`;
}

/** `1.0.1@sha256:0123456789ab` of a whole reference. */
function shortly(image = ""): string {
  const [name = "", digest] = image.split("@");
  const tag = /:(?<tag>[^:/]+)$/.exec(name)?.groups?.["tag"] ?? name;
  return digest === undefined ? tag : `${tag}@${digest.slice(0, 19)}`;
}
