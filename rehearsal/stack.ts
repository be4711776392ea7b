import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { parse } from "yaml";

import { isAlive } from "../common/is-alive.ts";
import { UserError } from "../common/user-error.ts";
import { entryOf, type SecretName, secretNames } from "../secrets/catalog.ts";
import { STATE } from "./addresses.ts";
import type { Engine } from "./engine/prepare.ts";
import { runAsOperator } from "./run-as-operator.ts";
import type { RehearsedSources } from "./services-repository.ts";
import {
  type Accounts,
  type Answers,
  ensureSettings,
  isMonitored,
  missingBuilds,
  readsDocuments,
  secretsSet,
} from "./stack-settings.ts";

const GIVEN_SECRETS = [
  "ovhApplicationKey",
  "ovhApplicationSecret",
  "ovhConsumerKey",
  "cloudflareApiToken",
  "voyageApiKey",
  "anthropicApiKey",
  "registryPassword",
] as const;

/** Those that a user is given where alerts are sent to. */
export const ALERT_SECRETS = ["smtpPassword", "slackUrl", "pagerUrl", "pagerDutyKey"] as const;

/** The one that a user makes where environments watch each other. */
export const NEIGHBOUR_SECRETS = ["neighbourToken"] as const;

/** A stack of the rehearsal and the engine that runs it. */
export interface RehearsedStack {
  readonly stack: string;
  readonly engine: Engine;
}

export interface StackOptions extends Pick<Answers, "system" | "serviceName" | "servers" | "isSmall"> {
  readonly accounts: Accounts;

  /** Whether it and another stack watch each other. */
  readonly hasNeighbour: boolean;
}

/** Creates what is missing: the passphrase, the stack and, in its settings, its secrets. */
export async function ensureStack({ stack, engine }: RehearsedStack, options: StackOptions): Promise<void> {
  const { accounts, hasNeighbour, ...server } = options;
  await mkdir(join(STATE, "backend"), { recursive: true });
  const passphrase = join(STATE, "passphrase");
  if (!existsSync(passphrase)) await writeFile(passphrase, randomBytes(24).toString("hex"), { mode: 0o600 });
  // The CLI needs a file to write to. Which images the file has to name, and which there are, is known later.
  if (!existsSync(join(STATE, `Pulumi.${stack}.yaml`)))
    await ensureSettings({
      stack,
      accounts,
      ...server,
      images: {},
      sources: undefined,
      lacksMonitoring: true,
    });

  const checkpoint = join(STATE, "backend", ".pulumi", "stacks", "technicia", `${stack}.json`);
  if (!existsSync(checkpoint)) {
    await runPulumi(["stack", "init", stack, "--secrets-provider", "passphrase"], { stack, engine });
  }
  const given = [
    ...GIVEN_SECRETS,
    ...((await isMonitored(stack)) ? ALERT_SECRETS : []),
    ...((await readsDocuments(stack)) ? (["googleCredentials"] as const) : []),
    ...(hasNeighbour ? NEIGHBOUR_SECRETS : []),
  ];
  const first = { ...accounts, ovhConsumerKey: accounts.ovhFirstConsumerKey };
  await addSecrets({ stack, engine }, secretsOf(given, first));
}

/** Adds the secrets that the stack's settings lack. They are worth nothing elsewhere, so a command line may show them. */
async function addSecrets(
  { stack, engine }: RehearsedStack,
  secrets: ReadonlyMap<SecretName, () => string>,
): Promise<void> {
  const present = await secretsSet(stack);
  const missing = [...secrets].filter(([name]) => !present.has(name));
  if (missing.length === 0) return;
  const values = missing.flatMap(([name, value]) => ["--secret", `technicia:${name}=${value()}`]);
  await runPulumi(["config", "set-all", "--stack", stack, ...values], { stack, engine });
}

/** Secrets that a user would be given, and a generated value for each of our own. */
function secretsOf(
  given: readonly (SecretName & keyof Accounts)[],
  accounts: Accounts,
): Map<SecretName, () => string> {
  const ours = secretNames.flatMap((name) => {
    const { generate } = entryOf(name);
    return generate === undefined ? [] : [[name, generate] as const];
  });
  return new Map([...given.map((name) => [name, () => accounts[name]] as const), ...ours]);
}

/** Replaces the key of the first deployment, as docs/accounts.md says. Returns whether it was still in use. */
export async function retireFirstKey(rehearsed: RehearsedStack, accounts: Accounts): Promise<boolean> {
  const key = ["technicia:ovhConsumerKey", "--stack", rehearsed.stack];
  if ((await runPulumi(["config", "get", ...key], rehearsed)).trim() !== accounts.ovhFirstConsumerKey)
    return false;
  await runPulumi(["config", "set", "--secret", ...key, accounts.ovhConsumerKey], rehearsed);
  return true;
}

/** Has the images of TechnicIA's own services built by the operator's command, unless the settings name those of the same commit. */
export async function buildOwnImages(rehearsed: RehearsedStack, sources: RehearsedSources): Promise<void> {
  const settings: unknown = parse(await readFile(join(STATE, `Pulumi.${rehearsed.stack}.yaml`), "utf8"));
  if (missingBuilds(settings, sources).length === 0) return;
  const built = await runAsOperator(["node", "ops/main.ts", "images", "build", rehearsed.stack], rehearsed);
  if (built.code !== 0)
    throw new UserError(`building the images of ${rehearsed.stack}: ${built.stderr || built.stdout}`);
}

/** Continues after a run that was killed. Returns what that run had left; undefined when no run was killed. */
export async function resumeKilledRun(rehearsed: RehearsedStack): Promise<string | undefined> {
  if (!(await releaseDeadLock(rehearsed))) return undefined;
  const resumed = await runAsOperator(["node", "ops/main.ts", "resume", rehearsed.stack], rehearsed);
  if (resumed.code !== 0) {
    throw new UserError(`resuming ${rehearsed.stack}: ${resumed.stderr || resumed.stdout}`);
  }
  return resumed.stdout.trim().replaceAll("\n", ", ");
}

/** Releases a lock whose process has ended. Refuses another's. Returns whether there was a lock. */
async function releaseDeadLock({ stack, engine }: RehearsedStack): Promise<boolean> {
  const folder = join(STATE, "backend", ".pulumi", "locks", "organization", "technicia", stack);
  const locks = existsSync(folder) ? await readdir(folder) : [];
  for (const file of locks) {
    const { pid } = JSON.parse(await readFile(join(folder, file), "utf8")) as { pid: number };
    if (isAlive(pid)) {
      throw new UserError(
        `the rehearsal of ${stack}: another run is under way, with process id ${pid}; wait for it or end it`,
      );
    }
  }
  if (locks.length === 0) return false;
  await runPulumi(["cancel", "--yes", "--stack", stack], { stack, engine });
  return true;
}

async function runPulumi(args: readonly string[], rehearsed: RehearsedStack): Promise<string> {
  const { code, stdout, stderr } = await runAsOperator(["pulumi", ...args], rehearsed);
  if (code !== 0) throw new UserError(`pulumi ${args[0] ?? ""}: ${stderr || stdout}`);
  return stdout;
}
