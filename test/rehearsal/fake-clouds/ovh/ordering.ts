/* eslint-disable
  @typescript-eslint/no-unsafe-assignment,
  @typescript-eslint/no-unsafe-member-access
  -- answers have every shape, and their shape is what is asserted here */
import { expect } from "vitest";

import type { FakeOvh } from "../../../../rehearsal/fake-clouds/ovh/server.ts";
import type { ovhClient } from "./client.ts";

type Call = ReturnType<typeof ovhClient>;

const PLAN = { duration: "P1M", pricingMode: "default", quantity: 1 };

/** A cart that can be checked out, as far as `without` does not leave something out. */
export async function fillCart(call: Call, without: readonly string[] = []): Promise<string> {
  const { body: cart } = await call("POST", "/order/cart", { ovhSubsidiary: "FR" });
  const path = `/order/cart/${cart.cartId}`;
  if (!without.includes("assign")) await call("POST", `${path}/assign`);
  const { body: item } = await call("POST", `${path}/vps`, { planCode: "vps-2027-model2", ...PLAN });
  const configurations = { region: "europe", vps_datacenter: "GRA", vps_os: "Debian 12" };
  for (const [label, value] of Object.entries(configurations)) {
    if (!without.includes(label))
      await call("POST", `${path}/item/${item.itemId}/configuration`, { label, value });
  }
  for (const planCode of [
    "option-linux",
    "option-storage-local-2027-model2",
    "option-auto-backup-2027-1-model2",
  ]) {
    if (!without.includes(planCode))
      await call("POST", `${path}/vps/options`, { planCode, itemId: item.itemId, ...PLAN });
  }
  return path;
}

/** Checks out and answers the order's number. */
export async function placeOrder(call: Call): Promise<number> {
  const { status, body } = await call("POST", `${await fillCart(call)}/checkout`);
  expect(status).toBe(200);
  return Number(body.orderId);
}

export async function pay(call: Call, orderId: number): Promise<void> {
  const [id] = (await call("GET", "/me/payment/method?default=true")).body;
  expect((await call("POST", `/me/order/${orderId}/pay`, { paymentMethod: { id } })).status).toBe(200);
}

/** Orders a server, pays it and waits for it; answers the name of its service. */
export async function orderServer(ovh: FakeOvh, call: Call): Promise<string> {
  const orderId = await placeOrder(call);
  await pay(call, orderId);
  await ovh.settled();
  expect(ovh.state.failures).toEqual([]);
  const [detail] = (await call("GET", `/me/order/${orderId}/details`)).body;
  return String((await call("GET", `/me/order/${orderId}/details/${detail}`)).body.domain);
}
