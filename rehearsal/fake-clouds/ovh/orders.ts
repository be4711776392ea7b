import { createHash, randomBytes } from "node:crypto";

import { ovhDate } from "../clock.ts";
import type { JobHandler } from "../jobs.ts";
import type { Params, Routes } from "../api/routes.ts";
import { long, object, readBody, required, string } from "./body.ts";
import { renderPrice, requireModel } from "./catalogue.ts";
import { machineSpec, now, type OvhContext, type ServerAddress } from "./context.ts";
import { badRequest, notFound } from "./errors.ts";
import type { Order, OrderLine, PaymentMethod, VpsService } from "./state.ts";
import { finishTask, startTask } from "./tasks.ts";

const MONTH_MS = 30 * 24 * 3600 * 1000;

/** Orders, and how they are paid. */
export function orderRoutes(context: OvhContext): Routes {
  return {
    ...paymentMethodRoutes(context),
    ...orderReadingRoutes(context),
    ...payingRoutes(context),
  };
}

function paymentMethodRoutes(context: OvhContext): Routes {
  const { state } = context;
  return {
    "GET /me/payment/method": ({ query }) => {
      const wanted = query.get("default");
      return state.paymentMethods
        .filter((method) => wanted === null || String(method.default) === wanted)
        .map((method) => method.id);
    },
    "GET /me/payment/method/{id}": (_, params) => {
      const method = state.paymentMethods.find(({ id }) => String(id) === params["id"]);
      if (!method) throw notFound("Payment method not found");
      return renderPaymentMethod(method);
    },
  };
}

function orderReadingRoutes(context: OvhContext): Routes {
  const { state } = context;
  return {
    "GET /me/order": ({ query }) => {
      const from = readDate(query.get("date.from"), -Infinity);
      const to = readDate(query.get("date.to"), Infinity);
      return state.orders.filter(({ date }) => date >= from && date <= to).map((order) => order.orderId);
    },
    "GET /me/order/{orderId}": (_, params) => renderOrder(orderOf(context, params)),
    "GET /me/order/{orderId}/status": (_, params) => orderOf(context, params).status,
    "GET /me/order/{orderId}/associatedObject": (_, params) => {
      const order = orderOf(context, params);
      if (order.payments === 0) throw notFound("No associated object");
      return { id: `FR${order.orderId}`, type: "Bill" };
    },
    "GET /me/order/{orderId}/payment": (_, params) => {
      const order = orderOf(context, params);
      if (order.payments === 0) throw notFound("This order has no payment");
      return { paymentDate: ovhDate(order.date), paymentType: "creditCard", paymentIdentifier: null };
    },
    "GET /me/order/{orderId}/details": (_, params) => orderOf(context, params).lines.map((line) => line.id),
    "GET /me/order/{orderId}/details/{detailId}": (_, params) => {
      const order = orderOf(context, params);
      return renderLine(order, requireLine(order, params["detailId"]));
    },
    "GET /me/order/{orderId}/details/{detailId}/extension": (_, params) => {
      const order = orderOf(context, params);
      const line = requireLine(order, params["detailId"]);
      if (line.planCode === null) throw notFound("No extension for this order detail");
      return {
        order: {
          action: "installation",
          configurations: line.configurations,
          plan: {
            code: line.planCode,
            duration: "P1M",
            pricingMode: "default",
            product: { name: line.planCode },
            quantity: 1,
          },
        },
      };
    },
  };
}

function payingRoutes(context: OvhContext): Routes {
  const { state } = context;
  return {
    "POST /me/order/{orderId}/pay": (request, params) => {
      const order = orderOf(context, params);
      const body = readBody(request, { paymentMethod: required(object({ id: required(long) })) });
      const { id } = body["paymentMethod"] as { id: number };
      if (!state.paymentMethods.some((method) => method.id === id)) {
        throw badRequest("Invalid payment method");
      }
      payOrder(context, order);
      return null;
    },
    "GET /me/order/{orderId}/availableRegisteredPaymentMean": (_, params) =>
      orderOf(context, params).status === "notPaid" ? [{ paymentMean: "fidelityAccount" }] : [],
    "POST /me/order/{orderId}/payWithRegisteredPaymentMean": (request, params) => {
      const order = orderOf(context, params);
      readBody(request, { paymentMean: required(string) });
      if (order.lines.some((line) => line.price > 0))
        throw badRequest("Insufficient funds on this payment mean");
      payOrder(context, order);
      return null;
    },
  };
}

function orderOf(context: OvhContext, params: Params): Order {
  return requireOrder(context, params["orderId"]);
}

/** Takes the money. Delivery follows later. */
export function payOrder(context: OvhContext, order: Order): void {
  if (order.status !== "notPaid") throw badRequest(`Order ${order.orderId} is already paid`);
  order.payments += 1;
  order.status = "checking";
  context.jobs.add("order:checked", { orderId: order.orderId }, context.delays.checkingMs);
}

