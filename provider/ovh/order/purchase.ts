import { UserError } from "../../../common/user-error.ts";
import { describeOffer, euros, type Offer, type Wish } from "./catalog.ts";
import type { OvhClient } from "../client.ts";
import { ifThere, OvhError } from "../errors.ts";
import { poll } from "../poll.ts";
import type { VpsContext } from "./context.ts";
import { type Entry, markerOf } from "./journal.ts";
import {
  CART_LIFE_MS,
  isCancelled,
  listOrders,
  orderStatus,
  ovhDate,
  readServerOrder,
  type ServerOrder,
} from "./orders.ts";

/** An order and what it is for. */
export type Purchase = NonNullable<Entry["order"]>;

/** What is bought, and what was wished for. */
interface Terms {
  readonly offer: Offer;
  readonly wish: Wish;
}

interface Requirement {
  readonly label: string;
  readonly required: boolean;
  /** Absent where any value is allowed. */
  readonly allowedValues?: readonly string[] | null;
}

interface Checkout {
  readonly orderId: number | null;
  readonly prices: { readonly withoutTax: { readonly value: number } };
}

const NORTH_AMERICA = ["BHS", "YNM", "YYZ"];
const CENT = 0.01;

/**
 * Places the order; it is not paid yet.
 *
 * Before the call that creates the order, the journal records what it takes to find that order again if the answer is lost.
 */
export async function placeOrder(context: VpsContext, { offer, wish }: Terms): Promise<Purchase> {
  const { client, call, journal } = context;
  const { cartId } = await client.post<{ cartId: string }>("/order/cart", {
    ovhSubsidiary: wish.subsidiary,
    description: markerOf(call.urn),
    expire: ovhDate(Date.now() + CART_LIFE_MS),
  });
  const cart = `/order/cart/${encodeURIComponent(cartId)}`;
  await client.post(`${cart}/assign`);
  await fillCart(client, { cart, offer, wish });
  const { prices } = await client.get<Checkout>(`${cart}/checkout`);
  refuseDearer(prices.withoutTax.value, { offer, wish });
  await defaultPayment(client);

  const at = Date.now();
  const { planCode: plan, monthlyPriceEur } = offer;
  const knownOrders = await listOrders(client, at);
  journal.note({ checkout: { cartId, at: new Date(at).toISOString(), knownOrders, plan, monthlyPriceEur } });
  const { orderId } = await client.post<Checkout>(`${cart}/checkout`, {
    autoPayWithPreferredPaymentMethod: false,
    waiveRetractationPeriod: false,
  });
  if (!orderId) throw new Error(`POST ${cart}/checkout gave no order id`);
  return keep(context, { id: orderId, plan, monthlyPriceEur });
}

/** The order of an earlier run, which may have been killed before it read the id; undefined when there is none. */
export async function findOwnOrder(context: VpsContext): Promise<Purchase | undefined> {
  const { client, journal } = context;
  const { order, checkout } = journal.entry;
  if (order) return order;
  if (!checkout) return undefined;
  const path = `/order/cart/${encodeURIComponent(checkout.cartId)}`;
  const cart = await ifThere(client.get<{ readOnly: boolean }>(path));
  // A checkout that is still on its way finds nothing to order afterwards.
  if (cart && !cart.readOnly) await ifThere(client.delete(path));
  const all = await newOrders(context, checkout);
  const open = all.filter(({ status }) => !isCancelled(status));
  // Without an open order, only a checked-out cart suggests that an order exists and is not listed yet.
  if (open.length === 0 && (all.length > 0 || !cart?.readOnly)) {
    journal.clear();
    return undefined;
  }
  const [only, ...more] = open;
  if (cart?.readOnly && only && more.length === 0) {
    return keep(context, { id: only.id, plan: checkout.plan, monthlyPriceEur: checkout.monthlyPriceEur });
  }
  const orders = open.map(({ id, status }) => `${id} (${status})`).join(", ") || "none listed yet";
  throw new UserError(
    `server.order: expected to find the order made from cart ${checkout.cartId} at ${checkout.at}, got ${orders}; look at the orders in ` +
      "OVH's control panel: if none is listed, wait some minutes and run pulumi up again; if one is of this stack, pay it and, once it is " +
      "delivered, use the server with pulumi config set --path technicia:server.serviceName <its name>; if none is, remove " +
      `${journal.path} and run pulumi up again`,
  );
}

/** Pays the order unless it is already paid. */
export async function payOrder(context: VpsContext, { id }: Purchase): Promise<void> {
  const { client, call, journal } = context;
  let status = await orderStatus(client, id);
  if (status === "notPaid" && journal.entry.isPaying) status = await awaitPayment(context, id);
  if (status !== "notPaid") return;
  const method = await defaultPayment(client);
  journal.note({ isPaying: true });
  call.log.info(`order ${id}: paying with the account's default payment method`);
  try {
    await client.post(`/me/order/${id}/pay`, { paymentMethod: { id: method } });
  } catch (error) {
    if (error instanceof OvhError && /already paid/i.test(error.detail)) return;
    // OVH certainly refused, so the next run need not wait until the payment shows.
    if (error instanceof OvhError && !error.maybeDone) journal.note({ isPaying: false });
    throw error;
  }
}

