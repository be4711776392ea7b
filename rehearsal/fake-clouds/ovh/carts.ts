import { randomUUID } from "node:crypto";

import type { ApiRequest, Params, Routes } from "../api/routes.ts";
import { anything, boolean, long, optional, readBody, required, string } from "./body.ts";
import { priceOf, renderCheckout, renderOffer, renderOptions, taxOf } from "./cart-prices.ts";
import {
  addonFamilies,
  configurations,
  findModel,
  MODELS,
  regionOf,
  renderCatalogue,
  renderPrice,
  requireModel,
} from "./catalogue.ts";
import { newId, now, type OvhContext } from "./context.ts";
import { badRequest, notFound } from "./errors.ts";
import { orderUrl, payOrder } from "./orders.ts";
import type { Cart, CartItem, Order } from "./state.ts";

const SUBSIDIARIES = [
  "CZ",
  "DE",
  "ES",
  "FI",
  "FR",
  "GB",
  "IE",
  "IT",
  "LT",
  "MA",
  "NL",
  "PL",
  "PT",
  "SN",
  "TN",
];
const DAY_MS = 24 * 3600 * 1000;

/** Catalogue, stock and carts: everything before an order. */
export function cartRoutes(context: OvhContext): Routes {
  return {
    ...catalogueRoutes(context),
    ...wholeCartRoutes(context),
    ...offerRoutes(context),
    ...itemRoutes(context),
    ...checkoutRoutes(context),
  };
}

function catalogueRoutes(context: OvhContext): Routes {
  return {
    "GET /order/catalog/public/vps": ({ query }) =>
      renderCatalogue(readSubsidiary(query.get("ovhSubsidiary")), context.images),
    "GET /vps/order/rule/datacenter": ({ query }) => stockOf(context, query),
  };
}

function wholeCartRoutes(context: OvhContext): Routes {
  const { state } = context;
  return {
    "GET /order/cart": () => state.carts.filter((cart) => cart.assigned).map((cart) => cart.cartId),
    "POST /order/cart": (request) => {
      const body = readBody(request, {
        ovhSubsidiary: required(string),
        description: optional(string),
        expire: optional(string),
      });
      const cart: Cart = {
        cartId: randomUUID(),
        ovhSubsidiary: readSubsidiary(body["ovhSubsidiary"]),
        description: (body["description"] as string | undefined) ?? "",
        expire: (body["expire"] as string | undefined) ?? new Date(now(context) + DAY_MS).toISOString(),
        assigned: false,
        readOnly: false,
        items: [],
      };
      state.carts.push(cart);
      return renderCart(cart);
    },
    "GET /order/cart/{cartId}": (_, params) => renderCart(cartOf(context, params)),
    "DELETE /order/cart/{cartId}": (_, params) => {
      const cart = cartOf(context, params);
      state.carts = state.carts.filter((other) => other !== cart);
      return null;
    },
    "POST /order/cart/{cartId}/assign": (_, params) => {
      const cart = cartOf(context, params);
      if (cart.assigned) throw badRequest("Cart is already assigned");
      cart.assigned = true;
      return null;
    },
  };
}

/** What a cart may hold, and putting it in. */
function offerRoutes(context: OvhContext): Routes {
  return {
    "GET /order/cart/{cartId}/vps": (_, params) => {
      cartOf(context, params);
      return MODELS.filter((model) => model.orderable).map(renderOffer);
    },
    "POST /order/cart/{cartId}/vps": (request, params) =>
      addServer(context, openCartOf(context, params), request),
    "GET /order/cart/{cartId}/vps/options": (request, params) => {
      cartOf(context, params);
      return renderOptions(requireModel(request.query.get("planCode") ?? ""));
    },
    "POST /order/cart/{cartId}/vps/options": (request, params) =>
      addOption(context, openCartOf(context, params), request),
  };
}

function itemRoutes(context: OvhContext): Routes {
  return {
    "GET /order/cart/{cartId}/item": (_, params) => cartOf(context, params).items.map((item) => item.itemId),
    "GET /order/cart/{cartId}/item/{itemId}": (_, params) => {
      const cart = cartOf(context, params);
      return renderItem(cart, requireItem(cart, params["itemId"]));
    },
    "GET /order/cart/{cartId}/item/{itemId}/requiredConfiguration": (_, params) => {
      const item = requireItem(cartOf(context, params), params["itemId"]);
      if (item.parentItemId !== null) return [];
      return configurations(requireModel(item.planCode), context.images).map(
        ({ label, required: isRequired }) => ({
          label,
          required: isRequired,
          type: "String",
          fields: [],
        }),
      );
    },
    "GET /order/cart/{cartId}/item/{itemId}/configuration": (_, params) =>
      requireItem(cartOf(context, params), params["itemId"]).configurations.map((entry) => entry.id),
    "GET /order/cart/{cartId}/item/{itemId}/configuration/{configurationId}": (_, params) => {
      const item = requireItem(cartOf(context, params), params["itemId"]);
      const entry = item.configurations.find(({ id }) => String(id) === params["configurationId"]);
      if (!entry) throw notFound("Configuration not found");
      return entry;
    },
    "POST /order/cart/{cartId}/item/{itemId}/configuration": (request, params) => {
      const item = requireItem(openCartOf(context, params), params["itemId"]);
      const body = readBody(request, { label: required(string), value: required(string) });
      return configure(context, item, String(body["label"]), String(body["value"]));
    },
  };
}