/** The course of a paid order. */
export function orderJobs(context: OvhContext): Readonly<Record<string, JobHandler>> {
  return {
    "order:checked": ({ orderId }) => {
      const order = requireOrder(context, String(orderId));
      const outcome = context.state.account.afterPayment;
      if (outcome !== "delivered") {
        order.status = outcome;
        return;
      }
      order.status = "delivering";
      context.jobs.add("order:deliver", { orderId: order.orderId }, context.delays.deliveringMs);
    },
    "order:deliver": async ({ orderId }) => {
      const order = requireOrder(context, String(orderId));
      if (order.status !== "delivering") return;
      const server = newServer(context, order);
      await context.machine.deliver(machineSpec(server));
      context.state.servers.push(server);
      order.serviceName = server.serviceName;
      order.status = "delivered";
      // Usual at OVH: the order is delivered while the server's first task still runs.
      const task = startTask(context, { server, type: "deliverVm", state: "doing" });
      context.jobs.add(
        "vps:installed",
        { serviceName: server.serviceName, taskId: task.id },
        context.delays.installingMs,
      );
    },
    "vps:installed": ({ serviceName, taskId }) => {
      const server = context.state.servers.find((candidate) => candidate.serviceName === serviceName);
      if (!server) return;
      finishTask(server, Number(taskId));
      server.state = "running";
    },
  };
}

/** A server with generated properties; `given` overrides them. */
export function makeServer(context: OvhContext, planCode: string, given: Partial<VpsService>): VpsService {
  const model = requireModel(planCode);
  const datacentre = given.datacentre ?? "GRA";
  const address = freeAddress(context, datacentre);
  const serviceName = given.serviceName ?? `vps-${randomBytes(4).toString("hex")}.vps.ovh.net`;
  return {
    serviceName,
    displayName: serviceName,
    planCode,
    vcore: model.vcore,
    memoryMib: model.memoryGib * 1024,
    diskGib: model.diskGib,
    datacentre,
    ipv4: given.ipv4 ?? address().ipv4,
    ipv6: given.ipv6 ?? address().ipv6,
    state: "running",
    netbootMode: "local",
    slaMonitoring: false,
    keymap: null,
    imageId: context.images[0] ?? "Debian 12",
    publicKey: null,
    tasks: [],
    creation: ovhDate(now(context)),
    expiration: ovhDate(now(context) + MONTH_MS),
    renew: { automatic: true, deleteAtExpiration: false, forced: false, period: 1 },
    expired: false,
    suspended: false,
    ...given,
  };
}

function newServer(context: OvhContext, order: Order): VpsService {
  if (!order.vps) throw new Error(`order ${order.orderId} is no order of a server`);
  return makeServer(context, order.vps.planCode, {
    datacentre: order.vps.datacentre,
    imageId: order.vps.os,
    state: "installing",
  });
}

/** One in that datacentre before one that is left elsewhere. */
function freeAddress(context: OvhContext, datacentre: string): () => ServerAddress {
  return () => {
    const taken = new Set(context.state.servers.map((server) => server.ipv4));
    const left = context.addresses.filter((address) => !taken.has(address.ipv4));
    const free = left.find((address) => address.datacentre === datacentre) ?? left[0];
    if (!free) throw new Error("no address is left for another server");
    return free;
  };
}

function requireOrder(context: OvhContext, orderId: string | undefined): Order {
  const order = context.state.orders.find((candidate) => String(candidate.orderId) === orderId);
  if (!order) throw notFound("This order does not exist");
  return order;
}

function requireLine(order: Order, id: string | undefined): OrderLine {
  const line = order.lines.find((candidate) => String(candidate.id) === id);
  if (!line) throw notFound("This order detail does not exist");
  return line;
}

function renderOrder(order: Order): unknown {
  const withoutTax = order.lines.reduce((sum, line) => sum + line.price, 0);
  const url = orderUrl(order);
  return {
    orderId: order.orderId,
    date: ovhDate(order.date),
    expirationDate: ovhDate(order.date + MONTH_MS / 2),
    retractionDate: null,
    metadatas: [],
    password: orderPassword(order),
    pdfUrl: `${url}&pdf=1`,
    url,
    priceWithoutTax: renderPrice(withoutTax),
    tax: renderPrice(order.tax),
    priceWithTax: renderPrice(withoutTax + order.tax),
  };
}

export function orderUrl(order: Order): string {
  return `https://www.ovh.com/cgi-bin/order/displayOrder.cgi?orderId=${order.orderId}&orderPassword=${orderPassword(order)}`;
}

function orderPassword(order: Order): string {
  return createHash("sha256").update(`order ${order.orderId}`).digest("base64url").slice(0, 8);
}

function renderLine(order: Order, line: OrderLine): unknown {
  return {
    orderDetailId: line.id,
    description: line.description,
    // Until delivery there is no name to give.
    domain: order.serviceName ?? "*",
    detailType: "DURATION",
    quantity: "1",
    cancelled: order.status === "cancelled",
    unitPrice: renderPrice(line.price),
    totalPrice: renderPrice(line.price),
  };
}

function renderPaymentMethod(method: PaymentMethod): unknown {
  return {
    paymentMethodId: method.id,
    default: method.default,
    paymentType: method.paymentType,
    paymentSubType: null,
    status: "VALID",
    label: "4242",
    description: null,
    creationDate: "2024-03-01T10:00:00+00:00",
    lastUpdate: "2024-03-01T10:00:00+00:00",
    expirationDate: null,
    billingContactId: null,
    icon: { name: method.paymentType.toLowerCase(), data: null },
  };
}

function readDate(text: string | null, otherwise: number): number {
  if (text === null) return otherwise;
  const time = Date.parse(text);
  if (Number.isNaN(time)) throw badRequest(`[date] Given data (${text}) is not valid for type datetime`);
  return time;
}
