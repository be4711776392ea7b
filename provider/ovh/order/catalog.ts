import { UserError } from "../../../common/user-error.ts";
import type { OvhClient } from "../client.ts";

/** What a server must be, and what it may cost. */
export interface Wish {
  readonly subsidiary: string;
  readonly vcores: number;
  readonly memoryGib: number;
  /** Datacentre as the catalogue names it, for example `GRA`. */
  readonly datacentre: string;
  /** Operating system as the catalogue names it. */
  readonly image: string;
  readonly maxMonthlyPriceEur: number;
}

/** A plan of the catalogue with everything that must be bought with it. */
export interface Offer {
  readonly planCode: string;
  readonly invoiceName: string;
  readonly vcores: number;
  readonly memoryGib: number;
  /** Cheapest option of each family that OVH demands. */
  readonly addons: readonly string[];
  /** Plan and options together, without tax. */
  readonly monthlyPriceEur: number;
  /** Paid once, without tax. */
  readonly setupPriceEur: number;
}

/** The parts of the public catalogue that are read here. */
export interface Catalogue {
  readonly locale: { readonly currencyCode: string };
  readonly plans: readonly Plan[];
  readonly addons: readonly Product[];
  readonly products?: readonly { readonly name: string; readonly blobs?: Blobs | null }[];
}

interface Product {
  readonly planCode: string;
  readonly pricings: readonly Pricing[];
}

interface Plan extends Product {
  readonly invoiceName: string;
  readonly product?: string;
  readonly blobs?: Blobs | null;
  readonly configurations: readonly { readonly name: string; readonly values: readonly string[] }[];
  readonly addonFamilies: readonly {
    readonly name: string;
    readonly mandatory?: boolean;
    readonly addons: readonly string[];
  }[];
}

interface Pricing {
  readonly mode: string;
  readonly interval: number;
  readonly intervalUnit: string;
  readonly capacities: readonly string[];
  /** Prices of a later phase follow those of an earlier one: a promotion's months come before the lasting price. */
  readonly phase?: number;
  /** In hundred-millionths of the currency, without tax. */
  readonly price: number;
}

interface Blobs {
  readonly technical?: {
    readonly cpu?: { readonly cores?: number };
    readonly memory?: { readonly size?: number };
  } | null;
}

interface Candidate {
  readonly offer: Offer;
  /** What it lacks, in words; empty when it grants the wish. */
  readonly lacks: readonly string[];
}

const PRICE_UNIT = 100_000_000;
const NEAREST = 3;

/**
 * The cheapest plan that grants the wish and is in stock.
 *
 * Fails with the nearest plans and what each lacks, or with both prices when it costs more than the limit.
 */
export async function findOffer(client: OvhClient, wish: Wish): Promise<Offer> {
  const catalogue = await readCatalogue(client, wish.subsidiary);
  const candidates = judgePlans(catalogue, wish);
  const outOfStock: Candidate[] = [];
  for (const candidate of candidates.filter(({ lacks }) => lacks.length === 0)) {
    if (await isInStock(client, { ...wish, planCode: candidate.offer.planCode })) {
      return requireAccepted(candidate.offer, wish);
    }
    outOfStock.push({ offer: candidate.offer, lacks: [`stock in ${wish.datacentre}`] });
  }
  throw noOffer(wish, [...outOfStock, ...candidates.filter(({ lacks }) => lacks.length > 0)]);
}

/** What OVH sells to everybody in a country; it needs no key. */
export function readCatalogue(client: OvhClient, subsidiary: string): Promise<Catalogue> {
  return client.get<Catalogue>("/order/catalog/public/vps", {
    isPublic: true,
    query: { ovhSubsidiary: subsidiary },
  });
}

/** A plan or an option; prices in euros without tax. */
export interface ListPrice {
  readonly planCode: string;
  readonly monthlyPriceEur: number;
  /** Paid once. */
  readonly setupPriceEur: number;
}

/**
 * A plan, also one that only existing contracts keep, and then the cheapest option of each family that OVH demands with it; undefined when the
 * catalogue has no plan of that code, or one without a monthly price.
 */
