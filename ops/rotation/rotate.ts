/**
 * `npm run secrets -- <stack> rotate <name>`: another value of a secret, by deployments of which each leaves everything working.
 *
 * The configuration says how far it is, encrypted and with both values, so the same command goes on with one that was interrupted, and `--undo`
 * goes back. A step whose deployment is refused or fails is taken back at once.
 */
import { UserError } from "../../common/user-error.ts";
import { entryOf, isSecretName, NAMESPACE, type SecretName } from "../../secrets/catalog.ts";
import { rotatedNames, type Rotation, type RotationStep } from "../../secrets/rotation.ts";
import { describeRotated, rotatedWith, rotationOf, type RotationRule } from "../../secrets/rotations.ts";
import { weaknessOf } from "../../secrets/weakness.ts";
import type { Outcome } from "../command.ts";
import { EXIT } from "../deploy/release-progress.ts";
import { StateLocked } from "../engine/state-lock.ts";
import { onServer } from "../on-server.ts";
import { LockRefusal } from "../server/lock.ts";
import { appendHistory } from "../server/records.ts";
import { SECRETS_FOR_N8N } from "../../stacks/workflows/credential.ts";
import { requireOldRefused } from "./old-value.ts";
import { readStored, withoutRotation, writeRotation, writeSecret, type Stored } from "./stored.ts";
import type { RotationWorld } from "./world.ts";

export interface RotateRequest {
  readonly stack: string;
  readonly name: SecretName;
  readonly undo: boolean;
  readonly yes: boolean;
  readonly emergency: boolean;
  readonly reason: string;
}

interface Rotating extends RotateRequest {
  readonly rule: RotationRule;
  readonly stored: Stored;
  readonly rotation: Rotation;
  readonly world: RotationWorld;
}

export async function rotate(request: RotateRequest, world: RotationWorld): Promise<Outcome> {
  const { stack, name, undo } = request;
  const rule = rotationOf(name);
  if (rule.steps.length === 0)
    throw new UserError(`${NAMESPACE}:${name} is not rotated: ${rule.refusal ?? rule.both}`);
  const stored = await readStored(stack, world.operator.pulumi);
  requireSame(request, stored);
  const known = stored.rotation;
  if (undo && known === undefined)
    throw new UserError(`${stack}: no rotation of ${name} is under way, so there is nothing to undo`);
  const rotation = known ?? (await begin(request, { rule, stored, world }));
  const rotating = { ...request, rule, stored, rotation, world };
  return undo ? await takeBack(rotating) : await goOn(rotating);
}

/** Two at once would have to know of each other. */
function requireSame({ stack, name }: RotateRequest, { rotation }: Stored): void {
  const under = rotation && rotatedNames(rotation);
  if (under === undefined || under.includes(name)) return;
  const other = under[0] ?? "<name>";
  throw new UserError(
    `${stack}: a rotation of ${under.join(", ")} is under way; finish it with npm run secrets -- ${stack} rotate ${other}, or go back with --undo`,
  );
}

async function begin(
  { stack, name }: RotateRequest,
  { rule, stored, world }: Pick<Rotating, "rule" | "stored" | "world">,
): Promise<Rotation> {
  const { pulumi, openServer, say } = world.operator;
  const names = rotatedWith(name);
  const unset = names.filter((one) => stored.values[one] === undefined);
  if (unset.length > 0)
    throw new UserError(
      unset
        .map(
          (one) =>
            `${NAMESPACE}:${one}: expected a value to replace, got none; npm run secrets -- ${stack} says whether it is needed, and how it is set`,
        )
        .join("\n"),
    );
  // Fails where nothing is deployed.
  await onServer(stack, { pulumi, openServer }, () => Promise.resolve());
  const { generate } = entryOf(name);
  say(`${names.join(", ")}: both values valid? ${rule.both}`);
  const given = generate === undefined ? await world.readGiven(names) : [generate()];
  const values = Object.fromEntries(names.map((one, index) => [one, given[index] ?? ""] as const));
  const problems = names.flatMap((one) => problemsOf(one, values[one] ?? "", stored));
  if (problems.length > 0) throw new UserError(problems.join("\n"));
  return { step: rule.steps[0]!, isDone: false, values };
}

function problemsOf(name: SecretName, next: string, { values }: Stored): string[] {
  const weakness = weaknessOf(name, next);
  if (weakness !== undefined) return [`${NAMESPACE}:${name}: ${weakness}; give another one`];
  const twin = Object.entries(values).find(([other, value]) => isSecretName(other) && value === next)?.[0];
  if (twin === undefined) return [];
  const whose = twin === name ? "the value that it has already" : `that of ${twin}`;
  return [`${NAMESPACE}:${name}: expected another value, got ${whose}; make a new one`];
}

