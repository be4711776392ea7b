import * as pulumi from "@pulumi/pulumi";

import { UserError } from "../common/user-error.ts";
import type { Content } from "../provider/n8n/content.ts";
import { findKeyProblem } from "../provider/ssh/key-file.ts";
import { contextIn } from "../secrets/context.ts";
import { resolveSecrets, type Secrets } from "../secrets/resolve.ts";
import { nameOf } from "./config-command.ts";
import type { Environment } from "./environment.ts";
import { parseSettings, SettingsError, settingsIn } from "./settings.ts";
import { readWorkflows } from "./workflows/read.ts";

/** The environment of the stack that the running program was started for; throws a `SettingsError` with every problem. */
export function readConfiguration(): Environment {
  return parseSettings(pulumi.getStack(), settingsIn(pulumi.runtime.allConfig()));
}

/** What the program starts from. Problems of the settings, of the secrets and of the operator's key are thrown together. */
export async function readInputs(): Promise<{
  readonly environment: Environment;
  readonly secrets: Secrets;

  /** What n8n is to have; undefined where the settings leave it alone. */
  readonly content: Content | undefined;
}> {
  const problems: UserError[] = [];
  const note = (error: unknown) => {
    if (!(error instanceof UserError)) throw error;
    problems.push(error);
    return undefined;
  };
  const attempt = <T>(read: () => T) => {
    try {
      return read();
    } catch (error) {
      return note(error);
    }
  };
  const environment = attempt(readConfiguration);
  const context = () => environment ?? contextIn(settingsIn(pulumi.runtime.allConfig()));
  const secrets = attempt(() => resolveSecrets(context()));
  if (environment) await requireOperatorKey(environment).catch(note);
  const content = environment && secrets ? await readWorkflows(environment, secrets).catch(note) : undefined;
  if (environment && secrets && problems.length === 0) {
    if (isNobodyTold(environment)) await pulumi.log.warn(NOBODY_TOLD);
    return { environment, secrets, content };
  }
  throw problems.length === 1
    ? problems[0]!
    : new UserError(problems.map(({ message }) => message).join("\n"));
}

function isNobodyTold({ monitoring: { enabled, mail, receivers } }: Environment): boolean {
  return enabled && mail === undefined && !receivers.slack && receivers.webhooks.length === 0;
}

const NOBODY_TOLD =
  `alerts reach nobody, and no level of the escalation: set ${nameOf(["monitoring", "mail"])}, ` +
  `${nameOf(["monitoring", "receivers", "slack"])} or ${nameOf(["monitoring", "receivers", "webhooks"])}, ` +
  `and for mail the addresses in ${nameOf(["monitoring", "escalation"])}`;

/**
 * Fails when the operator's key would not let the deployment in, before anything is bought or changed.
 *
 * A CI that only makes previews has no key; the run that deploys checks it again.
 */
async function requireOperatorKey({ name, ssh }: Environment): Promise<void> {
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
