/** What settings cost: the server by OVH's catalogue, the backups by their size. */
import type { Amount, Cost, CostLine } from "../../common/cost.ts";
import { judgePlans, listPrices, type Catalogue } from "../../provider/ovh/order/catalog.ts";
import { backupBucket } from "../../stacks/backup-schema.ts";
import type { Environment, Server } from "../../stacks/environment.ts";
import type { Measured } from "../backup/measured.ts";
import { priceOf } from "../backup/price.ts";
import type { Usage } from "../monitoring/usage.ts";
import type { DatedCatalogue, NoCatalogue } from "./catalogue.ts";

/** The server in the state. */
export interface KnownServer {
  readonly serviceName: string;

  /** OVH's name of its model, which is its plan's code. */
  readonly model: string;

  /** What was ordered, and its price with options on that day; undefined for a server that was adopted. */
  readonly ordered: { readonly plan: string; readonly monthlyPriceEur: number } | undefined;
}

export interface Priced {
  readonly environment: Pick<Environment, "name" | "servers" | "backup" | "operations">;

  /** The first or only one; undefined while there is none. */
  readonly server: KnownServer | undefined;

  /** The others, by their names in the settings. @default - there is none */
  readonly others?: Readonly<Record<string, KnownServer>>;

  /** How much the sets of backups take; undefined where nobody has measured. */
  readonly measured: Measured | undefined;

  /** Tokens of the last 30 days; undefined where nobody has read them. */
  readonly usage: Usage | undefined;

  readonly catalogue: DatedCatalogue | NoCatalogue;
}

/** Prices of the catalogue are those of a new month; a contract may have a discount of its own. */
const CENT = 0.01;

/** Billed by the request, which TechnicIA's own services send: n8n sees none of them. */
const OTHER_USAGE: CostLine = {
  what: "usage",
  name: "VoyageAI, Google",
  monthly: { kind: "not-estimated", why: "billed by use, which only their own consoles show" },
  source: "",
};

/** Days of a month's bill, against those that the tokens are of. */
const MONTH_DAYS = 365.25 / 12;
const USAGE_DAYS = 30;
const MILLION = 1_000_000;

/** What the workflows of n8n were billed by language models, if the next month is like the last one. */
function modelLines({ environment, usage }: Priced): CostLine[] {
  const unpriced = (name: string, why: string): CostLine => ({
    ...{ what: "usage", name, source: "" },
    monthly: { kind: "not-estimated", why },
  });
  const again = `npm run metrics -- ${environment.name}`;
  if (usage === undefined) return [unpriced("Anthropic", `not read on this machine: ${again}`)];
  const day = usage.at.slice(0, 10);
  const models = Object.entries(usage.models);
  if (models.length === 0)
    return [unpriced("Anthropic", `no workflow has noted a token in the 30 days to ${day}`)];
  return models.map(([model, { input, output }]): CostLine => {
    const tokens = `${input} tokens sent and ${output} answered in the 30 days to ${day}`;
    const price = environment.operations.modelPrices.find((one) => one.model === model);
    if (price === undefined)
      return unpriced(model, `${tokens}; its price is no entry of technicia:operations.modelPrices`);
    const euros = (input * price.inputEurPerMillion + output * price.outputEurPerMillion) / MILLION;
    return {
      ...{ what: "usage", name: model, source: tokens },
      monthly: { kind: "euros", euros: (euros * MONTH_DAYS) / USAGE_DAYS },
    };
  });
}

export function costOf(priced: Priced): Cost {
  const { lines, once } = serversCost(priced);
  return { lines: [...lines, ...backupLines(priced), ...modelLines(priced), OTHER_USAGE], once };
}

/** Whether the settings mean the server in the state, and not another one. */
export function keepsServer(
  { source }: Pick<Server, "source">,
  server: Pick<KnownServer, "serviceName">,
): boolean {
  return source.kind === "adopt"
    ? source.serviceName === server.serviceName
    : source.again === undefined || source.again !== server.serviceName;
}

/** Of all servers; where there are several, each line names its own. */
function serversCost({ environment, server: first, others = {}, catalogue }: Priced): Cost {
  const { servers } = environment;
  const costs = servers.map((wanted, index) => {
    const server = index === 0 ? first : others[wanted.name];
    const { lines, once } = serverCost({ wanted, server, catalogue });
    if (servers.length === 1) return { lines, once };
    return { lines: lines.map((line) => ({ ...line, name: `${wanted.name}: ${line.name}` })), once };
  });
  return {
    lines: costs.flatMap(({ lines }) => lines),
    once: costs.reduce((sum, { once }) => sum + once, 0),
  };
}

interface PricedServer extends Pick<Priced, "server" | "catalogue"> {
  readonly wanted: Server;
}

