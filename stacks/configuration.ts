import * as pulumi from "@pulumi/pulumi";

import { UserError } from "../common/user-error.ts";
import { findKeyProblem } from "../provider/ssh/key-file.ts";
import { nameOf } from "./config-command.ts";
import type { Environment } from "./environment.ts";
import { parseSettings, SettingsError, settingsIn } from "./settings.ts";

/** The environment of the stack that the running program was started for; throws a `SettingsError` with every problem. */
export function readConfiguration(): Environment {
  return parseSettings(pulumi.getStack(), settingsIn(pulumi.runtime.allConfig()));
}

/**
 * Fails when the operator's key would not let the deployment in, before anything is bought or changed.
 *
 * A CI that only makes previews has no key; the run that deploys checks it again.
 */
export async function requireOperatorKey({ name, ssh }: Environment): Promise<void> {
  const { SSH_AUTH_SOCK: agentSocket, CI } = process.env;
  const problem = await findKeyProblem({ ...ssh, agentSocket });
  if (problem === undefined) return;
  const text = `${nameOf(["ssh", problem.setting])}: ${problem.text}`;
  if (problem.isAbsent !== true || CI !== "true" || !pulumi.runtime.isDryRun()) {
    throw new SettingsError(name, [text]);
  }
  await pulumi.log.warn(
    `not checked whether the key fits, because this CI has none: ${text}; the deployment checks it first`,
  );
}

/** Throws the error as the engine prints it: a `UserError` as its message alone, everything else with its stack trace. */
export function throwToEngine(error: unknown): never {
  throw error instanceof UserError ? new pulumi.RunError(error.message, { cause: error }) : error;
}