/** Waits for the delivery and returns the name of the server. */
export async function awaitDelivery(context: VpsContext, { id }: Purchase): Promise<string> {
  const { client, call, pace } = context;
  const unpaidUntil = Date.now() + pace.paymentMs;
  let status = "";
  const late = (): string =>
    `order ${id}: OVH has not delivered the server yet (status "${status}"); wait for OVH's mail and run pulumi up again, which continues from here`;
  const isDelivered = async (): Promise<boolean> => {
    status = await orderStatus(client, id);
    if (status === "delivered") return true;
    refuseStatus(id, { status, isOverdue: Date.now() > unpaidUntil });
    call.log.status(`order ${id}: ${status}`);
    return false;
  };
  await poll(context, { limitMs: pace.deliveryMs, late, look: isDelivered });
  const readName = async () => (await readServerOrder(client, id))?.serviceName;
  return poll(context, { limitMs: pace.tasksMs, late, look: readName });
}

function refuseStatus(id: number, { status, isOverdue }: { status: string; isOverdue: boolean }): void {
  const go = "then run pulumi up again, which continues this order";
  if (isCancelled(status)) {
    throw new UserError(
      `order ${id}: expected it to be delivered, got "${status}"; it will never be delivered: to order again, remove the server from the state ` +
        "with pulumi state delete <urn> and run pulumi up",
    );
  }
  if (status === "documentsRequested") {
    throw new UserError(
      `order ${id}: expected it to be delivered, got "documentsRequested"; send OVH the documents it asks for by mail, ${go}`,
    );
  }
  if (status === "notPaid" && isOverdue) {
    throw new UserError(
      `order ${id}: expected it to be paid, got "notPaid"; pay it in OVH's control panel (Billing, Orders) or correct the default payment method, ${go}`,
    );
  }
}

async function fillCart(
  client: OvhClient,
  { cart, offer, wish }: Terms & { readonly cart: string },
): Promise<void> {
  const terms = { duration: "P1M", pricingMode: "default", quantity: 1 };
  const { itemId } = await client.post<{ itemId: number }>(`${cart}/vps`, {
    planCode: offer.planCode,
    ...terms,
  });
  const item = `${cart}/item/${itemId}`;
  const requirements = await client.get<readonly Requirement[]>(`${item}/requiredConfiguration`);
  for (const requirement of requirements.filter(({ required }) => required)) {
    const value = configured(requirement, { offer, wish });
    await client.post(`${item}/configuration`, { label: requirement.label, value });
  }
  for (const planCode of offer.addons) {
    await client.post(`${cart}/vps/options`, { itemId, planCode, ...terms });
  }
}

function configured({ label, allowedValues }: Requirement, { offer, wish }: Terms): string {
  const allowed = allowedValues ?? [];
  switch (label) {
    case "vps_datacenter":
      return wish.datacentre;
    case "vps_os":
      return wish.image;
    case "region":
      return NORTH_AMERICA.includes(wish.datacentre) ? "canada" : "europe";
    case "infrastructure":
      return "production";
    default: {
      const [only, ...more] = allowed;
      if (only !== undefined && more.length === 0) return only;
      throw new UserError(
        `server.order: expected ${offer.planCode} to ask for a datacentre and an image, got the question "${label}" ` +
          `(${allowed.join(", ") || "any value"}); order it in OVH's control panel and adopt it with server.serviceName`,
      );
    }
  }
}

// The catalogue is public; the price for this account is known only now.
function refuseDearer(price: number, { offer, wish }: Terms): void {
  if (price <= wish.maxMonthlyPriceEur + offer.setupPriceEur + CENT) return;
  throw new UserError(
    `server.order.maxMonthlyPriceEur: expected at least ${euros(price)} for ${describeOffer(offer)} in this account's cart, ` +
      `got ${euros(wish.maxMonthlyPriceEur)}; accept that price with pulumi config set --path technicia:server.order.maxMonthlyPriceEur ${price}`,
  );
}

async function defaultPayment(client: OvhClient): Promise<number> {
  const methods = await client.get<readonly number[]>("/me/payment/method", { query: { default: "true" } });
  const [method] = methods;
  if (method !== undefined) return method;
  throw new UserError(
    "server.order: expected a default payment method in the OVH account, got none; add a card in OVH's control panel (Billing, Payment methods)",
  );
}

// OVH may show a paid order as unpaid for a while, and nobody must pay twice.
function awaitPayment(context: VpsContext, id: number): Promise<string> {
  const end = Date.now() + context.pace.paymentMs;
  const look = async (): Promise<string | undefined> => {
    const status = await orderStatus(context.client, id);
    return status !== "notPaid" || Date.now() >= end ? status : undefined;
  };
  return poll(context, { limitMs: Infinity, late: () => "", look });
}

async function newOrders(
  { client, journal }: VpsContext,
  checkout: NonNullable<Entry["checkout"]>,
): Promise<readonly ServerOrder[]> {
  const orders: ServerOrder[] = [];
  for (const id of await listOrders(client, Date.parse(checkout.at))) {
    if (checkout.knownOrders.includes(id) || journal.ordersOfOthers().has(id)) continue;
    const order = await readServerOrder(client, id);
    if (order?.plan === checkout.plan) orders.push(order);
  }
  return orders;
}

function keep({ journal, call }: VpsContext, purchase: Purchase): Purchase {
  journal.note({ order: purchase });
  call.log.info(`order ${purchase.id}: ${purchase.plan} at ${euros(purchase.monthlyPriceEur)} without tax`);
  return purchase;
}