export function listPrices(catalogue: Catalogue, planCode: string): readonly ListPrice[] | undefined {
  const plan = catalogue.plans.find((candidate) => candidate.planCode === planCode);
  const monthly = plan && priceOf(plan.pricings, "renew");
  if (!plan || monthly === undefined) return undefined;
  const families = plan.addonFamilies.filter(({ mandatory }) => mandatory);
  const addons = families.flatMap((family) => cheapest(catalogue, family.addons) ?? []);
  const setup = priceOf(plan.pricings, "installation") ?? 0;
  return [{ planCode, monthly, setup }, ...addons].map((priced) => ({
    planCode: priced.planCode,
    monthlyPriceEur: priced.monthly / PRICE_UNIT,
    setupPriceEur: priced.setup / PRICE_UNIT,
  }));
}

/** Every plan with what it lacks: those that lack least first, then the cheapest. */
export function judgePlans(catalogue: Catalogue, wish: Wish): readonly Candidate[] {
  const currency = catalogue.locale.currencyCode;
  if (currency !== "EUR") {
    throw new UserError(
      `server.order.subsidiary: expected a country where OVH bills in EUR, got ${wish.subsidiary}, which bills in ${currency}; ` +
        "the accepted price is in euros, so choose another subsidiary",
    );
  }
  const candidates = catalogue.plans.flatMap((plan) => judge(catalogue, plan, wish) ?? []);
  return candidates.sort(
    (a, b) =>
      a.lacks.length - b.lacks.length ||
      a.offer.monthlyPriceEur - b.offer.monthlyPriceEur ||
      a.offer.planCode.localeCompare(b.offer.planCode),
  );
}

function requireAccepted(offer: Offer, wish: Wish): Offer {
  if (offer.monthlyPriceEur <= wish.maxMonthlyPriceEur) return offer;
  throw new UserError(
    `server.order.maxMonthlyPriceEur: expected at least ${euros(offer.monthlyPriceEur)} for ${describeOffer(offer)}, ` +
      `the cheapest that fits, got ${euros(wish.maxMonthlyPriceEur)}; accept that price with ` +
      `pulumi config set --path technicia:server.order.maxMonthlyPriceEur ${offer.monthlyPriceEur}, or ask for a smaller server`,
  );
}

/** An offer in one line. */
export function describeOffer(offer: Offer): string {
  return `${offer.planCode} (${offer.vcores} vCores, ${offer.memoryGib} GiB)`;
}

export function euros(amount: number): string {
  return `€${amount.toFixed(2)}/month`;
}

function judge(catalogue: Catalogue, plan: Plan, wish: Wish): Candidate | undefined {
  const size = readSize(catalogue, plan);
  const price = priceOf(plan.pricings, "renew");
  // Skipped: plans for existing contracts only, plans without a monthly price and plans of unknown size.
  if (!size || price === undefined || !isOrderable(plan.pricings)) return undefined;
  const families = plan.addonFamilies.filter(({ mandatory }) => mandatory);
  const chosen = families.map((family) => cheapest(catalogue, family.addons));
  const addons = chosen.flatMap((addon) => addon ?? []);
  const lacks = [
    size.vcores < wish.vcores && `${wish.vcores - size.vcores} vCores`,
    size.memoryGib < wish.memoryGib && `${wish.memoryGib - size.memoryGib} GiB of memory`,
    !offers(plan, "vps_datacenter", wish.datacentre) && `datacentre ${wish.datacentre}`,
    !offers(plan, "vps_os", wish.image) && `the image "${wish.image}"`,
    ...families.map(
      (family, index) => !chosen[index] && `an option of the family "${family.name}" that can be ordered`,
    ),
  ];
  const units = addons.reduce((sum, addon) => sum + addon.monthly, price);
  const setup = addons.reduce((sum, addon) => sum + addon.setup, priceOf(plan.pricings, "installation") ?? 0);
  return {
    offer: {
      planCode: plan.planCode,
      invoiceName: plan.invoiceName,
      ...size,
      addons: addons.map(({ planCode }) => planCode),
      monthlyPriceEur: units / PRICE_UNIT,
      setupPriceEur: setup / PRICE_UNIT,
    },
    lacks: lacks.filter((lack) => lack !== false),
  };
}

