/**
 * Another passphrase for a stack: every secret in its settings and in its state is encrypted again by `pulumi stack change-secrets-provider`.
 *
 * The CLI writes the settings first and the state after them. A copy of the settings, in which everything stays encrypted, lets a run that was killed in
 * between begin again.
 */
import { access, copyFile, rename, rm } from "node:fs/promises";

import { z } from "zod";

import { UserError } from "../../common/user-error.ts";
import { describeRotated } from "../../secrets/rotations.ts";
import type { Outcome } from "../command.ts";
import { parsePrinted, type Pulumi } from "../engine/cli.ts";
import { settingsFile } from "../engine/settings-file.ts";
import { readConfiguration } from "../engine/settings.ts";
import { onServer } from "../on-server.ts";
import { appendHistory } from "../server/records.ts";
import type { RotationWorld } from "./world.ts";

const PASSPHRASE = "PULUMI_CONFIG_PASSPHRASE";
const SHORTEST = 16;

const state = z.looseObject({
  deployment: z
    .looseObject({
      secrets_providers: z
        .looseObject({ type: z.string(), state: z.looseObject({ salt: z.string().optional() }).optional() })
        .nullish(),
    })
    .nullish(),
});

export async function rotatePassphrase(stack: string, world: RotationWorld): Promise<Outcome> {
  const { operator } = world;
  await settleInterrupted(stack, world);
  const salt = saltIn(await operator.readSettingsFile(stack));
  if (salt === undefined)
    throw new UserError(
      `${settingsFile(stack)}: expected an encryptionsalt, got none; the stack's secrets are not encrypted with a passphrase, so there is none to rotate`,
    );
  // The old one has to be right: what cannot be read cannot be encrypted again.
  await readConfiguration({ stack, showSecrets: true }, operator.pulumi);
  const [next = ""] = await world.readGiven(["passphrase"]);
  requireFit(next);
  const [path, copy] = [settingsFile(stack), copyOf(stack)];
  await copyFile(path, copy);
  operator.say(`${stack}: encrypting the secrets of ${path} and of the state with the next passphrase`);
  const args = ["stack", "change-secrets-provider", "passphrase", "--stack", stack];
  try {
    await operator.pulumi({ args, input: `${next}\n` });
  } catch (error) {
    await settleInterrupted(stack, world);
    throw error;
  }
  const withNext = pulumiWith(next, operator.pulumi);
  await requireReadable(stack, withNext);
  await rm(copy);
  await record(stack, world, withNext);
  return { text: describeDone(stack), exitCode: 0 };
}

/** Puts the old settings back where the state still has the old passphrase; where it has the next one, that is the right one. */
async function settleInterrupted(stack: string, { operator }: RotationWorld): Promise<void> {
  const [path, copy] = [settingsFile(stack), copyOf(stack)];
  const isInterrupted = await access(copy).then(
    () => true,
    () => false,
  );
  if (!isInterrupted) return;
  const now = saltIn(await operator.readSettingsFile(stack));
  if (now !== undefined && now === (await saltOfState(stack, operator.pulumi))) {
    await rm(copy);
    return;
  }
  await rename(copy, path);
  operator.say(
    `${stack}: an earlier rotation of the passphrase was interrupted; the settings have the old one again`,
  );
}

function copyOf(stack: string): string {
  return `${settingsFile(stack)}.before`;
}

/** Of the stack's settings; undefined where another provider encrypts its secrets. */
function saltIn(text: string): string | undefined {
  return /^encryptionsalt: *(\S+)/m.exec(text)?.[1];
}

async function saltOfState(stack: string, pulumi: Pulumi): Promise<string | undefined> {
  const printed = await pulumi({ args: ["stack", "export", "--stack", stack] });
  return parsePrinted("pulumi stack export", printed, state).deployment?.secrets_providers?.state?.salt;
}

function requireFit(passphrase: string): void {
  const isPlain = /^[\x21-\x7e]+( [\x21-\x7e]+)*$/.test(passphrase);
  if (passphrase.length >= SHORTEST && isPlain) return;
  throw new UserError(
    `passphrase: expected at least ${SHORTEST} characters of ASCII in one line, ` +
      `got ${isPlain ? passphrase.length : "others"}; make one with openssl rand -base64 24`,
  );
}

/** The CLI with another passphrase than this command's own. */
function pulumiWith(passphrase: string, pulumi: Pulumi): Pulumi {
  return (call) => pulumi({ ...call, environment: { ...call.environment, [PASSPHRASE]: passphrase } });
}

async function requireReadable(stack: string, pulumi: Pulumi): Promise<void> {
  await readConfiguration({ stack, showSecrets: true }, pulumi);
  await pulumi({ args: ["stack", "export", "--show-secrets", "--stack", stack] });
}

/** A stack without a server has no audit. */
async function record(stack: string, { operator }: RotationWorld, pulumi: Pulumi): Promise<void> {
  const { openServer, identity, now, say } = operator;
  const event = { at: now().toISOString(), who: identity.who, action: "secret", reason: "" } as const;
  try {
    await onServer(stack, { pulumi, openServer }, (server) =>
      appendHistory(server, { ...event, detail: describeRotated(["passphrase"]) }),
    );
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    say(`the rotation could not be recorded on the server: ${error.message}`);
  }
}

function describeDone(stack: string): string {
  return [
    `${stack}: the settings and the state open with the next passphrase only; commit ${settingsFile(stack)}`,
    `now: put it into the safe, and as ${PASSPHRASE} into the environments ${stack}-preview, ${stack}-drift and ${stack} of your CI, and export it here`,
    "the settings of before stay in git's history, and older states in the bucket's versions: whoever knew the old passphrase reads their secrets in them, " +
      `until each is rotated as well (npm run secrets -- ${stack} rotate)`,
  ].join("\n");
}
