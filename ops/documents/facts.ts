/** Reads the facts of each environment from its state and from the records on its server. */
import { z } from "zod";

import { nameOf } from "../../common/urn.ts";
import { UserError } from "../../common/user-error.ts";
import type { Cost } from "../../common/cost.ts";
import type { EnvironmentFacts, Made, Missing, Monitored, Records } from "../../reports/facts.ts";
import { ENVIRONMENTS } from "../../reports/labels-fr.ts";
import { stackOutputs, type StackOutputs } from "../../stacks/deployment-status.ts";
import { describeCopy, type ReadCopy } from "../backup/copied-records.ts";
import { readBackupStatus } from "../backup/status.ts";
import { NoSuchStack, type Pulumi } from "../engine/cli.ts";
import { readCost, type CostWorld } from "../cost/read.ts";
import { readEnvironment } from "../engine/settings.ts";
import { readState, type State } from "../engine/state.ts";
import { readRecords as readServerRecords, renderCorrupt } from "../server/records.ts";
import { openServer, type Server } from "../server/connection.ts";

export interface FactSources {
  readonly pulumi: Pulumi;
  readonly readRecords: (outputs: StackOutputs, stack: string) => Promise<Records>;

  /** What the deployed environment costs; undefined where nobody asks. */
  readonly readCost?: ((stack: string, state: State) => Promise<Cost>) | undefined;

  /** What its monitoring has measured; undefined where nobody asks. */
  readonly readMonitoring?: ((stack: string) => Promise<Monitored | "off">) | undefined;
}

export function readAllFacts(sources: FactSources): Promise<EnvironmentFacts[]> {
  return Promise.all(ENVIRONMENTS.map((environment) => readFacts(environment, sources)));
}

async function readFacts(
  { stack, name }: (typeof ENVIRONMENTS)[number],
  { pulumi, readRecords, readCost, readMonitoring }: FactSources,
): Promise<EnvironmentFacts> {
  try {
    const state = await readState(stack, pulumi);
    const made = madeIn(state);
    if (made.length === 0) return { stack, name, state: "absent" };

    const outputs = await readOutputs(stack, pulumi);
    return {
      stack,
      name,
      state: "present",
      made,
      outputs,
      records: outputs
        ? await orWhy(readRecords(outputs, stack))
        : { why: "no server to read them from yet" },
      ...(readCost && { cost: await orWhy(readCost(stack, state)) }),
      ...(readMonitoring && outputs && { monitoring: await orWhy(readMonitoring(stack)) }),
    };
  } catch (error) {
    if (error instanceof NoSuchStack) {
      return { stack, name, state: "absent" };
    }
    if (error instanceof UserError) return { stack, name, state: "unreadable", why: error.message };
    throw error;
  }
}

/** Of the last deployment, or with the settings where an earlier version made it. */
export function costReader(pulumi: Pulumi, world: CostWorld): NonNullable<FactSources["readCost"]> {
  return async (stack, state) => {
    const environment = await readEnvironment(stack, pulumi);
    const { before, after } = await readCost({ environment, state }, world);
    return before ?? after;
  };
}

export function madeIn({ resources }: State): Made[] {
  return resources
    .filter(({ type }) => type !== "pulumi:pulumi:Stack" && !type.startsWith("pulumi:providers:"))
    .map(({ urn, type, created }) => ({
      type,
      name: nameOf(urn),
      at: created === undefined ? undefined : new Date(created),
    }));
}

/** Undefined until a deployment has ended. */
export async function readOutputs(stack: string, pulumi: Pulumi): Promise<StackOutputs | undefined> {
  const printed = await pulumi({ args: ["stack", "output", "--json", "--stack", stack] });
  const outputs = JSON.parse(printed) as Record<string, unknown>;
  if (outputs["deploymentStatus"] === undefined) return undefined;
  const read = stackOutputs.safeParse(outputs);
  if (read.success) return read.data;
  throw new UserError(
    `${stack}: another version of the program wrote the outputs; run npm run deploy -- ${stack}\n` +
      z.prettifyError(read.error),
  );
}

export async function orWhy<T>(reading: Promise<T>): Promise<T | Missing> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof UserError) return { why: error.message };
    throw error;
  }
}

/** Reads the records of a stack's deployments and backups, over one connection. */
export async function readRecords(
  outputs: Pick<StackOutputs, "ssh">,
  /** For each of the readings. */
  { timeoutSeconds }: { readonly timeoutSeconds?: number } = {},
): Promise<Records> {
  const server = openServer(outputs);
  const reader: Pick<Server, "run"> =
    timeoutSeconds === undefined ? server : { run: (command) => server.run({ ...command, timeoutSeconds }) };
  try {
    return await recordsOn(reader);
  } finally {
    server.close();
  }
}

/** The same over a connection that is open. */
export async function recordsOn(server: Pick<Server, "run">): Promise<Records> {
  const { releases, events, corrupt } = await readServerRecords(server);
  const backups = await readBackupStatus(server);
  return { releases, history: events, corrupt: renderCorrupt(corrupt), ...(backups && { backups }) };
}

interface CopyWorld {
  readonly readCopy: ReadCopy;
  readonly now: Date;
}

/** The records on the server; where it does not answer, those in the newest set of backups, which say so. */
export function readRecordsAnywhere({ readCopy, now }: CopyWorld): FactSources["readRecords"] {
  return async (outputs, stack) => {
    try {
      return await readRecords(outputs);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      const found = await readCopy(stack);
      if (found === undefined) throw error;
      const { releases, events: history, corrupt } = found;
      const copy = `${error.message}; ${describeCopy(found, now)}`;
      return { releases, history, corrupt: renderCorrupt(corrupt), copy };
    }
  };
}
