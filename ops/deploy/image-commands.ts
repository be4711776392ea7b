/** `npm run promote` and `npm run images`: write images into a settings file, as a change to review. */
import { findImage } from "../../common/registry.ts";
import { currentRelease, isGood, type Release } from "../../common/release.ts";
import { UserError } from "../../common/user-error.ts";
import { readImageReference } from "../../common/image-reference.ts";
import { imagesInUse, loginOf } from "../../stacks/images.ts";
import type { Outcome } from "../command.ts";
import { readEnvironment, readSettings } from "../engine/settings.ts";
import { appendHistory, readReleases, type Releases, renderCorrupt } from "../server/records.ts";
import { renderTable } from "../terminal.ts";
import { EXIT } from "./release-progress.ts";
import { renderImageChanges, renderRelease } from "./render.ts";
import { onServer, type Operator } from "./session.ts";
import { settingsFile, withImages } from "../engine/settings-file.ts";

interface PromoteRequest {
  readonly from: string;
  readonly to: string;
}

/** Writes the images that one stack has verified into the settings of another. */
export async function promote({ from, to }: PromoteRequest, operator: Operator): Promise<Outcome> {
  return await onServer(from, operator, async (server) => {
    const target = await readEnvironment(to, operator.pulumi);
    const release = verified(from, await readReleases(server));
    const wanted = imagesInUse(target);
    requireVerified(wanted, { release, from, to });
    const images = Object.fromEntries(wanted.map(({ service }) => [service, release.images[service] ?? ""]));
    const before = Object.fromEntries(wanted.map(({ service, name }) => [service, name]));

    const { path, isNew } = await writeImages(to, images, operator);
    if (!isNew)
      return { text: `${path} already has ${renderRelease(release)} of ${from}`, exitCode: EXIT.ok };
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
  });
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

/** Replaces the tags of a stack's images by their current digests. */
export async function pinImages(
  stack: string,
  operator: Pick<Operator, "pulumi" | "signal" | "readSettingsFile" | "writeSettingsFile">,
): Promise<Outcome> {
  const environment = await readEnvironment(stack, operator.pulumi);
  const hasAccount = environment.builds.registryUser !== "";
  const secrets = hasAccount ? (await readSettings(stack, operator.pulumi)).secrets : {};
  const login = loginOf(environment, secrets["registryPassword"]);
  const images = await Promise.all(
    imagesInUse(environment).map(async ({ service, name }) => ({
      service,
      name,
      ...(await pin(name, { fetch, signal: operator.signal, login })),
    })),
  );
  const problems = images.flatMap(({ service, problem }) =>
    problem === undefined ? [] : [`technicia:images.${service}: ${problem}`],
  );
  if (problems.length > 0) throw new UserError(problems.join("\n"));

  const pinned = Object.fromEntries(images.map(({ service, reference }) => [service, reference]));
  const { path, isNew } = await writeImages(stack, pinned, operator);
  if (!isNew) return { text: `${path} already names every image by its digest`, exitCode: EXIT.ok };
  const table = renderTable({
    headings: ["Image", "Tag", "Digest"],
    rows: images.map(({ service, name, reference }) => [
      service,
      name.replace(/@.*$/, ""),
      reference.slice(reference.indexOf("@") + 1).slice(0, 19),
    ]),
  });
  return { text: `${table}\n\nlook at it with git diff ${path}`, exitCode: EXIT.ok };
}

async function pin(
  name: string,
  request: Parameters<typeof findImage>[1],
): Promise<{ readonly reference: string; readonly problem?: string }> {
  if (readImageReference(name)?.digest !== undefined) return { reference: name };
  try {
    return { reference: `${name}@${(await findImage(name, request)).digest}` };
  } catch (error) {
    request.signal.throwIfAborted();
    const problem = `the registry gave no digest: ${(error as Error).message}; check its name and tag`;
    return { reference: name, problem };
  }
}

/** Writes images into the settings file of a stack; `isNew` is false when it had them already. */
export async function writeImages(
  stack: string,
  images: Readonly<Record<string, string>>,
  operator: Pick<Operator, "readSettingsFile" | "writeSettingsFile">,
): Promise<{ readonly path: string; readonly isNew: boolean }> {
  const path = settingsFile(stack);
  const text = await operator.readSettingsFile(stack);
  const edited = withImages({ path, text }, images);
  if (edited !== text) await operator.writeSettingsFile(stack, edited);
  return { path, isNew: edited !== text };
}