// The catalogue has the size in the plan, in its product or, for older plans, only in the code: vps-comfort-4-8-160.
function readSize(catalogue: Catalogue, plan: Plan): { vcores: number; memoryGib: number } | undefined {
  const product = catalogue.products?.find(({ name }) => name === plan.product);
  for (const blobs of [plan.blobs, product?.blobs]) {
    const vcores = blobs?.technical?.cpu?.cores;
    const memoryGib = blobs?.technical?.memory?.size;
    if (vcores !== undefined && memoryGib !== undefined) return { vcores, memoryGib };
  }
  const inCode = /-(\d+)-(\d+)-\d+$/.exec(plan.planCode);
  return inCode ? { vcores: Number(inCode[1]), memoryGib: Number(inCode[2]) } : undefined;
}

function offers(plan: Plan, label: string, value: string): boolean {
  return plan.configurations.some(({ name, values }) => name === label && values.includes(value));
}

// Options for Windows and Linux are in one family. Those for Windows cost more, so the cheapest is for Linux.
function cheapest(
  catalogue: Catalogue,
  codes: readonly string[],
): { planCode: string; monthly: number; setup: number } | undefined {
  const priced = codes.flatMap((planCode) => {
    const addon = catalogue.addons.find((candidate) => candidate.planCode === planCode);
    const monthly = addon && priceOf(addon.pricings, "renew");
    if (!addon || monthly === undefined || !isOrderable(addon.pricings) || /windows/.test(planCode))
      return [];
    return { planCode, monthly, setup: priceOf(addon.pricings, "installation") ?? 0 };
  });
  return priced.sort(
    (a, b) => a.monthly + a.setup - b.monthly - b.setup || a.planCode.localeCompare(b.planCode),
  )[0];
}

function isOrderable(pricings: readonly Pricing[]): boolean {
  return pricings.some(({ mode, capacities }) => mode === "default" && capacities.includes("installation"));
}

function priceOf(pricings: readonly Pricing[], capacity: "renew" | "installation"): number | undefined {
  const fitting = pricings.filter(
    ({ mode, capacities, interval, intervalUnit }) =>
      mode === "default" &&
      capacities.includes(capacity) &&
      // A price of every renewal may name the installation, too. A price that names only the installation is paid once.
      (capacity === "renew" ? interval === 1 && intervalUnit === "month" : !capacities.includes("renew")),
  );
  if (fitting.length === 0) return undefined;
  const lasting = Math.max(...fitting.map(({ phase = 0 }) => phase));
  return Math.min(...fitting.filter(({ phase = 0 }) => phase === lasting).map(({ price }) => price));
}

async function isInStock(
  client: OvhClient,
  { planCode, subsidiary, datacentre }: Wish & { readonly planCode: string },
): Promise<boolean> {
  const stock = await client.get<{
    readonly datacenters: readonly { datacenter: string; status: string; linuxStatus?: string }[];
  }>("/v1/vps/order/rule/datacenter", { isPublic: true, query: { ovhSubsidiary: subsidiary, planCode } });
  const place = stock.datacenters.find(({ datacenter }) => datacenter === datacentre);
  return (place?.linuxStatus ?? place?.status) === "available";
}

function noOffer(wish: Wish, candidates: readonly Candidate[]): UserError {
  const asked = `${wish.vcores} vCores, ${wish.memoryGib} GiB, ${wish.datacentre}, ${wish.image}`;
  const nearest = candidates
    .slice(0, NEAREST)
    .map(
      ({ offer, lacks }) =>
        `${describeOffer(offer)} at ${euros(offer.monthlyPriceEur)} lacks ${lacks.join(" and ")}`,
    );
  return new UserError(
    `server.order: expected a plan with ${asked} in the catalogue of ${wish.subsidiary}, got none ` +
      `(${nearest.join("; ") || "the catalogue is empty"}); change what server asks for, or adopt a server with server.serviceName`,
  );
}
