import { UserError } from "../../../common/user-error.ts";
import type { OvhClient } from "../client.ts";
import { ifThere, OvhError } from "../errors.ts";
import { serverPath, type VpsContext } from "./context.ts";
import { markerOf } from "./journal.ts";

/** An order of a server. */
export interface ServerOrder {
  readonly id: number;
  readonly status: string;
  readonly plan: string;
  /** The ordered service; undefined until OVH names it. */
  readonly serviceName: string | undefined;
}

interface Cart {
  readonly cartId: string;
  readonly description: string | null;
  readonly expire: string | null;
  readonly readOnly: boolean;
}

const DAY_MS = 24 * 3600 * 1000;
/** Age after which unpaid orders and carts no longer exist. */
const RECENT_MS = 30 * DAY_MS;
export const CART_LIFE_MS = DAY_MS;
const CLOCK_SLACK_MS = 3600 * 1000;
const CANCELLED = ["cancelled", "cancelling"];

/** Ids of the orders made since then. */
export function listOrders(client: OvhClient, since: number): Promise<readonly number[]> {
  return client.get<readonly number[]>("/me/order", {
    query: { "date.from": ovhDate(since - CLOCK_SLACK_MS) },
  });
}

/** A time as OVH writes it, without fractions of a second. */
export function ovhDate(time: number): string {
  return new Date(time).toISOString().replace(/\.\d{3}Z$/, "+00:00");
}

export function orderStatus(client: OvhClient, id: number): Promise<string> {
  return client.get<string>(`/me/order/${id}/status`);
}

export function isCancelled(status: string): boolean {
  return CANCELLED.includes(status);
}

/** The order; undefined when it contains no server. */
export async function readServerOrder(client: OvhClient, id: number): Promise<ServerOrder | undefined> {
  const path = `/me/order/${id}/details`;
  const details = await client.get<readonly number[]>(path);
  for (const detail of details) {
    const extension = await ifThere(
      client.get<{ order: { plan: { code: string } } }>(`${path}/${detail}/extension`),
    );
    const plan = extension?.order.plan.code;
    // The options of a server are further lines of the order, with codes of their own.
    if (!plan?.startsWith("vps")) continue;
    const { domain } = await client.get<{ domain: string | null }>(`${path}/${detail}`);
    return {
      id,
      status: await orderStatus(client, id),
      plan,
      serviceName: domain && domain !== "*" ? domain : undefined,
    };
  }
  return undefined;
}

/** Orders of servers since then that no other resource of this machine claims. */
async function readServerOrders(
  { client, journal }: VpsContext,
  since: number,
): Promise<readonly ServerOrder[]> {
  const others = journal.ordersOfOthers();
  const orders: ServerOrder[] = [];
  for (const id of await listOrders(client, since)) {
    const order = others.has(id) ? undefined : await readServerOrder(client, id);
    if (order) orders.push(order);
  }
  return orders;
}

/**
 * Fails when the account has anything that could already be the server to order.
 *
 * The journal of this machine has no such order, but another machine may have been interrupted while ordering.
 */
export async function refuseSecondOrder(
  context: VpsContext,
  { name, again }: { readonly name: string; readonly again: string | undefined },
): Promise<void> {
  const named = await findByName(context.client, name);
  if (named) {
    throw refusal(
      `no server named "${name}" in this account`,
      `${named}, which has that name`,
      `use it: ${adoptCommand(named)} (it is not reinstalled), or give it another name in OVH's control panel to order one more`,
    );
  }
  const orders = await readServerOrders(context, Date.now() - RECENT_MS);
  const lost: ServerOrder[] = [];
  for (const order of orders) {
    if (!isCancelled(order.status) && (await isLost(context.client, order))) lost.push(order);
  }
  // One name is enough to say that servers were ended on purpose: that of the last one.
  const last = lost.sort((a, b) => b.id - a.id)[0]?.serviceName;
  if (last !== undefined) refuseOrderAgain(last, again);
  await refuseCart(context, orders);
}