function checkoutRoutes(context: OvhContext): Routes {
  return {
    "GET /order/cart/{cartId}/summary": (_, params) => renderSimulation(cartOf(context, params)),
    "GET /order/cart/{cartId}/checkout": (_, params) => {
      const cart = cartOf(context, params);
      requireComplete(context, cart);
      return renderSimulation(cart);
    },
    "POST /order/cart/{cartId}/checkout": (request, params) => {
      const body = readBody(request, {
        autoPayWithPreferredPaymentMethod: optional(boolean),
        waiveRetractationPeriod: optional(boolean),
      });
      const order = checkOut(context, openCartOf(context, params));
      if (body["autoPayWithPreferredPaymentMethod"] === true) payWithDefault(context, order);
      return { ...renderCheckout(order.lines), orderId: order.orderId, url: orderUrl(order) };
    },
  };
}

function cartOf({ state }: OvhContext, params: Params): Cart {
  return requireCart(state.carts, params["cartId"] ?? "");
}

function openCartOf(context: OvhContext, params: Params): Cart {
  const cart = cartOf(context, params);
  if (cart.readOnly) throw badRequest("This cart is read only");
  return cart;
}

function readSubsidiary(value: unknown): string {
  if (typeof value !== "string" || !SUBSIDIARIES.includes(value)) throw badRequest("invalid ovhSubsidiary");
  return value;
}

function stockOf(context: OvhContext, query: URLSearchParams): unknown {
  readSubsidiary(query.get("ovhSubsidiary"));
  const model = findModel(query.get("planCode") ?? "");
  if (!model) throw notFound("not found: plan not found");
  return {
    datacenters: model.datacentres.map((code) => {
      const status = context.state.stock[code] ?? "available";
      const daysBeforeDelivery = status === "out-of-stock" ? -1 : 0;
      return {
        datacenter: code,
        code,
        status,
        linuxStatus: status,
        windowsStatus: status,
        daysBeforeDelivery,
      };
    }),
  };
}

function addServer(context: OvhContext, cart: Cart, request: ApiRequest): unknown {
  const body = readBody(request, {
    planCode: required(string),
    duration: required(string),
    pricingMode: required(string),
    quantity: required(long),
    configuration: optional(anything),
    domain: optional(string),
    itemId: optional(long),
  });
  const model = requireModel(String(body["planCode"]));
  requireOffered(model.orderable, model.planCode, body);
  const item = newItem(context, body, null);
  cart.items.push(item);
  return renderItem(cart, item);
}

function addOption(context: OvhContext, cart: Cart, request: ApiRequest): unknown {
  const body = readBody(request, {
    planCode: required(string),
    itemId: required(long),
    duration: required(string),
    pricingMode: required(string),
    quantity: required(long),
    configuration: optional(anything),
  });
  const parent = requireItem(cart, String(body["itemId"]));
  const planCode = String(body["planCode"]);
  const families = addonFamilies(requireModel(parent.planCode));
  const family = families.find(({ addons }) => addons.some((addon) => addon.planCode === planCode));
  requireOffered(family !== undefined, planCode, body);
  const rival = optionsOf(cart, parent).find((option) =>
    family?.addons.some((addon) => addon.planCode === option.planCode),
  );
  if (rival) throw badRequest(`Option ${planCode} is exclusive with ${rival.planCode}`);
  const item = newItem(context, body, parent.itemId);
  cart.items.push(item);
  return renderItem(cart, item);
}

function requireOffered(offered: boolean, planCode: string, body: Readonly<Record<string, unknown>>): void {
  const { duration, pricingMode } = body as { duration: string; pricingMode: string };
  const known =
    (duration === "P1M" && pricingMode === "default") || (duration === "P12M" && pricingMode === "upfront12");
  if (!offered || !known) {
    throw badRequest(
      `Offer ${planCode} is not available with duration ${duration} and pricing mode ${pricingMode}`,
    );
  }
}

function newItem(
  context: OvhContext,
  body: Readonly<Record<string, unknown>>,
  parentItemId: number | null,
): CartItem {
  return {
    itemId: newId(context),
    parentItemId,
    planCode: String(body["planCode"]),
    duration: String(body["duration"]),
    pricingMode: String(body["pricingMode"]),
    quantity: Number(body["quantity"]),
    configurations: [],
  };
}

