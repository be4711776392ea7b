/** `npm run promote`: writes the images that one stack has verified into the settings of another, as a change to review. */
import { imagesInUse } from "../checks/images.ts";
import type { Outcome } from "../command.ts";
import { readEnvironment } from "../engine/settings.ts";
import { UserError } from "../../common/user-error.ts";
import { readDeployed } from "../engine/outputs.ts";
import { appendHistory, readReleases, type Releases, renderCorrupt } from "../server/records.ts";
import type { Operator } from "./operator.ts";
import { currentRelease, isGood, type Release } from "../../common/release.ts";
import { renderImageChanges, renderRelease } from "./render.ts";
import { EXIT } from "./release-progress.ts";
import { settingsFile, withImages } from "./settings-file.ts";

export interface PromoteRequest {
  readonly from: string;
  readonly to: string;
}

export async function promote({ from, to }: PromoteRequest, operator: Operator): Promise<Outcome> {
  const { ssh } = await readDeployed(from, operator.pulumi);
  if (ssh === undefined)
    throw new UserError(`${from} is not deployed; deploy it with npm run deploy -- ${from}`);
  const target = await readEnvironment(to, operator.pulumi);
  const server = operator.openServer({ ssh });
  try {
    const release = verified(from, await readReleases(server));
    const wanted = imagesInUse(target);
    requireVerified(wanted, { release, from, to });
    const images = Object.fromEntries(wanted.map(({ service }) => [service, release.images[service] ?? ""]));
    const before = Object.fromEntries(wanted.map(({ service, name }) => [service, name]));

    const path = settingsFile(to);
    const text = await operator.readSettingsFile(to);
    const edited = withImages({ path, text }, images);
    if (edited === text)
      return { text: `${path} already has ${renderRelease(release)} of ${from}`, exitCode: EXIT.ok };
    await operator.writeSettingsFile(to, edited);
    const changes = renderImageChanges(before, images);
    await appendHistory(server, {
      at: operator.now().toISOString(),
      who: operator.identity.who,
      action: "promote",
      reason: "",
      detail: `version ${release.number} proposée pour ${to} : ${changes}`,
      release: release.number,
    });
    const unchecked = release.verify.filter(({ outcome }) => outcome === "not-checked");
    const lines = [
      `${renderRelease(release)} of ${from} is now in ${path}: ${changes}`,
      ...unchecked.map(({ title, detail }) => `  not checked in ${from}  ${title}: ${detail}`),
      `look at it with git diff ${path}, have it reviewed, then npm run deploy -- ${to}`,
    ];
    return { text: lines.join("\n"), exitCode: EXIT.ok };
  } finally {
    server.close();
  }
}

/** The release that runs on the stack; it must have passed its verification. */
function verified(stack: string, { releases, corrupt }: Releases): Release {
  const notes = renderCorrupt(corrupt).map((line) => `\n  ${line}`);
  const running = releases.find(({ outcome }) => outcome === "running");
  if (running)
    throw new UserError(
      `${stack}: expected no deployment under way, got release ${running.number} of ${running.who} since ${running.startedAt}; ` +
        "wait for its end, or deploy again if it was killed",
    );
  const release = currentRelease(releases);
  if (release && isGood(release)) return release;
  const failed = release?.verify.filter(({ outcome }) => outcome === "failed").length ?? 0;
  const got =
    release === undefined
      ? "no release"
      : release.verify.length === 0
        ? `release ${release.number}, which was not verified`
        : failed > 0
          ? `release ${release.number} with ${failed} failed checks`
          : `release ${release.number}, whose images are not known`;
  throw new UserError(
    `${stack}: expected what runs to have passed its verification, got ${got}; deploy it with npm run deploy -- ${stack}${notes.join("")}`,
  );
}

/** Every image that the target runs must be one of those that were verified. */
function requireVerified(
  wanted: readonly { readonly service: string }[],
  { release, from, to }: PromoteRequest & { readonly release: Release },
): void {
  const problems = wanted
    .filter(({ service }) => release.images[service]?.includes("@sha256:") !== true)
    .map(
      ({ service }) =>
        `images.${service}: expected an image that ${from} has verified, because ${to} runs it, got none; ` +
        `turn it on in ${from} and deploy that, or off in ${to}`,
    );
  if (problems.length > 0) throw new UserError(problems.join("\n"));
}