/** Refuses an order in place of a server that was delivered: OVH may have hidden it only for a while, or only for these keys. */
export function refuseOrderAgain(serviceName: string, again: string | undefined): void {
  if (again === serviceName) return;
  throw refusal(
    "no server that was ordered before and is not in force",
    serviceName,
    "look for it in OVH's control panel, and check that the keys are of its account; use another server with " +
      `${adoptCommand("<its name>")}, or order and pay one more with pulumi config set --path technicia:server.order.again ${serviceName}`,
  );
}

export function adoptCommand(serviceName: string): string {
  return `pulumi config set --path technicia:server.serviceName ${serviceName}`;
}

async function findByName(client: OvhClient, name: string): Promise<string | undefined> {
  const servers = await client.get<readonly string[]>("/vps");
  for (const serviceName of servers) {
    if ((await readDisplayName(client, serviceName)) === name) return serviceName;
  }
  return undefined;
}

/** Whether the server of a delivered order is no longer in force. Refuses an order that may be the wanted server. */
async function isLost(client: OvhClient, order: ServerOrder): Promise<boolean> {
  if (order.status !== "delivered") {
    throw refusal(
      "no open order of a server in this account",
      `order ${order.id} (${order.plan}, ${order.status})`,
      "it may come from an interrupted run on another machine: run pulumi up there, or pay it in OVH's control panel, wait for the " +
        `server and use it with ${adoptCommand("<its name>")}; if it is not wanted, cancel it, and if it is another server, ` +
        "wait until it is delivered and named",
    );
  }
  if (!order.serviceName) {
    throw refusal(
      "every delivered order to name its server",
      `order ${order.id} (${order.plan}), which names none yet`,
      `it may come from an interrupted run on another machine: run pulumi up there, or wait until OVH's control panel shows the server and use it with ${adoptCommand("<its name>")}`,
    );
  }
  const displayName = await readDisplayName(client, order.serviceName);
  if (displayName !== order.serviceName) return displayName === undefined;
  throw refusal(
    "every newly ordered server to have a name",
    `${order.serviceName} of order ${order.id}, which has none yet`,
    `it may come from an interrupted run on another machine: use it with ${adoptCommand(order.serviceName)} after installing ` +
      "your key on it, or give it a name in OVH's control panel if it is another server",
  );
}

// A very recent checkout may not be in the list of orders yet.
async function refuseCart({ client, call }: VpsContext, orders: readonly ServerOrder[]): Promise<void> {
  const marker = markerOf(call.urn);
  const ids = await client.get<readonly string[]>("/order/cart", { query: { description: marker } });
  for (const id of ids) {
    const cart = await ifThere(client.get<Cart>(`/order/cart/${encodeURIComponent(id)}`));
    const made = Date.parse(cart?.expire ?? "") - CART_LIFE_MS;
    if (cart?.description !== marker || !cart.readOnly || !(Date.now() - made < CLOCK_SLACK_MS)) continue;
    // An order that is in the list by now was checked before this.
    const listed = await listOrders(client, made);
    if (orders.some((order) => listed.includes(order.id))) continue;
    throw refusal(
      "no cart of this stack that was just ordered",
      `cart ${cart.cartId}`,
      "another run ordered a server a moment ago: wait until its order shows in OVH's control panel and run pulumi up again",
    );
  }
}

async function readDisplayName(client: OvhClient, serviceName: string): Promise<string | undefined> {
  try {
    const server = await client.get<{ readonly name: string; readonly displayName: string | null }>(
      serverPath(serviceName),
    );
    return server.displayName || server.name;
  } catch (error) {
    if (error instanceof OvhError && (error.isGone || error.isExpired)) return undefined;
    throw error;
  }
}

function refusal(expected: string, got: string, todo: string): UserError {
  return new UserError(`server.order: expected ${expected}, got ${got}; ${todo}`);
}
