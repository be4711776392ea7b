/** The stack as it is deployed: its settings, its server and the monitoring's programs there. */
import { UserError } from "../../common/user-error.ts";
import { DECLARATION_TYPE, declarationRecord } from "../../stacks/declaration-record.ts";
import type { Environment } from "../../stacks/environment.ts";
import type { Pulumi } from "../engine/cli.ts";
import { environmentIn, readConfiguration, type Configuration } from "../engine/settings.ts";
import { readState } from "../engine/state.ts";
import { onServer } from "../on-server.ts";
import type { Server } from "../server/connection.ts";
import { MonitoringOff, openStores, type Stores } from "./stores.ts";
import type { MonitoringWorld } from "./world.ts";

export interface Monitored {
  readonly stack: string;
  readonly environment: Environment;
  readonly server: Server;
  readonly stores: Stores;
}

export type Reach = Pick<MonitoringWorld, "pulumi" | "openServer" | "addresses">;

/** Does the work on the server of a stack whose monitoring is on. */
export async function onMonitored<T>(
  stack: string,
  world: Reach,
  work: (monitored: Monitored) => Promise<T>,
): Promise<T> {
  return await onServer(stack, world, async (server) => {
    const environment = await readDeployedEnvironment(stack, world.pulumi);
    if (!environment.monitoring.enabled) throw monitoringOff(stack);
    return await work({ stack, environment, server, stores: openStores(server, world.addresses) });
  });
}

export function monitoringOff(stack: string): MonitoringOff {
  return new MonitoringOff(
    `${stack}: monitoring is off (technicia:monitoring.enabled is false), so nothing is measured and nobody is told; set it to true and deploy`,
  );
}

/** The settings of the last deployment that finished, whatever the file says by now; the file's where none was recorded. */
export async function readDeployedEnvironment(stack: string, pulumi: Pulumi): Promise<Environment> {
  const { resources } = await readState(stack, pulumi);
  const declaration = resources.find(({ type }) => type === DECLARATION_TYPE);
  const settings = declarationRecord.safeParse(declaration?.outputs).data?.settings;
  const entries: Configuration = settings
    ? Object.fromEntries(Object.entries(settings).map(([key, value]) => [key, { secret: false, value }]))
    : await readConfiguration({ stack }, pulumi);
  return environmentIn(stack, entries);
}

/** The value, or why it could not be had. */
export async function orReason<T>(work: Promise<T>): Promise<T | UserError> {
  return await work.catch((error: unknown) => {
    if (error instanceof UserError) return error;
    throw error;
  });
}
