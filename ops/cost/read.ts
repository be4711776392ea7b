/** Reads what a stack costs as it is deployed, and with its settings. */
import { z } from "zod";

import type { Cost } from "../../common/cost.ts";
import { UserError } from "../../common/user-error.ts";
import { DECLARATION_TYPE, declarationRecord } from "../../stacks/declaration-record.ts";
import type { Environment } from "../../stacks/environment.ts";
import { readMeasured } from "../backup/measured.ts";
import { knownUsage } from "../monitoring/usage.ts";
import { environmentIn } from "../engine/settings.ts";
import type { State, StateResource } from "../engine/state.ts";
import { catalogueOf, type DatedCatalogue, type NoCatalogue } from "./catalogue.ts";
import { costOf, keepsServer, type KnownServer } from "./cost.ts";

/** OVH has no country for a server that was adopted: its prices are those of France. */
const SUBSIDIARY = "FR";

export interface CostWorld {
  readonly fetch: typeof fetch;
  readonly now: () => Date;

  /** Of catalogues that were read today. @default the user's cache */
  readonly folder?: string | undefined;
}

export interface CostChange {
  /** Undefined where nothing is deployed, or by a version that recorded no settings. */
  readonly before: Cost | undefined;
  readonly after: Cost;

  /** The setting `operations.maxMonthlyEur`. */
  readonly ceiling: number | undefined;
}

export async function readCost(
  { environment, state }: { readonly environment: Environment; readonly state: Pick<State, "resources"> },
  world: CostWorld,
): Promise<CostChange> {
  const server = serverIn(state.resources);
  const deployed = deployedEnvironment(environment.name, state.resources);
  const after = await costWith({ environment, server }, world);
  const before =
    deployed === undefined || server === undefined
      ? undefined
      : await costWith({ environment: deployed, server }, world);
  return { before, after, ceiling: environment.operations.maxMonthlyEur };
}

async function costWith(
  { environment, server }: { readonly environment: Environment; readonly server: KnownServer | undefined },
  world: CostWorld,
): Promise<Cost> {
  const kept = server && keepsServer(environment.server, server) ? server : undefined;
  const [catalogue, measured, usage] = await Promise.all([
    readCatalogue(environment, world),
    readMeasured(environment),
    knownUsage(environment),
  ]);
  return costOf({ environment, server: kept, measured, usage, catalogue });
}

function readCatalogue(
  { ovh, server }: Environment,
  { fetch, now, folder }: CostWorld,
): Promise<DatedCatalogue | NoCatalogue> {
  const subsidiary = server.source.kind === "order" ? server.source.subsidiary : SUBSIDIARY;
  return catalogueOf({ endpoint: ovh.endpoint, subsidiary, now: now(), fetch, folder });
}

const vps = z.object({
  serviceName: z.string().default(""),
  model: z.string().default(""),
  plan: z.string().optional(),
  monthlyPriceEur: z.number().optional(),
});

/** Undefined before the first deployment. */
export function serverIn(resources: readonly StateResource[]): KnownServer | undefined {
  const found = resources.find(({ type }) => type === "technicia:ovh:Vps");
  const read = vps.safeParse(found?.outputs).data;
  if (read === undefined) return undefined;
  const { serviceName, model, plan, monthlyPriceEur } = read;
  const ordered = plan === undefined || monthlyPriceEur === undefined ? undefined : { plan, monthlyPriceEur };
  return model === "" && ordered === undefined ? undefined : { serviceName, model, ordered };
}

/** The settings of the last deployment; undefined where this version cannot read them. */
function deployedEnvironment(stack: string, resources: readonly StateResource[]): Environment | undefined {
  const declared = resources.find(({ type }) => type === DECLARATION_TYPE);
  const record = declarationRecord.safeParse(declared?.outputs).data;
  if (record === undefined) return undefined;
  const entries = Object.entries(record.settings).map(
    ([name, value]) => [name, { secret: false, value }] as const,
  );
  try {
    return environmentIn(stack, Object.fromEntries(entries));
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}
