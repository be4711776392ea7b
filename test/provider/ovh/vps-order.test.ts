import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { ManualClock } from "../../../rehearsal/fake-clouds/clock.ts";
import { NoMachine } from "../../../rehearsal/fake-clouds/machine/machine.ts";
import { ORDERED, PUBLIC_KEY } from "./fixtures.ts";
import {
  HELD_MS,
  heldClock,
  reported,
  startOvhAccount,
  type VpsStack,
  type OvhAccount,
} from "./ovh-account.ts";

/** All steps together stay within the 30 s that OVH lets a signature differ from its own time. */
const STEP_MS = 1_000;

let account: OvhAccount;
let stack: VpsStack;
beforeEach(async () => {
  account = await startOvhAccount();
  stack = account.vps();
});
afterEach(() => account.end());

const orders = (): OvhAccount["ovh"]["state"]["orders"] => account.ovh.state.orders.filter(({ vps }) => vps);
const changes = (): readonly string[] =>
  account.ovh.calls.lines("ovh").filter((line) => !line.startsWith("GET "));

describe("Vps that is ordered", () => {
  it("is bought, named and installed once, with all outputs", async () => {
    expect(await stack.up(ORDERED)).toBe("created");

    const [order] = orders();
    const [server] = account.ovh.state.servers;
    expect(order).toMatchObject({
      payments: 1,
      status: "delivered",
      vps: { planCode: "vps-2027-model2", datacentre: "GRA" },
    });
    expect(server).toMatchObject({
      displayName: "technicia-test",
      imageId: "Debian 12",
      publicKey: PUBLIC_KEY,
    });
    const installation = server?.tasks.find(({ type }) => type === "reinstallVm");
    expect(stack.saved).toEqual({
      id: server?.serviceName,
      isPartial: false,
      inputs: ORDERED,
      outputs: {
        serviceName: server?.serviceName,
        ipv4: server?.ipv4,
        ipv6: server?.ipv6,
        ipv6Gateway: expect.stringContaining(":") as string,
        model: "vps-2027-model2",
        vcore: 4,
        memoryMib: 8192,
        diskGib: 75,
        zone: "Region OpenStack: os-gra7",
        osImage: "Debian 12",
        state: "running",
        orderId: order?.orderId,
        plan: "vps-2027-model2",
        monthlyPriceEur: 8.79,
        serverId: `${server?.serviceName}/${installation?.id}`,
        installedAt: installation?.date,
      },
    });
  });

  it("shows no difference afterwards", async () => {
    await stack.up(ORDERED);
    const before = stack.outputs;

    expect(await stack.refresh()).toBe(false);
    expect(stack.outputs).toEqual(before);
    account.ovh.calls.clear();
    expect(await stack.up(ORDERED)).toBe("same");
    await stack.preview(ORDERED);
    expect(account.ovh.calls.lines("ovh")).toEqual([]);
  });

  it("waits for slow deliveries and slow installations", async () => {
    await account.end();
    const clock = new ManualClock(new Date());
    account = await startOvhAccount({ clock });
    stack = account.vps();
    Object.assign(account.ovh.delays, {
      checkingMs: STEP_MS,
      deliveringMs: STEP_MS,
      installingMs: STEP_MS,
      taskMs: STEP_MS,
      reinstallMs: STEP_MS,
    });
    const steps = ["checking", "delivering", "waiting for deliverVm", "waiting for reinstallVm"];

    const run = stack.up(ORDERED);
    for (const step of steps) {
      await reported(stack, step);
      await clock.advance(STEP_MS);
    }
    // The reinstallation has begun; this ends it.
    await clock.advance(STEP_MS);
    await run;

    expect(account.ovh.state.servers[0]?.tasks.map(({ type, state }) => `${type} ${state}`)).toEqual([
      "deliverVm done",
      "reinstallVm done",
    ]);
    const said = stack.said("status").map((line) => line.replace(/^.*?: /, "").replace(/, \d+ %$/, ""));
    expect([...new Set(said)]).toEqual(steps);
  });

  it("shows plan and price in the preview, and changes nothing", async () => {
    expect(await stack.preview(ORDERED)).toEqual({ plan: "vps-2027-model2", monthlyPriceEur: 8.79 });
    expect(stack.said("info")).toEqual([
      "will order vps-2027-model2 (4 vCores, 8 GiB) at €8.79/month without tax, in GRA",
    ]);
    expect(changes()).toEqual([]);
  });

  it("fails in the preview when it costs more than the limit", async () => {
    const frugal = { ...ORDERED, order: { subsidiary: "FR", maxMonthlyPriceEur: 8.5 } };
    const message =
      "server.order.maxMonthlyPriceEur: expected at least €8.79/month for vps-2027-model2 (4 vCores, 8 GiB), the cheapest that fits, got €8.50/month; " +
      "accept that price with pulumi config set --path technicia:server.order.maxMonthlyPriceEur 8.79, or ask for a smaller server";

    await expect(stack.preview(frugal)).rejects.toThrow(message);
    await expect(stack.up(frugal)).rejects.toThrow(message);
    expect(changes()).toEqual([]);
  });

  it("fails before the order when this account pays more than the catalogue price", async () => {
    account.ovh.faults.add({
      api: "ovh",
      method: "GET",
      path: "/checkout$",
      status: 200,
      body: { orderId: null, prices: { withoutTax: { value: 12.5 } } },
    });

    await expect(stack.up(ORDERED)).rejects.toThrow(
      "server.order.maxMonthlyPriceEur: expected at least €12.50/month for vps-2027-model2 (4 vCores, 8 GiB) in this account's cart, got €10.00/month",
    );
    expect(orders()).toEqual([]);
  });

  it("fails before the order when the account has no payment method", async () => {
    const [method] = account.ovh.state.paymentMethods.splice(0);

    await expect(stack.up(ORDERED)).rejects.toThrow(
      "server.order: expected a default payment method in the OVH account, got none; add a card",
    );
    expect(orders()).toEqual([]);

    if (method) account.ovh.state.paymentMethods.push(method);
    expect(await stack.up(ORDERED)).toBe("created");
  });

  it("is kept with a warning when OVH calls its place by another name", async () => {
    const { context } = account.ovh;
    const deliver = context.machine.deliver.bind(context.machine);
    context.machine.deliver = async (machine) => {
      await deliver(machine);
      setImmediate(() => account.ovh.state.servers.forEach((server) => (server.zone = "os-north-1")));
    };

    expect(await stack.up(ORDERED)).toBe("created");

    const { serviceName } = stack.outputs;
    expect(stack.said("warning")).toContain(
      `${serviceName}: ordered in GRA, and OVH calls its place Region OpenStack: os-north-1`,
    );
    expect(await stack.refresh()).toBe(false);
    expect(await stack.up(ORDERED)).toBe("same");
    await expect(stack.up({ ...ORDERED, datacentre: "SBG" })).rejects.toThrow("expected it in SBG");
  });

  it("fails before the order when OVH asks for something unknown, with or without a list of values", async () => {
    for (const allowedValues of [undefined, null, ["a", "b"]]) {
      const body = [{ label: "vps_extra", required: true, type: "String", fields: [], allowedValues }];
      account.ovh.faults.clear();
      account.ovh.faults.add({ api: "ovh", path: "/requiredConfiguration$", status: 200, body });

      await expect(stack.up(ORDERED)).rejects.toThrow(
        `got the question "vps_extra" (${allowedValues?.join(", ") ?? "any value"}); order it in OVH's control panel`,
      );
    }
    expect(orders()).toEqual([]);
  });

  it("gives the cart an end without fractions of a second", async () => {
    await stack.up(ORDERED);

    expect(account.ovh.state.carts.map(({ expire }) => expire)).toEqual([
      expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00$/),
    ]);
  });

  it("fails when there are no keys", async () => {
    const keyless = account.vps({ settings: { ovhEndpoint: account.ovh.url } });

    await expect(keyless.up(ORDERED)).rejects.toThrow(
      "ovh: expected keys of an OVH account, got none; set technicia:ovhApplicationKey, ovhApplicationSecret and ovhConsumerKey",
    );
  });
});

