/** A stack of a small program with the real engine and our own provider, whose settings name doubles of the clouds. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { vi } from "vitest";
import { stringify } from "yaml";

import type { RepairWorld } from "../../../ops/drift/repair.ts";
import { PulumiFailure, type Pulumi } from "../../../ops/engine/cli.ts";
import type { Engine } from "../../../rehearsal/engine/prepare.ts";
import { createStack, type Stack } from "../../rehearsal/engine/stack.ts";
import { strongSecrets, validSettings } from "../../support/fixtures.ts";
import { TOKEN, ZONE_ID } from "./world.ts";

export const ROOT = join(import.meta.dirname, "../../..");

export interface Trial {
  readonly stack: Stack;
  readonly pulumi: Pulumi;
  readonly readSettingsFile: () => Promise<string>;

  /** Changes settings in `Pulumi.prod.yaml`, which nothing deploys. */
  readonly change: (settings: Record<string, unknown>) => Promise<void>;
}

/** The program records what it declares as ours does: `body` creates the resources. */
export function recorded(imports: string, body: string): string {
  // The program's own text is its basis: here no other file declares anything.
  const basis = JSON.stringify(imports + body);
  return `
    import { recordDeclaration } from "${ROOT}/stacks/declaration.ts";
    ${imports}
    recordDeclaration(() => {
      ${body}
    }, ${basis});
    export const deploymentStatus = "deployed";
  `;
}

export async function deployTrial(
  engine: Engine,
  { program, cloudflareUrl }: { readonly program: string; readonly cloudflareUrl: string },
): Promise<Trial> {
  // The stack's CLI keeps the variables that are there when it is made.
  vi.stubEnv("PULUMI_DEBUG_COMMANDS", "true");
  const stack = await createStack(engine, program);
  const project = join(stack.folder, "Pulumi.yaml");
  const plugins = `plugins:\n  providers:\n    - name: technicia\n      path: ${ROOT}/provider\n`;
  const named = (await readFile(project, "utf8")).replace("name: trial", "name: technicia");
  await writeFile(project, `${named}${plugins}`);
  await stack.pulumi("stack", "init", "prod");
  const file = join(stack.folder, "Pulumi.prod.yaml");
  const { n8nEncryptionKey } = strongSecrets();
  const secrets = { cloudflareApiToken: TOKEN, n8nEncryptionKey };
  const write = async (changes: Record<string, unknown>) => {
    const config = await configOf(stack, { file, cloudflareUrl, secrets, changes });
    await writeFile(file, stringify(config, { defaultStringType: "QUOTE_DOUBLE" }));
  };
  await write({});
  const up = await stack.pulumi("up", "--yes", "--skip-preview", "--stack", "prod");
  if (up.code !== 0) throw new Error(up.output);
  return {
    stack,
    pulumi: pulumiOf(stack),
    readSettingsFile: () => readFile(file, "utf8"),
    change: write,
  };
}

/** A repair of the trial, which nobody is asked about. */
export function repairOf(trial: Trial, openServer: RepairWorld["openServer"]): RepairWorld {
  return {
    pulumi: trial.pulumi,
    openServer,
    fetch,
    readSettingsFile: trial.readSettingsFile,
    now: () => new Date(),
    identity: { who: "alice@laptop", run: "", process: 4001 },
    say: () => undefined,
    openIncident: () => Promise.resolve({ id: "DEPLOY-001", isNew: true }),
    confirm: () => Promise.reject(new Error("nobody is to be asked")),
    exclusively: (_server, _stack, work) => work(),
  };
}

/** What the CLI wrote when it made the stack, and everything else that a user would have set. */
async function configOf(
  stack: Stack,
  given: {
    readonly file: string;
    readonly cloudflareUrl: string;
    readonly secrets: Readonly<Record<string, string>>;
    readonly changes: Record<string, unknown>;
  },
): Promise<object> {
  const settings = { ...validSettings(), ...given.changes };
  const dns = { ...(settings["dns"] as object), zoneId: ZONE_ID, cloudflareBaseUrl: given.cloudflareUrl };
  const plain = Object.entries({ ...settings, dns }).map(([name, value]) => [
    `technicia:${name}`,
    typeof value === "object" ? value : String(value),
  ]);
  const encrypted: [string, object][] = [];
  for (const [name, value] of Object.entries(given.secrets)) {
    const key = `technicia:${name}`;
    const set = await stack.pulumi("config", "set", "--secret", key, value, "--stack", "prod");
    if (set.code !== 0) throw new Error(set.output);
    const text = await readFile(given.file, "utf8");
    const secure = new RegExp(`${key}"?:\\s*\\n\\s*"?secure"?: "?([^"\\s]+)`).exec(text)?.[1];
    encrypted.push([key, { secure }]);
  }
  const salt = /encryptionsalt"?: "?([^"\s]+)/.exec(await readFile(given.file, "utf8"))?.[1];
  const config = { ...(Object.fromEntries(plain) as object), ...Object.fromEntries(encrypted) };
  return { encryptionsalt: salt, config };
}

function pulumiOf({ pulumi }: Stack): Pulumi {
  return async ({ args, input }) => {
    if (input !== undefined) throw new Error("no command here has an input");
    const { code, output } = await pulumi(...args);
    // Both outputs are one here; JSON stands first in it.
    if (code !== 0)
      throw new PulumiFailure(`pulumi ${args[0] ?? ""} failed: ${output}`, {
        stdout: output,
        stderr: output,
      });
    return /^(stack|config)$/.test(args[0] ?? "") ? output.slice(0, output.lastIndexOf("}") + 1) : output;
  };
}
