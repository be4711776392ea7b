import { addonFamilies, type Model, renderPrice, requireModel, TAX_RATE } from "./catalogue.ts";
import type { Cart, CartItem, OrderLine } from "./state.ts";

/** Something with a price: an item of a cart, or a line of an order. */
export type PricedLine = Pick<OrderLine, "description" | "price">;

/** Hundred-millionths of the currency, without tax, for the item's whole duration. */
export function priceOf(cart: Cart, item: CartItem): number {
  const monthly = monthlyPriceOf(cart, item) * item.quantity;
  return item.pricingMode === "upfront12" ? upfrontPrice(monthly) : monthly;
}

export function upfrontPrice(monthly: number): number {
  return Math.round((monthly * 12 * 95) / 100);
}

export function taxOf(lines: readonly PricedLine[]): number {
  return Math.round((totalOf(lines) * TAX_RATE) / 100);
}

export function totalOf(lines: readonly PricedLine[]): number {
  return lines.reduce((sum, line) => sum + line.price, 0);
}

/** What a checkout answers, done or only simulated. */
export function renderCheckout(lines: readonly PricedLine[]): Record<string, unknown> {
  return {
    contracts: [],
    details: lines.map((line) => ({
      description: line.description,
      detailType: "DURATION",
      domain: "",
      quantity: 1,
      reductions: [],
      unitPrice: renderPrice(line.price),
      totalPrice: renderPrice(line.price),
    })),
    prices: {
      withoutTax: renderPrice(totalOf(lines)),
      tax: renderPrice(taxOf(lines)),
      withTax: renderPrice(totalOf(lines) + taxOf(lines)),
      originalWithoutTax: null,
      reduction: null,
    },
  };
}

/** A model as a cart offers it. */
export function renderOffer(model: Model): unknown {
  return {
    planCode: model.planCode,
    productName: model.name,
    productType: "delivery",
    prices: [renderCartPrice(model.price)],
  };
}

/** The options that a cart offers with a model. */
export function renderOptions(model: Model): readonly unknown[] {
  return addonFamilies(model).flatMap((family) =>
    family.addons.map((addon) => ({
      planCode: addon.planCode,
      family: family.name,
      mandatory: family.mandatory,
      exclusive: true,
      productName: addon.planCode,
      productType: "delivery",
      prices: [renderCartPrice(addon.price)],
    })),
  );
}

function monthlyPriceOf(cart: Cart, item: CartItem): number {
  const parent = cart.items.find((candidate) => candidate.itemId === item.parentItemId);
  if (!parent) return requireModel(item.planCode).price;
  const addons = addonFamilies(requireModel(parent.planCode)).flatMap((family) => family.addons);
  return addons.find((addon) => addon.planCode === item.planCode)?.price ?? 0;
}

function renderCartPrice(price: number): unknown {
  return {
    capacities: ["renew"],
    description: "Monthly fees",
    duration: "P1M",
    interval: 1,
    minimumQuantity: 1,
    minimumRepeat: 1,
    maximumQuantity: null,
    maximumRepeat: null,
    price: renderPrice(price),
    priceInUcents: price,
    pricingMode: "default",
    pricingType: "rental",
  };
}