async function goOn(rotating: Rotating): Promise<Outcome> {
  const { rule, rotation, stack, name, world } = rotating;
  const at = rule.steps.indexOf(rotation.step);
  const left = rule.steps.slice(rotation.isDone ? at + 1 : at);
  for (const step of left) {
    const stopped = await takeStep(rotating, step);
    if (stopped !== undefined) return stopped;
    if (rule.stepByStep === true && step !== rule.steps.at(-1))
      return { text: describeNext(rotating, step), exitCode: EXIT.ok };
    if (step !== rule.steps.at(-1)) world.operator.say(`${stack}: ${name}: ${step} is done`);
  }
  return await finish(rotating);
}

function describeNext({ stack, name, rule }: Rotating, step: RotationStep): string {
  const next = rule.steps[rule.steps.indexOf(step) + 1] ?? "";
  const doing = { accept: "is accepted beside the old one", switch: "is used", remove: "" }[step];
  return (
    `${stack}: the next ${name} ${doing}; run the same command with the same value in every other environment that has it, ` +
    `and after the last of them npm run secrets -- ${stack} rotate ${name} once more, for the step ${next}`
  );
}

/** Undefined when it worked. */
async function takeStep(rotating: Rotating, step: RotationStep): Promise<Outcome | undefined> {
  const { stack, name, rule, rotation, world } = rotating;
  const target = { stack, pulumi: world.operator.pulumi };
  const { values } = rotation;
  const textBefore = await writePrevious(rotating, step);
  await writeRotation({ step, isDone: false, values }, target);
  world.operator.say(
    `${stack}: ${name}: step ${rule.steps.indexOf(step) + 1} of ${rule.steps.length}, ${step}`,
  );
  const outcome = await perform(rotating, { step, textBefore }).catch(async (error: unknown) => {
    // Somebody else deploys: nothing has begun.
    if (error instanceof LockRefusal || error instanceof StateLocked) await writePrevious(rotating, step);
    throw error;
  });
  if (isGood(outcome)) {
    await writeRotation({ step, isDone: true, values }, target);
    return undefined;
  }
  if (world.operator.signal.aborted)
    return { ...outcome, text: `${outcome.text}\n${describeInterrupted(rotating)}` };
  await writePrevious(rotating, step);
  return await afterFailure(rotating, { step, outcome });
}

/** Puts the configuration to before the step, and gives the text of the settings file of then: what a rollback by the deployment restores. */
async function writePrevious(
  { stack, rule, rotation, world }: Rotating,
  step: RotationStep,
): Promise<string> {
  const { operator } = world;
  const target = { stack, pulumi: operator.pulumi };
  const previous = rule.steps[rule.steps.indexOf(step) - 1];
  if (previous !== undefined) {
    await writeRotation({ step: previous, isDone: true, values: rotation.values }, target);
    return await operator.readSettingsFile(stack);
  }
  const { rotation: written } = await readStored(stack, operator.pulumi);
  if (written !== undefined) await writeRotation(undefined, target);
  return withoutRotation(stack, await operator.readSettingsFile(stack));
}

async function perform(
  rotating: Rotating,
  { step, textBefore }: { readonly step: RotationStep; readonly textBefore: string },
): Promise<Outcome> {
  const { stack, name, rotation, stored, world } = rotating;
  if (name === "backupPassword" && step !== "switch") {
    const passwords = await world.passwords(stack);
    const [old, next] = [stored.values[name] ?? "", rotation.values[name] ?? ""];
    await (step === "accept" ? passwords.add(next, old) : passwords.remove(old, next));
    return { text: "", exitCode: EXIT.ok };
  }
  const outcome = await deployStep(rotating, { step, textBefore });
  if (!isGood(outcome)) return outcome;
  if (step === "switch") return await proveInN8n(rotating, outcome);
  if (step === "remove") await requireOldRefused(name, { stack, old: stored.values[name] ?? "", world });
  return outcome;
}

function isGood({ exitCode }: Outcome): boolean {
  return exitCode === EXIT.ok || exitCode === EXIT.notObserved;
}

/** A good deployment has written n8n's own credentials; gives a failure where they do not have its values. */
async function proveInN8n(rotating: Rotating, outcome: Outcome): Promise<Outcome> {
  const { stack, world } = rotating;
  if (!isGood(outcome) || !isInN8n(rotating)) return outcome;
  const stale = await world.staleCredentials(stack);
  if (stale.length === 0) return outcome;
  const text = `n8n of ${stack} does not have what was deployed:\n${stale.join("\n")}\nlook at npm run workflows -- ${stack} diff`;
  return { text, exitCode: EXIT.failed };
}

/** Whether n8n's own credentials may have the secret. */
function isInN8n({ name, stored: { environment } }: Rotating): boolean {
  return environment.workflows.enabled && (SECRETS_FOR_N8N as readonly SecretName[]).includes(name);
}

