import * as pulumi from "@pulumi/pulumi";

import type { Environment } from "./environment.ts";
import { parseSettings, SettingsError, settingsIn } from "./settings.ts";

/** The environment that the running program was started for; throws every problem as one error that the engine prints without a stack trace. */
export function readConfiguration(): Environment {
  try {
    return parseSettings(pulumi.getStack(), settingsIn(pulumi.runtime.allConfig()));
  } catch (error) {
    throw error instanceof SettingsError ? new pulumi.RunError(error.message, { cause: error }) : error;
  }
}
