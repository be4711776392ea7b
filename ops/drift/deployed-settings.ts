/** The settings of the last deployment that finished, whatever the settings file says by now. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";

import type { DeclarationRecord } from "../../stacks/declaration-record.ts";
import { settingsIn } from "../../stacks/settings.ts";
import { inPrivateFolder } from "../engine/events.ts";
import { environmentIn, secretsIn, type Configuration, type Settings } from "../engine/settings.ts";
import { settingsFile, withSettings } from "../engine/settings-file.ts";
import { restoredDigest, restoredSettings } from "../workflows/restored.ts";
import type { WorkflowSet } from "../workflows/released.ts";

export interface DeployedSettings extends Settings {
  /** Names of the settings that are not deployed as they are. */
  readonly pending: readonly string[];

  /** Gives the engine's options that make it use these settings, while the work is done. */
  readonly during: <T>(work: (options: readonly string[]) => Promise<T>) => Promise<T>;
}

export interface RestoredWorkflows {
  readonly set: WorkflowSet;

  /** Text of `credentials.yaml`, as it is today. */
  readonly credentials: string;
}

/** `record`: undefined where only the settings file is known; `readFile` gives the text of `Pulumi.<stack>.yaml`. */
export function deployedSettings(request: {
  readonly stack: string;
  readonly configuration: Configuration;
  readonly record: DeclarationRecord | undefined;
  readonly readFile: (stack: string) => Promise<string>;

  /** Gives the workflows that a rollback has restored, by their digest; without it they cannot be used. */
  readonly restoredWorkflows?: (digest: string) => Promise<RestoredWorkflows>;
}): DeployedSettings {
  const { stack, configuration, record } = request;
  const inForce = record === undefined ? configuration : asConfiguration(record.settings);
  const [current, deployed] = [configuration, inForce].map((entries) => settingsIn(plain(entries))) as [
    Record<string, unknown>,
    Record<string, unknown>,
  ];
  const names = [...new Set([...Object.keys(current), ...Object.keys(deployed)])].sort();
  // Whoever asks for the settings is told what is wrong with them; to know which are pending they need not be right.
  const pending = names.filter((name) => !isDeepStrictEqual(current[name], deployed[name]));
  return {
    get environment() {
      return environmentIn(stack, inForce);
    },
    secrets: secretsIn(configuration),
    pending,
    async during(work) {
      if (pending.length === 0) return await work([]);
      const file = { path: settingsFile(stack), text: await request.readFile(stack) };
      return await inPrivateFolder(async (folder) => {
        const values = Object.fromEntries(pending.map((name) => [name, deployed[name]]));
        const digest = restoredDigest(deployed["workflows"]);
        if (digest !== undefined && request.restoredWorkflows !== undefined) {
          const restored = await request.restoredWorkflows(digest);
          values["workflows"] = await restoredSettings(environmentIn(stack, inForce).workflows, {
            ...restored,
            folder,
          });
        }
        const text = withSettings(file, values);
        const path = join(folder, file.path);
        await writeFile(path, text, { mode: 0o600 });
        return await work(["--config-file", path]);
      });
    },
  };
}

function asConfiguration(settings: DeclarationRecord["settings"]): Configuration {
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [name, { secret: false, value }] as const),
  );
}

/** Without secrets, and without what is there as an empty default only. */
function plain(configuration: Configuration): Record<string, string> {
  return Object.fromEntries(
    Object.entries(configuration).flatMap(([name, { secret, value }]) =>
      secret || value === undefined || value === "" ? [] : [[name, value] as const],
    ),
  );
}
