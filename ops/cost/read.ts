/** Reads what a stack costs as it is deployed, and with its settings. */
import { z } from "zod";

import type { Cost } from "../../common/cost.ts";
import { parseUrn } from "../../common/urn.ts";
import type { Environment } from "../../stacks/environment.ts";
import { serverOf } from "../../stacks/inventory-servers.ts";
import { readMeasured } from "../backup/measured.ts";
import { knownUsage } from "../monitoring/usage.ts";
import { deployedEnvironment, FIRST } from "../engine/deployed-servers.ts";
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
  const known = serversIn(state.resources);
  const deployed = deployedEnvironment(environment.name, state.resources);
  const after = await costWith({ environment, known }, world);
  const before =
    deployed === undefined || known.size === 0
      ? undefined
      : await costWith({ environment: deployed, known }, world);
  return { before, after, ceiling: environment.operations.maxMonthlyEur };
}

async function costWith(
  { environment, known }: { readonly environment: Environment; readonly known: KnownServers },
  world: CostWorld,
): Promise<Cost> {
  const kept = environment.servers.flatMap((wanted, index): [string, KnownServer][] => {
    const server = known.get(index === 0 ? FIRST : wanted.name);
    return server !== undefined && keepsServer(wanted, server)
      ? [[index === 0 ? FIRST : wanted.name, server]]
      : [];
  });
  const { [FIRST]: server, ...others } = Object.fromEntries(kept);
  const [catalogue, measured, usage] = await Promise.all([
    readCatalogue(environment, world),
    readMeasured(environment),
    knownUsage(environment),
  ]);
  return costOf({ environment, server, others, measured, usage, catalogue });
}

function readCatalogue(
  { ovh, servers }: Environment,
  { fetch, now, folder }: CostWorld,
): Promise<DatedCatalogue | NoCatalogue> {
  const [subsidiary = SUBSIDIARY] = servers.flatMap(({ source }) =>
    source.kind === "order" ? [source.subsidiary] : [],
  );
  return catalogueOf({ endpoint: ovh.endpoint, subsidiary, now: now(), fetch, folder });
}

const vps = z.object({
  serviceName: z.string().default(""),
  model: z.string().default(""),
  plan: z.string().optional(),
  monthlyPriceEur: z.number().optional(),
});

type KnownServers = ReadonlyMap<string, KnownServer>;

/** By the names of the settings, the first one under `FIRST`; empty before the first deployment. */
function serversIn(resources: readonly StateResource[]): KnownServers {
  const found = resources.filter(({ type }) => type === "technicia:ovh:Vps");
  return new Map(
    found.flatMap(({ urn, outputs }): [string, KnownServer][] => {
      const server = readServer(outputs);
      return server === undefined ? [] : [[serverOf(parseUrn(urn).name) ?? FIRST, server]];
    }),
  );
}

function readServer(outputs: unknown): KnownServer | undefined {
  const read = vps.safeParse(outputs).data;
  if (read === undefined) return undefined;
  const { serviceName, model, plan, monthlyPriceEur } = read;
  const ordered = plan === undefined || monthlyPriceEur === undefined ? undefined : { plan, monthlyPriceEur };
  return model === "" && ordered === undefined ? undefined : { serviceName, model, ordered };
}