async function deployStep(
  { stack, yes, emergency, reason, name, world }: Rotating,
  { step, textBefore }: { readonly step: string; readonly textBefore: string },
): Promise<Outcome> {
  const about = reason === "" ? `rotation de ${name} (${step})` : `${reason} (rotation de ${name}, ${step})`;
  const { operator } = world;
  return await world.deploy(
    { stack, only: undefined, plan: undefined, emergency, reason: about, yes },
    { ...operator, readSettingsFile: () => Promise.resolve(textBefore) },
  );
}

interface Failed {
  readonly step: RotationStep;
  readonly outcome: Outcome;
}

/** A refused deployment has changed nothing, and one that was rolled back has the values of before. */
async function afterFailure(rotating: Rotating, { step, outcome }: Failed): Promise<Outcome> {
  const { stack, name, world } = rotating;
  const again = `run npm run secrets -- ${stack} rotate ${name} again`;
  if (outcome.exitCode !== EXIT.failed)
    return { ...outcome, text: `${outcome.text}\n${stack}: ${name} is as it was before ${step}; ${again}` };
  world.operator.say(
    `${outcome.text}\n${stack}: ${step} of ${name} failed; deploying the values of before again`,
  );
  const textBefore = await world.operator.readSettingsFile(stack);
  const taken = { ...rotating, emergency: true, reason: `rotation de ${name} en échec` };
  const back = await deployStep(taken, { step: "retour", textBefore });
  const ended = isGood(back)
    ? `${name} is as it was before ${step}; ${again}`
    : `the values of before could not be deployed either: ${back.text}\ncorrect that, then npm run deploy -- ${stack}`;
  return {
    text: `${outcome.text}\n${stack}: ${ended}`,
    exitCode: isGood(back) ? EXIT.rolledBack : EXIT.failed,
  };
}

function describeInterrupted({ stack, name }: Rotating): string {
  return `${stack}: the rotation of ${name} was interrupted; npm run secrets -- ${stack} rotate ${name} goes on with it, and --undo goes back`;
}

/** The new values take the places of the old ones, which changes nothing for the program. */
async function finish({ stack, rule, rotation, reason, world }: Rotating): Promise<Outcome> {
  const { pulumi, openServer, identity, now } = world.operator;
  const target = { stack, pulumi };
  const names = rotatedNames(rotation);
  for (const one of names) await writeSecret({ name: one, value: rotation.values[one]! }, target);
  await onServer(stack, { pulumi, openServer }, (server) =>
    appendHistory(server, {
      ...{ at: now().toISOString(), who: identity.who, action: "secret", reason },
      detail: describeRotated(names),
    }),
  );
  await writeRotation(undefined, target);
  const lines = [
    `${stack}: ${names.join(", ")} ${names.length === 1 ? "is" : "are"} rotated; commit Pulumi.${stack}.yaml`,
    ...(rule.days === undefined ? [] : [`due again in ${rule.days} days`]),
    ...(rule.verified.startsWith("npm ") ? [`prove it with ${rule.verified.replace("<stack>", stack)}`] : []),
    ...(rule.afterwards === undefined ? [] : [`now: ${rule.afterwards}`]),
  ];
  return { text: lines.join("\n"), exitCode: EXIT.ok };
}

async function takeBack(rotating: Rotating): Promise<Outcome> {
  const { stack, name, rule, rotation, stored, world } = rotating;
  const names = rotatedNames(rotation);
  if (names.every((one) => stored.values[one] === rotation.values[one]))
    throw new UserError(
      `${stack}: the old ${name} is gone, so its rotation cannot be undone; finish it with npm run secrets -- ${stack} rotate ${name}`,
    );
  const { operator } = world;
  const steps = rule.steps.slice(0, rule.steps.indexOf(rotation.step) + 1).toReversed();
  for (const step of steps) {
    const isPassword = name === "backupPassword" && step !== "switch";
    if (isPassword) {
      const passwords = await world.passwords(stack);
      const [old, next] = [stored.values[name] ?? "", rotation.values[name] ?? ""];
      await (step === "accept" ? passwords.remove(next, old) : passwords.add(old, next));
    }
    const textBefore = await operator.readSettingsFile(stack);
    await writePrevious(rotating, step);
    if (isPassword) continue;
    operator.say(`${stack}: ${name}: taking ${step} back`);
    const deployed = await deployStep(rotating, { step: `${step}, retour`, textBefore });
    const outcome = step === "switch" ? await proveInN8n(rotating, deployed) : deployed;
    if (!isGood(outcome)) {
      await writeRotation(
        { step, isDone: false, values: rotation.values },
        { stack, pulumi: operator.pulumi },
      );
      return {
        ...outcome,
        text: `${outcome.text}\n${stack}: ${step} of ${name} could not be taken back; run --undo again`,
      };
    }
  }
  return { text: `${stack}: ${name} has its old value; nothing of the rotation is left`, exitCode: EXIT.ok };
}
