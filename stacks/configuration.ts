import * as pulumi from "@pulumi/pulumi";

import { UserError } from "../common/user-error.ts";
import type { Environment } from "./environment.ts";
import { parseSettings, settingsIn } from "./settings.ts";

/** The environment of the stack that the running program was started for; throws a `SettingsError` with every problem. */
export function readConfiguration(): Environment {
  return parseSettings(pulumi.getStack(), settingsIn(pulumi.runtime.allConfig()));
}

/** Throws the error as the engine prints it: a `UserError` as its message alone, everything else with its stack trace. */
export function throwToEngine(error: unknown): never {
  throw error instanceof UserError ? new pulumi.RunError(error.message, { cause: error }) : error;
}
