/* eslint-disable
  @typescript-eslint/no-unsafe-argument,
  @typescript-eslint/no-unsafe-assignment,
  @typescript-eslint/no-unsafe-call,
  @typescript-eslint/no-unsafe-member-access,
  @typescript-eslint/no-unsafe-return
  -- answers have every shape, and their shape is what is asserted here */
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { ManualClock } from "../../../../rehearsal/fake-clouds/clock.ts";
import { NoMachine } from "../../../../rehearsal/fake-clouds/machine/machine.ts";
import { type FakeOvh, type OvhOptions, startOvh } from "../../../../rehearsal/fake-clouds/ovh/server.ts";
import { fillCart, orderServer, pay, placeOrder } from "./ordering.ts";
import { anonymously, ovhClient } from "./client.ts";

let ovh: FakeOvh;
let call: ReturnType<typeof ovhClient>;

async function start(options: OvhOptions = {}): Promise<void> {
  ovh = await startOvh(options);
  call = ovhClient(ovh.url);
}

beforeEach(() => start());
afterEach(() => ovh.close());

describe("the catalogue", () => {
  const catalogue = async () =>
    (await anonymously(`${ovh.url}/order/catalog/public/vps?ovhSubsidiary=FR`)).body;

  it("is public and has prices in hundred-millionths of a euro", async () => {
    const { plans, locale } = await catalogue();
    const plan = plans.find(({ planCode }: { planCode: string }) => planCode === "vps-2027-model2");
    const monthly = plan.pricings.find(
      (pricing: { mode: string; capacities: string[] }) =>
        pricing.mode === "default" && pricing.capacities.includes("renew"),
    );

    expect(locale).toEqual({ currencyCode: "EUR", subsidiary: "FR", taxRate: 20 });
    expect([monthly.price, monthly.tax]).toEqual([7_99000000, 1_59800000]);
  });

  it("has a plan's size at its product only", async () => {
    const { plans, products } = await catalogue();
    const sizes = plans.map((plan: { planCode: string; product: string; blobs: object }) => {
      const { technical } = products.find(({ name }: { name: string }) => name === plan.product).blobs;
      expect(plan.blobs).not.toHaveProperty("technical");
      return [plan.planCode, technical.cpu.cores, technical.memory.size, technical.storage.disks[0].capacity];
    });

    expect(sizes.slice(0, 4)).toEqual([
      ["vps-2027-model1", 2, 4, 40],
      ["vps-2027-model2", 4, 8, 75],
      ["vps-2027-model3", 6, 12, 100],
      ["vps-2027-model4", 8, 24, 200],
    ]);
  });

  it("lists addons for every family, with a price each", async () => {
    const { plans, addons } = await catalogue();
    const priced = new Set(addons.map(({ planCode }: { planCode: string }) => planCode));
    const families = plans.flatMap((plan: { addonFamilies: { addons: string[] }[] }) => plan.addonFamilies);

    expect(
      families.every((family: { addons: string[] }) => family.addons.every((code) => priced.has(code))),
    ).toBe(true);
    const mandatory = plans[0].addonFamilies.filter((family: { mandatory: boolean }) => family.mandatory);
    expect(mandatory.map(({ name }: { name: string }) => name)).toEqual(["os", "storage", "automatedBackup"]);
  });

  it("fails when the subsidiary does not exist", async () => {
    const { status, body } = await anonymously(`${ovh.url}/order/catalog/public/vps?ovhSubsidiary=BG`);

    expect([status, body]).toEqual([400, { class: "Client::BadRequest", message: "invalid ovhSubsidiary" }]);
  });
});

describe("the stock", () => {
  const stock = (planCode: string) =>
    anonymously(
      `${ovh.url}/v1/vps/order/rule/datacenter?ovhSubsidiary=FR&planCode=${planCode}`.replace(
        "/1.0/v1",
        "/v1",
      ),
    );

  it("is returned per datacentre", async () => {
    ovh.state.stock["GRA"] = "out-of-stock";
    const { datacenters } = (await stock("vps-2027-model2")).body;
    const status = Object.fromEntries(
      datacenters.map((entry: { datacenter: string; status: string }) => [entry.datacenter, entry.status]),
    );

    expect(status).toMatchObject({ GRA: "out-of-stock", SBG: "available" });
  });

  it("fails when the plan is unknown", async () => {
    const { status, body } = await stock("vps-ssd-4");

    expect([status, body]).toEqual([
      404,
      { class: "Client::NotFound", message: "not found: plan not found" },
    ]);
  });
});