function configure(context: OvhContext, item: CartItem, label: string, value: string): unknown {
  const known = item.parentItemId === null ? configurations(requireModel(item.planCode), context.images) : [];
  const requirement = known.find((candidate) => candidate.label === label);
  if (!requirement) throw badRequest(`Configuration ${label} is not applicable to this item`);
  if (!requirement.values.includes(value)) {
    throw badRequest(`Value ${value} is not allowed for configuration ${label}`);
  }
  if (item.configurations.some((entry) => entry.label === label)) {
    throw badRequest(`Configuration ${label} is already set`);
  }
  const entry = { id: newId(context), label, value };
  item.configurations.push(entry);
  return entry;
}

function checkOut(context: OvhContext, cart: Cart): Order {
  if (!cart.assigned) throw badRequest("Cart must be assigned before checkout");
  requireComplete(context, cart);
  const server = cart.items.find((item) => item.parentItemId === null);
  if (!server) throw badRequest("Cart is empty");
  const value = (label: string): string =>
    server.configurations.find((entry) => entry.label === label)?.value ?? "";
  const datacentre = value("vps_datacenter");
  if (context.state.stock[datacentre] === "out-of-stock") {
    throw badRequest(`Product ${server.planCode} is out of stock in ${datacentre}`);
  }
  const lines = cart.items.map((item) => ({
    id: newId(context),
    planCode: item.planCode,
    description: `${item.planCode} rental for 1 month`,
    price: priceOf(cart, item),
    configurations: item.configurations.map((entry) => ({ label: entry.label, value: entry.value })),
  }));
  const order: Order = {
    orderId: newId(context),
    date: now(context),
    status: "notPaid",
    lines,
    tax: taxOf(lines),
    serviceName: null,
    vps: { planCode: server.planCode, datacentre, os: value("vps_os") },
    payments: 0,
  };
  cart.readOnly = true;
  context.state.orders.push(order);
  return order;
}

function requireComplete(context: OvhContext, cart: Cart): void {
  for (const server of cart.items.filter((item) => item.parentItemId === null)) {
    const model = requireModel(server.planCode);
    const set = new Map(server.configurations.map((entry) => [entry.label, entry.value]));
    const missing = configurations(model, context.images).find(
      ({ label, required: isRequired }) => isRequired && !set.has(label),
    );
    if (missing) throw badRequest(`Item ${server.itemId}: missing required configuration ${missing.label}`);
    if (set.get("region") !== regionOf(set.get("vps_datacenter") ?? "")) {
      throw badRequest(`Item ${server.itemId}: region ${set.get("region")} does not match the datacenter`);
    }
    const options = optionsOf(cart, server).map((option) => option.planCode);
    const lacking = addonFamilies(model).find(
      (family) => family.mandatory && !family.addons.some((addon) => options.includes(addon.planCode)),
    );
    if (lacking)
      throw badRequest(`Item ${server.itemId}: mandatory option family ${lacking.name} is missing`);
  }
}

function payWithDefault(context: OvhContext, order: Order): void {
  const method = context.state.paymentMethods.find((candidate) => candidate.default);
  if (method) payOrder(context, order);
}

function optionsOf(cart: Cart, parent: CartItem): readonly CartItem[] {
  return cart.items.filter((item) => item.parentItemId === parent.itemId);
}

function renderSimulation(cart: Cart): Record<string, unknown> {
  const lines = cart.items.map((item) => ({ description: item.planCode, price: priceOf(cart, item) }));
  return { ...renderCheckout(lines), orderId: null, url: null };
}

function renderCart(cart: Cart): unknown {
  const { cartId, description, expire, readOnly, items } = cart;
  return { cartId, description, expire, readOnly, items: items.map((item) => item.itemId) };
}

function renderItem(cart: Cart, item: CartItem): unknown {
  return {
    cartId: cart.cartId,
    itemId: item.itemId,
    parentItemId: item.parentItemId,
    productId: "vps",
    offerId: null,
    duration: item.duration,
    configurations: item.configurations.map((entry) => entry.id),
    options: optionsOf(cart, item).map((option) => option.itemId),
    prices: [{ label: "TOTAL", price: renderPrice(priceOf(cart, item)) }],
    settings: { planCode: item.planCode, pricingMode: item.pricingMode, quantity: item.quantity },
  };
}

function requireCart(carts: readonly Cart[], cartId: string): Cart {
  const cart = carts.find((candidate) => candidate.cartId === cartId);
  if (!cart) throw notFound(`Cart with identifier ${cartId} not found`);
  return cart;
}

function requireItem(cart: Cart, itemId: string | undefined): CartItem {
  const item = cart.items.find((candidate) => String(candidate.itemId) === itemId);
  if (!item) throw notFound(`Item ${itemId} not found in cart ${cart.cartId}`);
  return item;
}