function serverCost({ wanted, server, catalogue }: PricedServer): Cost {
  const { source } = wanted;
  if (server === undefined && source.kind === "adopt")
    return unknownServer(
      source.serviceName,
      "OVH tells its plan to its owner alone; the first deployment reads it",
    );
  const name = server === undefined ? "to order" : (server.ordered?.plan ?? server.model);
  if ("why" in catalogue) return unknownServer(name, catalogue.why);
  return server === undefined
    ? orderCost(wanted, catalogue)
    : contractCost({ ...server, model: name }, catalogue);
}

/** A server of which the catalogue knows the plan, or, where it no longer does, the price of the order. */
function contractCost({ model: plan, ordered }: KnownServer, dated: DatedCatalogue): Cost {
  const prices = listPrices(dated.catalogue, plan);
  if (prices !== undefined) {
    const lines = linesOf(prices, dated);
    const today = prices.reduce((sum, { monthlyPriceEur }) => sum + monthlyPriceEur, 0);
    const isOther = ordered !== undefined && Math.abs(ordered.monthlyPriceEur - today) >= CENT;
    const [first, ...rest] = lines as [CostLine, ...CostLine[]];
    const source = isOther
      ? `${first.source}; ordered at €${ordered.monthlyPriceEur.toFixed(2)} with its options`
      : first.source;
    return { lines: [{ ...first, source }, ...rest], once: 0 };
  }
  const gone = `the catalogue of ${dated.subsidiary} of ${dated.day} no longer has the plan`;
  if (ordered === undefined) return unknownServer(plan, `${gone}; its price is on OVH's invoices`);
  const monthly: Amount = { kind: "euros", euros: ordered.monthlyPriceEur };
  return {
    lines: [{ what: "server", name: plan, monthly, source: `its order, with options: ${gone}` }],
    once: 0,
  };
}

/** The cheapest plan that fits; where it is out of stock, the order takes the next one. */
function orderCost(wanted: Server, dated: DatedCatalogue): Cost {
  const { source, vcores, memoryGib, datacentre, image } = wanted;
  if (source.kind === "adopt") throw new Error("a server to adopt is not ordered");
  const { subsidiary, maxMonthlyPriceEur } = source;
  const wish = { subsidiary, maxMonthlyPriceEur, vcores, memoryGib, datacentre, image };
  const fitting = judgePlans(dated.catalogue, wish).find(({ lacks }) => lacks.length === 0)?.offer;
  const prices = fitting && listPrices(dated.catalogue, fitting.planCode);
  if (prices === undefined)
    return unknownServer(
      "to order",
      `the catalogue of ${dated.subsidiary} of ${dated.day} has no plan that fits`,
    );
  return {
    lines: linesOf(prices, dated),
    once: prices.reduce((sum, { setupPriceEur }) => sum + setupPriceEur, 0),
  };
}

/** An option that costs nothing is not listed. */
function linesOf(
  prices: NonNullable<ReturnType<typeof listPrices>>,
  { subsidiary, day }: Omit<DatedCatalogue, "catalogue"> & { readonly catalogue?: Catalogue },
): CostLine[] {
  const source = `OVH's catalogue of ${subsidiary}, ${day}`;
  return prices.flatMap(({ planCode, monthlyPriceEur }, index): CostLine[] =>
    index > 0 && monthlyPriceEur === 0
      ? []
      : [
          {
            what: index === 0 ? "server" : "option",
            name: planCode,
            monthly: { kind: "euros", euros: monthlyPriceEur },
            source,
          },
        ],
  );
}

function unknownServer(name: string, why: string): Cost {
  return { lines: [{ what: "server", name, monthly: { kind: "unknown", why }, source: "" }], once: 0 };
}

/**
 * OVH's price list, not its catalogue of the public cloud: that is of many megabytes, has the price of an hour under codes that depend on class,
 * zones and country, and the sets of a month cost some cents.
 */
function backupLines({ environment, measured }: Priced): CostLine[] {
  const { name, backup } = environment;
  const place = backupBucket(name, backup);
  if (place === undefined) return [];
  if (backup.bucket !== undefined) {
    const why = "a bucket of yours: its bill says it";
    const line = { what: "backups", name: place.bucket, source: "" } as const;
    return [{ ...line, monthly: { kind: "not-estimated", why } }];
  }
  if (measured === undefined) {
    const why = `not measured on this machine: npm run backups -- ${name}`;
    return [{ what: "backups", name: `in ${backup.region}`, monthly: { kind: "unknown", why }, source: "" }];
  }
  const { euros, of } = priceOf(measured.bytes, backup.region);
  const gib = (measured.bytes / 1024 ** 3).toFixed(1);
  return [
    {
      what: "backups",
      name: `${gib} GiB in ${backup.region}`,
      monthly: { kind: "euros", euros },
      source: `OVH's price list of ${of}, size of ${measured.at.slice(0, 10)}`,
    },
  ];
}