describe("a cart", () => {
  const checkOut = async (without: readonly string[]) =>
    (await call("POST", `${await fillCart(call, without)}/checkout`)).body.message as string;

  it("costs the plan and its options, with tax apart", async () => {
    const { body } = await call("GET", `${await fillCart(call)}/checkout`);

    expect(body.orderId).toBeNull();
    expect(body.prices.withoutTax).toMatchObject({
      value: 8.79,
      currencyCode: "EUR",
      priceInUcents: 8_79000000,
    });
    expect(body.prices.withTax.value).toBe(10.55);
    expect(ovh.state.orders).toHaveLength(1);
  });

  it.each([
    ["assign", "Cart must be assigned before checkout"],
    ["region", "missing required configuration region"],
    ["vps_datacenter", "missing required configuration vps_datacenter"],
    ["vps_os", "missing required configuration vps_os"],
    ["option-linux", "mandatory option family os is missing"],
    ["option-storage-local-2027-model2", "mandatory option family storage is missing"],
    ["option-auto-backup-2027-1-model2", "mandatory option family automatedBackup is missing"],
  ])("fails at checkout when %s is left out", async (left, message) => {
    expect(await checkOut([left])).toContain(message);
    expect(ovh.state.orders).toHaveLength(1);
  });

  it("fails when the region is not that of the datacentre", async () => {
    const path = await fillCart(call, ["region"]);
    const [item] = (await call("GET", `${path}/item`)).body;
    await call("POST", `${path}/item/${item}/configuration`, { label: "region", value: "canada" });

    expect((await call("POST", `${path}/checkout`)).body.message).toContain("region canada does not match");
  });

  it("returns which configurations are required, but not their values", async () => {
    const path = await fillCart(call);
    const [item] = (await call("GET", `${path}/item`)).body;
    const { body } = await call("GET", `${path}/item/${item}/requiredConfiguration`);

    expect(body.map((entry: { label: string; required: boolean }) => [entry.label, entry.required])).toEqual([
      ["infrastructure", false],
      ["region", true],
      ["vps_datacenter", true],
      ["vps_os", true],
    ]);
    expect(body[0]).toEqual({ label: "infrastructure", required: false, type: "String", fields: [] });
  });

  it.each([
    [
      { label: "vps_datacenter", value: "GRA11" },
      "Value GRA11 is not allowed for configuration vps_datacenter",
    ],
    [{ label: "colour", value: "red" }, "Configuration colour is not applicable to this item"],
  ])("refuses the configuration %j", async (configuration, message) => {
    const path = await fillCart(call, ["vps_datacenter"]);
    const [item] = (await call("GET", `${path}/item`)).body;

    const { status, body } = await call("POST", `${path}/item/${item}/configuration`, configuration);
    expect([status, body.message]).toEqual([400, message]);
  });

  it("refuses a plan that is no longer sold, and two options of one family", async () => {
    const path = await fillCart(call);
    const [itemId] = (await call("GET", `${path}/item`)).body;
    const plan = { duration: "P1M", pricingMode: "default", quantity: 1 };
    const old = { ...plan, planCode: "vps-comfort-4-8-80-vps-2025-model2-10percent" };
    const second = { ...plan, planCode: "option-auto-backup-2027-7-model2", itemId };

    expect((await call("POST", `${path}/vps`, old)).body.message).toContain("is not available");
    expect((await call("POST", `${path}/vps/options`, second)).body.message).toContain("is exclusive with");
  });

  it("becomes one order only", async () => {
    const path = await fillCart(call);

    expect((await call("POST", `${path}/checkout`)).status).toBe(200);
    expect((await call("POST", `${path}/checkout`)).body.message).toBe("This cart is read only");
    expect(ovh.state.orders).toHaveLength(2);
  });

  it("fails at checkout when the datacentre is out of stock", async () => {
    ovh.state.stock["GRA"] = "out-of-stock";

    expect(await checkOut([])).toBe("Product vps-2027-model2 is out of stock in GRA");
  });
});

