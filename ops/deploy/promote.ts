/**
 * `npm run promote`: writes the images and the commit of the workflows that one stack has verified into the settings of another, as a change to review.
 *
 * The records on the server say which release was verified. They are files that whoever owns that server can write, so the images themselves
 * come from the Pulumi state, are of the repositories that the target uses already, and exist in their registry. So do the workflows.
 */
import { currentRelease, isGood, type Release } from "../../common/release.ts";
import { UserError } from "../../common/user-error.ts";
import { readImageReference } from "../../common/image-reference.ts";
import { imagesInUse } from "../../stacks/images.ts";
import type { Outcome } from "../command.ts";
import { readEnvironment } from "../engine/settings.ts";
import { readDeployedImages } from "../engine/state.ts";
import { appendHistory, readReleases, type Releases, renderCorrupt } from "../server/records.ts";
import { withCommit, withImages } from "../engine/settings-file.ts";
import { editSettings, registryLogin } from "./image-commands.ts";
import { EXIT } from "./release-progress.ts";
import { renderImageChanges, renderRelease } from "./render.ts";
import { onServer } from "../on-server.ts";
import { judgeWorkflows, renderCommit } from "./promote-workflows.ts";
import type { Operator } from "./session.ts";

interface PromoteRequest {
  readonly from: string;
  readonly to: string;
}

export async function promote({ from, to }: PromoteRequest, operator: Operator): Promise<Outcome> {
  return await onServer(from, operator, async (server) => {
    const target = await readEnvironment(to, operator.pulumi);
    const release = verified(from, await readReleases(server));
    const deployed = await readDeployedImages(from, operator.pulumi);
    const wanted = imagesInUse(target);
    const login = await registryLogin(to, target, operator.pulumi);
    const digestOf = (name: string) => operator.imageDigest(name, login);
    const judged = await Promise.all(
      wanted.map(({ service, name }) =>
        judgeImage({
          ...{ from, to, service, present: name, image: deployed[service] },
          ...{ recorded: release.images[service], digestOf },
        }),
      ),
    );
    const workflows = await judgeWorkflows({ from, to, target, release }, operator);
    const problems = [...judged, workflows].flatMap(({ problem }) =>
      problem === undefined ? [] : [problem],
    );
    if (problems.length > 0) throw new UserError(problems.join("\n"));

    const images = Object.fromEntries(wanted.map(({ service }) => [service, deployed[service]!]));
    const before = Object.fromEntries(wanted.map(({ service, name }) => [service, name]));
    const { path, isNew } = await editSettings(
      to,
      (file) => {
        const text = withImages(file, images);
        return workflows.commit === undefined ? text : withCommit({ ...file, text }, workflows.commit);
      },
      operator,
    );
    if (!isNew)
      return { text: `${path} already has ${renderRelease(release)} of ${from}`, exitCode: EXIT.ok };
    const changes = [renderImageChanges(before, images), ...renderCommit(target, workflows)].join(", ");
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
      ...judged.flatMap(({ note }) => (note === undefined ? [] : [`  ${note}`])),
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

interface Candidate extends PromoteRequest {
  readonly service: string;
  /** The image that the target's settings name now. */
  readonly present: string;
  /** The image that the state says runs. */
  readonly image: string | undefined;
  /** The image that the record on the server says was verified: not to be printed, because anybody there can write it. */
  readonly recorded: string | undefined;
  readonly digestOf: (name: string) => Promise<string>;
}

interface Judged {
  readonly problem?: string;
  /** What a reviewer should know. */
  readonly note?: string;
}

async function judgeImage(candidate: Candidate): Promise<Judged> {
  const { from, to, service, present, image, recorded, digestOf } = candidate;
  const setting = `images.${service}`;
  const reference = image === undefined ? undefined : readImageReference(image);
  if (image === undefined || recorded === undefined || reference?.digest === undefined) {
    const problem =
      `${setting}: expected an image that ${from} has verified, because ${to} runs it, got none; ` +
      `turn it on in ${from} and deploy that, or off in ${to}`;
    return { problem };
  }
  if (recorded !== image) {
    const problem =
      `${setting}: expected the Pulumi state and the release's record on the server to name the same image, got ${image} in the state; ` +
      `deploy ${from} again, and find out who changed the record`;
    return { problem };
  }
  const repository = readImageReference(present)?.repository;
  if (repository !== reference.repository) {
    const problem =
      `${setting}: expected the repository that ${to} uses, ${String(repository)}, got ${reference.repository}; ` +
      `if ${to} is to change its source, change it in Pulumi.${to}.yaml by a review of its own`;
    return { problem };
  }
  return await askRegistry({ setting, ...reference, digest: reference.digest }, digestOf);
}

async function askRegistry(
  { setting, repository, tag, digest }: { setting: string; repository: string; tag?: string; digest: string },
  digestOf: Candidate["digestOf"],
): Promise<Judged> {
  try {
    const named = tag === undefined ? undefined : await digestOf(`${repository}:${tag}`);
    if (named === digest) return {};
    // Fails where the registry has no such image in this repository.
    await digestOf(`${repository}@${digest}`);
    if (named === undefined) return {};
    return {
      note: `${setting}: ${repository}:${tag ?? ""} is another image by now; promoted is the one that was verified`,
    };
  } catch (error) {
    return {
      problem: `${setting}: expected ${repository} to have ${digest} in its registry: ${(error as Error).message}; check that the registry answers, and what ran`,
    };
  }
}
