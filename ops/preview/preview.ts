/** Runs a preview of a stack and describes what it would change. */
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

import { readDeployed } from "../engine/outputs.ts";
import { PulumiFailure, type Pulumi } from "../engine/cli.ts";
import type { Server } from "../server/connection.ts";
import type { StackOutputs } from "../../stacks/deployment-status.ts";
import { readChanges } from "../changes/changes.ts";
import { readEvents, type EngineEvent } from "../engine/events.ts";
import { hashSettings, readSettings, readSource, readStateAsOf } from "./facts.ts";
import type { Git } from "../vendors/git.ts";
import { findIrreversible } from "../changes/irreversible.ts";
import type { PreviewReport } from "./markdown.ts";
import { describePlan, discardPlan, planFile } from "./plan.ts";
import { redactDeep, redactor, secretsOfEnvironment } from "../changes/redact.ts";

export interface PreviewRequest {
  readonly stack: string;
  /** Folder for the plan. */
  readonly out?: string | undefined;
  /** Whether to read the real things first, which needs a way to the host. */
  readonly refresh: boolean;
}

export interface World {
  readonly pulumi: Pulumi;
  readonly git: Git;
  readonly now: () => Date;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly openServer: (outputs: Pick<StackOutputs, "ssh">) => Server;
}

/** A preview that the engine refuses is a report too, with its `failure`. */
export async function previewStack(request: PreviewRequest, world: World): Promise<PreviewReport> {
  const { stack, out, refresh } = request;
  const folder = out === undefined ? undefined : resolve(out);
  if (folder !== undefined) {
    await mkdir(folder, { recursive: true });
    await discardPlan(folder);
  }
  const source = await readSource(world.git, folder);
  const scratch = await mkdtemp(join(tmpdir(), "technicia-preview-"));
  const server = refresh ? logIn(stack, world) : undefined;
  try {
    const [settings, stateAsOf] = await Promise.all([
      readSettings(stack, world.pulumi),
      readStateAsOf(stack, world.pulumi),
      server,
    ]);
    const secrets = Object.values(settings).flatMap(({ secret, value }) =>
      secret && value !== undefined ? [value] : [],
    );
    const redact = redactor([...secrets, ...secretsOfEnvironment(world.environment)]);
    const log = join(scratch, "events.jsonl");
    const plan = planFile(folder ?? scratch);
    const { diff, failure } = await runEngine(world.pulumi, { stack, refresh, log, plan });
    const { steps, ...changes } = readChanges(redactDeep(await readLog(log), redact));
    if (failure === undefined && folder !== undefined) {
      const facts = { stack, ...source, settingsHash: hashSettings(settings), stateAsOf };
      await describePlan(folder, facts, { at: world.now(), refreshed: refresh });
    }
    return {
      ...changes,
      stack,
      revision: source.revision,
      refreshed: refresh,
      irreversible: findIrreversible(steps),
      diff: redact(diff),
      failure: failure === undefined ? undefined : redact(failure),
    };
  } catch (error) {
    if (!(error instanceof PulumiFailure)) throw error;
    return failedReport(request, source.revision, error.message);
  } finally {
    (await server?.catch(() => undefined))?.close();
    await rm(scratch, { recursive: true });
  }
}

/** The engine's plugins look at the server over one login of ours and one for Docker, instead of one for each and for each call. */
async function logIn(stack: string, { pulumi, openServer }: World): Promise<Server | undefined> {
  const { ssh } = await readDeployed(stack, pulumi);
  if (ssh === undefined) return undefined;
  const server = openServer({ ssh });
  await server.logInForDocker();
  return server;
}

interface Run {
  readonly stack: string;
  readonly refresh: boolean;
  readonly log: string;
  readonly plan: string;
}

async function runEngine(
  pulumi: Pulumi,
  { stack, refresh, log, plan }: Run,
): Promise<{ readonly diff: string; readonly failure?: string }> {
  const args = ["preview", "--diff", "--color", "never", "--event-log", log, "--save-plan", plan];
  try {
    const diff = await pulumi({
      args: [...args, ...(refresh ? ["--refresh"] : []), "--stack", stack],
      // Without it the CLI has no --event-log.
      environment: { PULUMI_DEBUG_COMMANDS: "true" },
    });
    return { diff };
  } catch (error) {
    if (!(error instanceof PulumiFailure)) throw error;
    return { diff: error.stdout, failure: error.message };
  }
}

async function readLog(file: string): Promise<EngineEvent[]> {
  try {
    return readEvents(await readFile(file, "utf8"));
  } catch (error) {
    // An engine that fails before it starts writes no log.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

function failedReport({ stack, refresh }: PreviewRequest, revision: string, failure: string): PreviewReport {
  const { changes, counts, messages } = readChanges([]);
  return {
    stack,
    revision,
    refreshed: refresh,
    changes,
    counts,
    messages,
    irreversible: [],
    diff: "",
    failure,
  };
}
