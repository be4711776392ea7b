/**
 * `npm run upgrade`: one database goes to its next version while nobody writes to it, and what is counted must be the same. Otherwise it is
 * taken back, and the settings with it.
 */
import { versionOf, readImageReference } from "../../common/image-reference.ts";
import { isServiceOn, swarmName, upgradedServices, type UpgradedService } from "../../common/services.ts";
import { UserError } from "../../common/user-error.ts";
import { placeOf } from "../backup/read-back.ts";
import { readBackupStatus } from "../backup/status.ts";
import { onServer } from "../on-server.ts";
import type { Outcome } from "../command.ts";
import { readEnvironment } from "../engine/settings.ts";
import { settingsFile, withImages } from "../engine/settings-file.ts";
import { readDeployedImages } from "../engine/state.ts";
import { isVersion, judgeUpgrade, KNOWN, plain, upgradeCommand, upgradeData } from "./data-upgrade.ts";
import { deploy } from "./deploy.ts";
import { registryLogin } from "./image-commands.ts";
import { EXIT } from "./release-progress.ts";
import { Session, type Operator } from "./session.ts";

export interface UpgradeRequest {
  readonly stack: string;
  readonly service: string;
  readonly version: string;
  readonly yes: boolean;
}

export async function upgrade(request: UpgradeRequest, operator: Operator): Promise<Outcome> {
  const { stack, yes } = request;
  const step = await readStep(request, operator);
  const { service, from, to, image } = step;
  await finishInterrupted(stack, { step, operator });
  const path = settingsFile(stack);
  const text = await operator.readSettingsFile(stack);
  operator.say(`${KNOWN[service].name} of ${stack} goes from ${from} to ${to}: ${image}`);
  await operator.writeSettingsFile(stack, withImages({ path, text }, { [service]: image }));
  const reason = `${KNOWN[service].name} ${from} → ${to}`;
  const whole = { stack, only: undefined, plan: undefined, emergency: false, reason, yes };
  const settle = async (hasStayed: boolean) => {
    if (!hasStayed) await operator.writeSettingsFile(stack, text);
    return hasStayed ? `${path} names ${to} now; have that reviewed` : `${path} is as it was`;
  };
  try {
    const outcome = await deploy({ ...whole, upgrades: service }, operator);
    const hasStayed = outcome.exitCode === EXIT.ok || (await runs(step, { stack, operator }));
    return { ...outcome, text: `${outcome.text}\n${await settle(hasStayed)}` };
  } catch (error) {
    operator.say(await settle(await runs(step, { stack, operator })));
    throw error;
  }
}

/** What a restart of the server has interrupted is finished, or taken back, before anything else. */
async function finishInterrupted(
  stack: string,
  { step: { service, to, image }, operator }: { readonly step: Step; readonly operator: Operator },
): Promise<void> {
  const command = upgradeCommand({ stack, service, version: to });
  await Session.during({ stack, why: "upgrade", operator }, async (session) => {
    const status = session.server && (await readBackupStatus(session.server));
    if (!status?.restoring || status.finishedBy !== command) return;
    await upgradeData(session, { service, image, set: status.restoring });
  });
}

const RUNNING = `docker service inspect --format '{{.Spec.TaskTemplate.ContainerSpec.Image}}' "$SERVICE"`;

/** Whether the settings must name the next version: it runs, or that cannot be known; an older one must never start on its data. */
async function runs(
  { service, to }: Step,
  { stack, operator }: { readonly stack: string; readonly operator: Operator },
): Promise<boolean> {
  const isNext = (image: string) => plain(versionOf(image)) === to;
  if (isNext((await readDeployedImages(stack, operator.pulumi))[service] ?? "")) return true;
  try {
    return await onServer(stack, operator, async (server) => {
      const { stdout } = await server.run({
        purpose: `read which version of ${service} runs`,
        script: RUNNING,
        variables: { SERVICE: swarmName(service) },
      });
      return isNext(stdout.trim());
    });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    operator.say(`which version of ${service} runs is not known: ${error.message}`);
    return true;
  }
}

interface Step {
  readonly service: UpgradedService;
  readonly from: string;
  readonly to: string;
  /** As the settings name it then. */
  readonly image: string;
}

/** @throws UserError for what is no step to the next version of a database that is known */
async function readStep(
  { stack, service: given, version }: UpgradeRequest,
  operator: Operator,
): Promise<Step> {
  const service = upgradedServices.find((name) => name === given);
  if (service === undefined) throw unknownService(stack, given);
  const environment = await readEnvironment(stack, operator.pulumi);
  placeOf(environment);
  if (!isServiceOn(service, environment))
    throw new UserError(
      `service: expected one that runs, got ${service}; n8n of ${stack} has its data in SQLite (technicia:services.n8n.database)`,
    );
  const to = plain(version);
  const { name: called, numbers, example } = KNOWN[service];
  if (!isVersion(to, numbers))
    throw new UserError(
      `version: expected a whole version of ${called} such as ${example}, got ${JSON.stringify(version)}`,
    );
  const running = (await readDeployedImages(stack, operator.pulumi))[service];
  if (running === undefined)
    throw new UserError(
      `${stack}: expected ${called} to run, got none; deploy the stack with npm run deploy -- ${stack}`,
    );
  const from = plain(versionOf(running));
  if (!isVersion(from, numbers))
    throw new UserError(
      `${stack}: expected an image of ${called} whose tag names its version, got ${running}; deploy one first`,
    );
  const problem = judgeUpgrade(service, { stack, from, to });
  if (problem !== undefined) throw new UserError(`version: ${problem}`);
  const present = environment.images[service];
  if (![from, to].includes(plain(versionOf(present))))
    throw new UserError(
      `technicia:images.${service}: expected ${from}, which runs, got ${versionOf(present)}; deploy that, or put it back, first`,
    );
  const name = imageOf(present, to);
  if (name === undefined)
    throw new UserError(
      `technicia:images.${service}: expected an image with the version in its tag, got ${present}; name it by its tag`,
    );
  const digest = await operator.imageDigest(name, await registryLogin(stack, environment, operator.pulumi));
  // As it was written: by its tag, or by its digest, too.
  const image = readImageReference(present)?.digest === undefined ? name : `${name}@${digest}`;
  return { service, from, to, image };
}

function unknownService(stack: string, given: string): UserError {
  const known = Object.entries(KNOWN).map(([name, { step }]) => `${name} (one ${step} version at a time)`);
  return new UserError(
    `service: expected ${known.join(" or ")}, got ${JSON.stringify(given)}; every other image is changed in Pulumi.${stack}.yaml ` +
      `and deployed with npm run deploy -- ${stack}, which makes a set of backups before another version of n8n`,
  );
}

/** The image with another version in its tag; what follows the version stays (`-unprivileged`), the digest goes. */
function imageOf(present: string, version: string): string | undefined {
  const { repository, tag = "" } = readImageReference(present) ?? {};
  const [, v, rest] = /^(v?)\d+(?:\.\d+)*(.*)$/.exec(tag) ?? [];
  return repository === undefined || v === undefined
    ? undefined
    : `${repository}:${v}${version}${rest ?? ""}`;
}
