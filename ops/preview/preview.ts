/** Runs a preview of a stack and describes what it would change. */
import { mkdir } from "node:fs/promises";
import { resolve } from "node:path";

import { deployedEnvironment } from "../engine/deployed-servers.ts";
import { readDeployed, readState, type State } from "../engine/state.ts";
import { readCost, type CostChange } from "../cost/read.ts";
import { PulumiFailure } from "../engine/cli.ts";
import type { Server } from "../server/connection.ts";
import { readChanges } from "../changes/changes.ts";
import { readEvents, readViolations, inPrivateFolder, runEngine } from "../engine/events.ts";
import { environmentIn, readConfiguration, secretsIn, type Configuration } from "../engine/settings.ts";
import { hashConfiguration, readSource, readStateAsOf, describePlan, discardPlan, planFile } from "./plan.ts";
import type { Effects } from "../effects.ts";
import { findIrreversible } from "../changes/irreversible.ts";
import type { PreviewReport } from "./markdown.ts";
import { isSecretProperty, Redactor } from "../../common/redactor.ts";
import { UserError } from "../../common/user-error.ts";
import type { Environment } from "../../stacks/environment.ts";
import { describeServers } from "./servers.ts";

interface PreviewRequest {
  readonly stack: string;
  /** Folder for the plan. */
  readonly out?: string | undefined;
  /** Whether to read the real resources first, which needs access to the host. */
  readonly refresh: boolean;
}

export interface World extends Pick<Effects, "pulumi" | "git" | "now" | "openServer"> {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly fetch: typeof fetch;
}

/** A preview that the engine refuses is a report as well, with its `failure`. */
export async function previewStack(
  { stack, out, refresh }: PreviewRequest,
  world: World,
): Promise<PreviewReport> {
  const folder = out === undefined ? undefined : resolve(out);
  if (folder !== undefined) {
    await mkdir(folder, { recursive: true });
    await discardPlan(folder);
  }
  const source = await readSource(world.git, folder);
  const about = { stack, revision: source.revision, refreshed: refresh };
  const server = refresh ? logIn(stack, world) : undefined;
  try {
    const [configuration, stateAsOf] = await Promise.all([
      readConfiguration({ stack, showSecrets: true }, world.pulumi),
      readStateAsOf(stack, world.pulumi),
      server,
    ]);
    const secrets = Object.values(configuration).flatMap(({ secret, value }) =>
      secret && value !== undefined ? [value] : [],
    );
    // The engine takes longer; where it fails, nobody waits for this.
    const known = knownOf(stack, configuration, world);
    const cost = known.then((found) => costOf(found, world));
    cost.catch(() => undefined);
    const redactor = new Redactor();
    redactor.hide(
      ...secrets,
      ...Object.values(secretsIn(configuration)),
      ...secretsOfEnvironment(world.environment),
    );
    const options = ["--diff", "--color", "never", ...(refresh ? ["--refresh"] : []), "--stack", stack];
    // A plan is always made: without one the engine would not check that it can be made.
    const run = (plan: string) =>
      runEngine({ pulumi: world.pulumi, args: ["preview", ...options, "--save-plan", planFile(plan)] });
    const { stdout, log, failure } = await (folder === undefined ? inPrivateFolder(run) : run(folder));
    const events = redactor.cleanDeep(readEvents(log));
    const { steps, ...changes } = readChanges(events);
    if (failure === undefined && folder !== undefined) {
      const inputs = { stack, ...source, settingsHash: hashConfiguration(configuration), stateAsOf };
      await describePlan(folder, inputs, { at: world.now(), refreshed: refresh });
    }
    return {
      ...about,
      ...changes,
      violations: readViolations(events),
      irreversible: findIrreversible(steps),
      cost: redactor.cleanDeep(await cost),
      servers: serversOf(await known),
      diff: redactor.clean(stdout),
      failure: failure === undefined ? undefined : redactor.clean(failure.message),
    };
  } catch (error) {
    if (!(error instanceof PulumiFailure)) throw error;
    const { changes, counts, messages } = readChanges([]);
    const nothing = { violations: [], irreversible: [], diff: "" };
    return { ...about, changes, counts, messages, ...nothing, failure: error.message };
  } finally {
    (await server?.catch(() => undefined))?.close();
  }
}

/** What is known without the engine. */
interface Known {
  readonly environment: Environment;
  readonly state: State;
}

/** Undefined where settings or state cannot be read, which the engine reports itself. It never fails: a preview is more than its price. */
async function knownOf(
  stack: string,
  configuration: Configuration,
  { pulumi }: World,
): Promise<Known | undefined> {
  return await unlessUnreadable(async () => {
    const environment = environmentIn(stack, configuration);
    return { environment, state: await readState(stack, pulumi) };
  });
}

async function costOf(known: Known | undefined, { fetch, now }: World): Promise<CostChange | undefined> {
  return known && (await unlessUnreadable(() => readCost(known, { fetch, now })));
}

function serversOf(known: Known | undefined): readonly string[] {
  if (known === undefined) return [];
  const { environment, state } = known;
  return describeServers(deployedEnvironment(environment.name, state.resources), environment);
}

async function unlessUnreadable<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** A passphrase such as `test` protects nothing, and hiding it would blot that word out of the whole report. */
const SHORTEST_VARIABLE = 8;

/** Values of variables such as GITHUB_TOKEN: the CI hides them in its log, but not in a comment. */
export function secretsOfEnvironment(environment: Readonly<Record<string, string | undefined>>): string[] {
  return Object.entries(environment).flatMap(([name, value = ""]) =>
    isSecretProperty(name) && value.trim().length >= SHORTEST_VARIABLE ? [value] : [],
  );
}

/** Opens one login of ours and one for Docker, whose calls would otherwise each log in. */
async function logIn(stack: string, { pulumi, openServer }: World): Promise<Server | undefined> {
  const { ssh } = await readDeployed(stack, pulumi);
  if (ssh === undefined) return undefined;
  const server = openServer({ ssh });
  await server.logInForDocker();
  return server;
}