describe("order of a Vps that does not go well", () => {
  it.each([
    [
      "documentsRequested",
      /^order \d+: expected it to be delivered, got "documentsRequested"; send OVH the documents/,
    ],
    ["cancelled", /^order \d+: expected it to be delivered, got "cancelled"; .* pulumi state delete <urn>/],
  ] as const)("fails when OVH answers the payment with %s, and keeps the order", async (outcome, message) => {
    account.ovh.state.account.afterPayment = outcome;

    await expect(stack.up(ORDERED)).rejects.toThrow(message);

    const [order] = orders();
    expect(stack.saved).toMatchObject({
      id: `order/${order?.orderId}`,
      isPartial: true,
      outputs: { orderId: order?.orderId, plan: "vps-2027-model2", monthlyPriceEur: 8.79 },
    });
    await expect(stack.up(ORDERED)).rejects.toThrow(message);
    expect(orders()).toHaveLength(1);
  });

  it("continues the same order once OVH has the documents", async () => {
    account.ovh.state.account.afterPayment = "documentsRequested";
    await expect(stack.up(ORDERED)).rejects.toThrow("documentsRequested");
    expect(await stack.refresh()).toBe(false);
    const [order] = orders();
    account.ovh.state.account.afterPayment = "delivered";
    // OVH releases an order by looking at its payment again.
    if (order) order.status = "notPaid";

    expect(await stack.up(ORDERED)).toBe("updated");

    expect(orders()).toHaveLength(1);
    expect(stack.saved).toMatchObject({ id: `order/${order?.orderId}`, isPartial: false });
    expect(stack.outputs).toMatchObject({ orderId: order?.orderId, state: "running" });
    expect(await stack.refresh()).toBe(false);
    expect(await stack.up(ORDERED)).toBe("same");
  });

  it("continues from the state alone, without the journal of the machine that ordered", async () => {
    account.ovh.faults.add({
      api: "ovh",
      path: "/status$",
      nth: 3,
      times: 0,
      status: 403,
      body: { message: "no" },
    });
    await expect(stack.up(ORDERED)).rejects.toThrow(/give the key the right GET \/me\/order\/\d+\/status/);
    account.ovh.faults.clear();
    const other = account.vps({ folder: `${account.folder}/other`, saved: stack.saved });

    expect(await other.up(ORDERED)).toBe("updated");

    expect(orders()).toMatchObject([{ payments: 1 }]);
    expect(other.outputs).toMatchObject({ state: "running", osImage: "Debian 12" });
  });

  it("fails when the payment is refused, and pays once it is possible", async () => {
    account.ovh.faults.add({
      api: "ovh",
      method: "POST",
      path: "/pay$",
      status: 400,
      body: { class: "Client::BadRequest", message: "Payment refused by the bank" },
    });

    await expect(stack.up(ORDERED)).rejects.toThrow(
      /^POST \/me\/order\/\d+\/pay: expected an answer, got 400 Client::BadRequest "Payment refused by the bank".* is kept; run pulumi up to continue\)$/,
    );
    expect(orders()).toMatchObject([{ payments: 0 }]);

    expect(await stack.up(ORDERED)).toBe("updated");
    expect(orders()).toMatchObject([{ payments: 1 }]);
  });

  it("is paid once although OVH shows it as unpaid for a while", async () => {
    account.ovh.faults.add({ api: "ovh", method: "POST", path: "/pay$", cut: "after" });
    await expect(stack.up(ORDERED)).rejects.toThrow("a broken connection");
    account.ovh.faults.add({ api: "ovh", path: "/status$", times: 3, status: 200, body: "notPaid" });

    expect(await stack.up(ORDERED)).toBe("updated");

    expect(changes().filter((line) => line.endsWith("/pay"))).toHaveLength(1);
    expect(orders()).toMatchObject([{ payments: 1 }]);
  });

  it("is paid once although OVH shows it as unpaid for longer than we wait", async () => {
    account.ovh.faults.add({ api: "ovh", method: "POST", path: "/pay$", cut: "after" });
    await expect(stack.up(ORDERED)).rejects.toThrow("a broken connection");
    // For good, as far as the wait before another payment is concerned.
    account.ovh.faults.add({ api: "ovh", path: "/status$", times: 0, status: 200, body: "notPaid" });
    const run = stack.up(ORDERED);
    while (changes().filter((line) => line.endsWith("/pay")).length < 2)
      await new Promise((resolve) => setImmediate(resolve));
    account.ovh.faults.clear();

    expect(await run).toBe("updated");
    expect(orders()).toMatchObject([{ payments: 1 }]);
  });

  it("is placed again after OVH cancelled it and the user deleted it from the state", async () => {
    account.ovh.state.account.afterPayment = "cancelled";
    await expect(stack.up(ORDERED)).rejects.toThrow('got "cancelled"');
    account.ovh.state.account.afterPayment = "delivered";
    const next = account.vps();

    expect(await next.up(ORDERED)).toBe("created");

    expect(orders().map(({ status }) => status)).toEqual(["cancelled", "delivered"]);
    expect(next.said("warning")).toEqual([`order ${orders()[0]?.orderId}: it was cancelled; ordering again`]);
  });

  it("is kept by a destroy while it is open, and continued afterwards", async () => {
    account.ovh.state.account.afterPayment = "documentsRequested";
    await expect(stack.up(ORDERED)).rejects.toThrow("documentsRequested");
    const [order] = orders();
    await stack.destroy();

    expect(stack.said("warning")).toEqual([
      `order ${order?.orderId}: left as it is; cancel it in OVH's control panel if the server is not wanted`,
    ]);
    account.ovh.state.account.afterPayment = "delivered";
    if (order) order.status = "notPaid";
    expect(await stack.up(ORDERED)).toBe("created");
    expect(orders()).toHaveLength(1);
  });

  it("fails when it stays unpaid, and pays it on the next run", async () => {
    account.ovh.faults.add({ api: "ovh", path: "/status$", nth: 2, times: 0, status: 200, body: "notPaid" });

    await expect(stack.up(ORDERED)).rejects.toThrow(
      /^order \d+: expected it to be paid, got "notPaid"; pay it in OVH's control panel \(Billing, Orders\)/,
    );
    account.ovh.faults.clear();
    expect(await stack.up(ORDERED)).toBe("updated");
    expect(orders()).toMatchObject([{ payments: 1 }]);
  });

  it("fails when the installation fails, and retries it on the next run", async () => {
    const machine = new NoMachine();
    machine.rebuild = () => {
      machine.rebuild = () => Promise.resolve();
      return Promise.reject(new Error("disk full"));
    };
    const broken = await startOvhAccount({ machine });
    const unlucky = broken.vps();

    await expect(unlucky.up(ORDERED)).rejects.toThrow(
      /^vps-[0-9a-f]+\.vps\.ovh\.net: expected the installation to succeed, got task \d+ "error"; run pulumi up again, which tries again/,
    );
    expect(await unlucky.up(ORDERED)).toBe("updated");

    const tasks = broken.ovh.state.servers[0]?.tasks.filter(({ type }) => type === "reinstallVm");
    expect(tasks?.map(({ state }) => state)).toEqual(["error", "done"]);
    await broken.end();
  });

  it("fails when another key is wanted by the time the disk is installed", async () => {
    account.ovh.faults.add({
      api: "ovh",
      path: "/serviceInfos$",
      nth: 2,
      times: 0,
      status: 403,
      body: { message: "no" },
    });
    await expect(stack.up(ORDERED)).rejects.toThrow("give the key the right GET /vps/");
    account.ovh.faults.clear();
    const publicKey = PUBLIC_KEY.replace("Example", "Another");

    await expect(stack.up({ ...ORDERED, publicKey })).rejects.toThrow(
      /expected the key it was installed with, got another; set ssh\.publicKey back, or reinstall it yourself/,
    );
    expect(await stack.up(ORDERED)).toBe("updated");
    expect(changes().filter((line) => line.endsWith("/rebuild"))).toHaveLength(1);
  });

  it("fails when the server cannot have the image, and names the possible ones", async () => {
    account.ovh.faults.add({ api: "ovh", path: "/images/available$", status: 200, body: [], times: 1 });

    await expect(stack.up(ORDERED)).rejects.toThrow(
      /server\.image: expected an image that vps-[0-9a-f]+\.vps\.ovh\.net can be installed with, got "Debian 12"/,
    );

    expect(await stack.up(ORDERED)).toBe("updated");
    expect(stack.outputs.osImage).toBe("Debian 12");
  });

  it("stops when it is cancelled, and continues later", async () => {
    await account.end();
    const clock = heldClock();
    account = await startOvhAccount({ clock });
    account.ovh.delays.deliveringMs = HELD_MS;
    const cancel = new AbortController();
    const cancelled = account.vps({ signal: cancel.signal });
    const run = cancelled.up(ORDERED);
    await reported(cancelled, "delivering");
    cancel.abort();

    await expect(run).rejects.toThrow(/^order \d+: cancelled; run pulumi up to continue$/);
    expect(cancelled.saved).toMatchObject({ isPartial: true });

    await clock.release();
    const next = account.vps({ saved: cancelled.saved });
    expect(await next.up(ORDERED)).toBe("updated");
    expect(orders()).toMatchObject([{ payments: 1 }]);
  });
});