describe("an order", () => {
  const status = async (orderId: number): Promise<string> =>
    (await call("GET", `/me/order/${orderId}/status`)).body;

  it("goes from notPaid over checking and delivering to delivered, as long as each is set to last", async () => {
    const clock = new ManualClock();
    const machine = new NoMachine();
    await ovh.close();
    await start({ clock, machine, delays: { checkingMs: 1000, deliveringMs: 5000, installingMs: 2000 } });
    const orderId = await placeOrder(call);
    await clock.advance(60_000);
    expect(await status(orderId)).toBe("notPaid");

    await pay(call, orderId);
    await clock.advance(999);
    expect(await status(orderId)).toBe("checking");
    await clock.advance(1);
    expect(await status(orderId)).toBe("delivering");
    await clock.advance(4999);
    expect(await status(orderId)).toBe("delivering");
    expect((await call("GET", "/vps")).body).toEqual([]);
    expect(machine.actions).toEqual([]);

    await clock.advance(1);
    expect(await status(orderId)).toBe("delivered");
    const [name] = (await call("GET", "/vps")).body;
    expect((await call("GET", `/vps/${name}`)).body.state).toBe("installing");
    expect(machine.actions).toMatchObject([
      { kind: "deliver", spec: { serviceName: name, image: "Debian 12" } },
    ]);
    await clock.advance(2000);
    expect((await call("GET", `/vps/${name}`)).body.state).toBe("running");
  });

  it("names its service in its details once delivered", async () => {
    const orderId = await placeOrder(call);
    const [first] = (await call("GET", `/me/order/${orderId}/details`)).body;
    const detail = `/me/order/${orderId}/details/${first}`;
    expect((await call("GET", detail)).body.domain).toBe("*");
    expect((await call("GET", `${detail}/extension`)).body.order.plan.code).toBe("vps-2027-model2");

    await pay(call, orderId);
    await ovh.settled();

    expect((await call("GET", "/vps")).body).toEqual([(await call("GET", detail)).body.domain]);
  });

  it("is listed among older orders of other products", async () => {
    const from = encodeURIComponent(new Date(Date.now() - 60_000).toISOString());
    const [old] = (await call("GET", "/me/order")).body;
    const orderId = await placeOrder(call);
    const [detail] = (await call("GET", `/me/order/${old}/details`)).body;

    expect((await call("GET", "/me/order")).body).toEqual([old, orderId]);
    expect((await call("GET", `/me/order?date.from=${from}`)).body).toEqual([orderId]);
    expect((await call("GET", `/me/order/${old}/details/${detail}/extension`)).status).toBe(404);
  });

  it("cannot be paid twice, nor with somebody else's card", async () => {
    await ovh.close();
    await start({ clock: new ManualClock() });
    const orderId = await placeOrder(call);
    const stolen = await call("POST", `/me/order/${orderId}/pay`, { paymentMethod: { id: 1 } });
    expect([stolen.status, stolen.body.message]).toEqual([400, "Invalid payment method"]);
    await pay(call, orderId);
    const [id] = ovh.state.paymentMethods.map((method) => method.id);

    expect(await status(orderId)).toBe("checking");
    expect((await call("POST", `/me/order/${orderId}/pay`, { paymentMethod: { id } })).status).toBe(400);
    expect(ovh.state.orders.at(-1)?.payments).toBe(1);
  });

  it("is paid at checkout when that is asked for", async () => {
    const path = await fillCart(call);
    const { body } = await call("POST", `${path}/checkout`, { autoPayWithPreferredPaymentMethod: true });
    await ovh.settled();

    expect(await status(body.orderId)).toBe("delivered");
  });

  it("keeps its status while the account's documents are missing", async () => {
    ovh.state.account.afterPayment = "documentsRequested";
    const orderId = await placeOrder(call);
    await pay(call, orderId);
    await ovh.settled();

    expect(await status(orderId)).toBe("documentsRequested");
    expect(ovh.state.servers).toEqual([]);
  });

  it("finds no default payment method when the account has none", async () => {
    for (const method of ovh.state.paymentMethods) method.default = false;

    expect((await call("GET", "/me/payment/method?default=true")).body).toEqual([]);
    expect((await call("GET", "/me/payment/method")).body).toHaveLength(1);
  });

  it("gives each server its own addresses", async () => {
    const [first, second] = [await orderServer(ovh, call), await orderServer(ovh, call)];

    expect((await call("GET", `/vps/${first}/ips`)).body).toEqual(["2001:db8:113::10", "203.0.113.10"]);
    expect((await call("GET", `/vps/${second}/ips`)).body).toEqual(["2001:db8:113::11", "203.0.113.11"]);
  });
});
