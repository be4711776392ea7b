/** `npm run secrets -- <stack> rotate [<name>]` */
import { UserError } from "../../common/user-error.ts";
import {
  describeRotated,
  isOtherName,
  otherSecrets,
  rotationNames,
  type OtherName,
} from "../../secrets/rotations.ts";
import { entryOf, isSecretName } from "../../secrets/catalog.ts";
import type { Outcome } from "../command.ts";
import { onServer } from "../on-server.ts";
import { appendHistory } from "../server/records.ts";
import { listRotations } from "./list.ts";
import { rotatePassphrase } from "./passphrase.ts";
import { rotate } from "./rotate.ts";
import { rotateSshKey } from "./ssh-key.ts";
import { rotating, type RotationWorld } from "./world.ts";

export interface RotationCommand {
  readonly stack: string;

  /** As typed; undefined lists all. */
  readonly name: string | undefined;
  readonly undo: boolean;

  /** Whether a person has done what the command only describes. */
  readonly done: boolean;
  readonly yes: boolean;
  readonly emergency: boolean;
  readonly reason: string;
  readonly fromFile: string | undefined;
}

export async function runRotation(command: RotationCommand): Promise<Outcome> {
  requireSense(command, process.stdin.isTTY);
  return await rotating(command, (world) => actOn(command, world));
}

export async function actOn(command: RotationCommand, world: RotationWorld): Promise<Outcome> {
  const { stack, name, fromFile } = command;
  if (name === undefined) return await listRotations(stack, world.operator);
  if (isSecretName(name)) return await rotate({ ...command, name }, world);
  if (!isOtherName(name)) throw unknownName(command);
  if (name === "passphrase") return await rotatePassphrase(stack, world);
  if (name === "ssh") return await rotateSshKey({ ...command, file: fromFile! }, world);
  return command.done ? await recordDone(stack, name, world) : describeOther(stack, name);
}

/** Everything that is wrong with the words, before anything is read. */
export function requireSense(command: RotationCommand, isTerminal: boolean): void {
  const { stack, name, undo, done, yes, emergency, reason, fromFile } = command;
  const problems: string[] = [];
  if (name !== undefined && !isSecretName(name) && !isOtherName(name)) throw unknownName(command);
  const isByHand = name !== undefined && isOtherName(name) && name !== "passphrase" && name !== "ssh";
  if (done && !isByHand)
    problems.push("--done: expected it with a secret that is rotated by hand, got another one");
  if (undo && (name === undefined || !isSecretName(name)))
    problems.push("--undo: expected it with a secret of npm run secrets, got another one");
  if (emergency && reason === "") problems.push('--emergency needs a reason: add --reason "…"');
  if (name === "ssh" && fromFile === undefined)
    problems.push("ssh: expected --from-file <new private key>, got none");
  const isOurs = name !== undefined && isSecretName(name) && entryOf(name).givenBy === "us";
  if (fromFile !== undefined && (isOurs || isByHand))
    problems.push(
      `--from-file: expected it with a secret that you give, got ${name}, which is generated or rotated by hand`,
    );
  // Asked only once values are written: whoever cannot answer then has to have agreed before.
  if (!isTerminal && !yes && name !== undefined && !isByHand && name !== "passphrase")
    problems.push("nobody can answer questions here: add --yes, after npm run preview");
  if (problems.length > 0)
    throw new UserError(`${problems.join("\n")}\nnpm run secrets -- ${stack} rotate lists all`);
}

function unknownName({ stack, name }: RotationCommand): UserError {
  return new UserError(
    `rotate: expected one of ${rotationNames.join(", ")}, got ${JSON.stringify(name)}; npm run secrets -- ${stack} rotate lists them`,
  );
}

function describeOther(stack: string, name: OtherName): Outcome {
  const { description, how } = otherSecrets[name];
  const lines = [
    `${name}: ${description}`,
    ...how(stack).map((line, index) => `${index + 1}. ${line}`),
    `${how(stack).length + 1}. npm run secrets -- ${stack} rotate ${name} --done`,
  ];
  return { text: lines.join("\n"), exitCode: 0 };
}

async function recordDone(stack: string, name: OtherName, { operator }: RotationWorld): Promise<Outcome> {
  // With the keys of the state it could not be read otherwise.
  await onServer(stack, operator, (server) =>
    appendHistory(server, {
      ...{ at: operator.now().toISOString(), who: operator.identity.who, action: "secret", reason: "" },
      detail: describeRotated([name]),
    }),
  );
  const { days } = otherSecrets[name];
  return { text: `${stack}: recorded that ${name} is rotated; due again in ${days} days`, exitCode: 0 };
}
