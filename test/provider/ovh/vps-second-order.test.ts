import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { adopted, ORDERED, settingsOf } from "./fixtures.ts";
import {
  HELD_MS,
  heldClock,
  reported,
  startOvhAccount,
  type VpsStack,
  type OvhAccount,
} from "./ovh-account.ts";

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

describe("second order of a Vps", () => {
  it("is refused when a server has that name already", async () => {
    const server = account.ovh.addServer("vps-2027-model2", { displayName: "technicia-test" });

    const refusal =
      `server.order: expected no server named "technicia-test" in this account, got ${server.serviceName}, which has that name; ` +
      `use it: pulumi config set --path technicia:server.serviceName ${server.serviceName} (it is not reinstalled), ` +
      "or give it another name in OVH's control panel to order one more";
    await expect(stack.preview(ORDERED)).rejects.toThrow(refusal);
    await expect(stack.up(ORDERED)).rejects.toThrow(refusal);
    expect(changes()).toEqual([]);
  });

  it("is refused after a destroy, which leaves the server", async () => {
    await stack.up(ORDERED);
    const { serviceName } = stack.outputs;
    await stack.destroy();

    await expect(stack.up(ORDERED)).rejects.toThrow(
      `pulumi config set --path technicia:server.serviceName ${serviceName}`,
    );
    expect(orders()).toHaveLength(1);
  });

  it("is placed when every recent server has a name of its own", async () => {
    account.ovh.addServer("vps-2027-model2", { displayName: "somebody else's" });

    expect(await stack.up(ORDERED)).toBe("created");
  });

  it("does not block another stack of this machine while the first is being delivered", async () => {
    await account.end();
    const clock = heldClock();
    account = await startOvhAccount({ clock });
    stack = account.vps();
    account.ovh.delays.deliveringMs = HELD_MS;
    const first = stack.up(ORDERED);
    await reported(stack, "delivering");
    account.ovh.delays.deliveringMs = 0;

    await account.vps({ name: "staging" }).up({ ...ORDERED, name: "technicia-staging" });
    await clock.release();

    await first;
    expect(account.ovh.state.servers.map(({ displayName }) => displayName)).toEqual([
      "technicia-staging",
      "technicia-test",
    ]);
  });

  it("is not placed with the keys of another account, which show no server", async () => {
    await stack.up(ORDERED);
    const other = await startOvhAccount();
    const lost = account.vps({ saved: stack.saved, settings: settingsOf(other.ovh.url) });

    await expect(lost.refresh()).rejects.toThrow(
      /expected the account that made order \d+, got keys of another; set the OVH keys of this stack to that account's/,
    );
    await other.end();
  });

  it("is not placed in another account after the keys changed during the order", async () => {
    account.ovh.faults.add({ api: "ovh", method: "POST", path: "/pay$", cut: "before" });
    await expect(stack.up(ORDERED)).rejects.toThrow("broken connection");
    const [{ orderId } = { orderId: 0 }] = account.ovh.state.orders.splice(-1);

    const refusal = `order ${orderId}: this OVH account does not have it, but an earlier run ordered it; set the keys of the account that ordered it, or remove ${account.folder}/`;
    await expect(account.vps().preview(ORDERED)).rejects.toThrow(refusal);
    await expect(account.vps().up(ORDERED)).rejects.toThrow(refusal);
    expect(orders()).toEqual([]);
  });

  it("is previewed as the continued first order after an interrupted run", async () => {
    account.ovh.faults.add({ api: "ovh", method: "POST", path: "/pay$", cut: "before" });
    await expect(stack.up(ORDERED)).rejects.toThrow("broken connection");
    const next = account.vps();

    const [order] = orders();
    expect(await next.preview(ORDERED)).toEqual({
      orderId: order?.orderId,
      plan: "vps-2027-model2",
      monthlyPriceEur: 8.79,
    });
    expect(next.said("info")).toEqual([
      `goes on with order ${order?.orderId} (vps-2027-model2, €8.79/month) of an interrupted run`,
    ]);
  });

  it("stops when another order came between a checkout and its lost answer", async () => {
    account.ovh.faults.add({ api: "ovh", method: "POST", path: "/checkout$", cut: "after" });
    await expect(stack.up(ORDERED)).rejects.toThrow(
      /^POST \/order\/cart\/[^/]+\/checkout: expected an answer, got a broken connection.*the request may have succeeded; run pulumi up again/,
    );
    const [order] = orders();
    if (order) account.ovh.state.orders.push({ ...order, orderId: order.orderId + 50 });

    await expect(stack.up(ORDERED)).rejects.toThrow(
      `got ${order?.orderId} (notPaid), ${(order?.orderId ?? 0) + 50} (notPaid); look at the orders in OVH's control panel`,
    );
    expect(orders().every(({ payments }) => payments === 0)).toBe(true);
  });

  it("is refused on another machine while the first is not in the list of orders yet", async () => {
    account.ovh.faults.add({ api: "ovh", method: "POST", path: "/pay$", cut: "before" });
    await expect(stack.up(ORDERED)).rejects.toThrow("broken connection");
    account.ovh.faults.add({ api: "ovh", path: "^/me/order\\?", times: 0, status: 200, body: [] });

    await expect(account.vps({ folder: `${account.folder}/other` }).up(ORDERED)).rejects.toThrow(
      /expected no cart of this stack that was just ordered, got cart .*; another run ordered a server a moment ago/,
    );
    expect(orders()).toHaveLength(1);
  });

  it("is not confused with one that somebody else placed meanwhile", async () => {
    account.ovh.faults.add({ api: "ovh", method: "POST", path: "/pay$", cut: "before" });
    await expect(stack.up(ORDERED)).rejects.toThrow("broken connection");
    const [own] = orders();
    if (own) account.ovh.state.orders.push({ ...own, orderId: own.orderId + 50 });
    const next = account.vps();

    expect(await next.up(ORDERED)).toBe("created");

    expect(next.outputs.orderId).toBe(own?.orderId);
    expect(orders().map(({ payments }) => payments)).toEqual([1, 0]);
  });

  it("is not taken from somebody else when the checkout had no effect", async () => {
    account.ovh.faults.add({ api: "ovh", method: "POST", path: "/pay$", cut: "before" });
    await expect(
      account.vps({ name: "first", folder: `${account.folder}/first` }).up(ORDERED),
    ).rejects.toThrow();
    const [strange] = account.ovh.state.orders.splice(-1);
    account.ovh.faults.add({ api: "ovh", method: "POST", path: "/checkout$", cut: "before" });
    await expect(stack.up(ORDERED)).rejects.toThrow("broken connection");
    if (strange) account.ovh.state.orders.push({ ...strange, date: Date.now() });

    await expect(stack.up(ORDERED)).rejects.toThrow(
      `got ${strange?.orderId} (notPaid); look at the orders in OVH's control panel`,
    );

    expect(orders()).toMatchObject([{ payments: 0 }]);
  });

  it("is placed when the lost checkout had no effect", async () => {
    account.ovh.faults.add({ api: "ovh", method: "POST", path: "/checkout$", cut: "before" });
    await expect(stack.up(ORDERED)).rejects.toThrow("broken connection");
    expect(orders()).toEqual([]);

    expect(await stack.up(ORDERED)).toBe("created");
    expect(orders()).toHaveLength(1);
    expect(account.ovh.state.carts).toHaveLength(1);
  });
});

describe("order of a server that was delivered before and is gone", () => {
  const again = (name: string) => ({ ...ORDERED, order: { ...ORDERED.order, again: name } });
  const refusal = (name: string) =>
    `server.order: expected no server that was ordered before and is not in force, got ${name}; look for it in OVH's control panel, ` +
    "and check that the keys are of its account; use another server with pulumi config set --path technicia:server.serviceName <its name>, " +
    `or order and pay one more with pulumi config set --path technicia:server.order.again ${name}`;
  let name: string;
  beforeEach(async () => {
    await stack.up(ORDERED);
    name = stack.outputs.serviceName;
    account.ovh.state.servers.splice(0);
  });

  it("is refused after a refresh, which keeps it in the state, until its name is given", async () => {
    expect(await stack.refresh()).toBe(true);
    expect(stack.saved?.inputs).toMatchObject({ name: "gone at OVH" });
    expect(stack.outputs).toMatchObject({ serviceName: name, state: "gone" });
    await expect(stack.up(ORDERED)).rejects.toThrow(refusal(name));
    expect(orders()).toHaveLength(1);

    expect(await stack.up(again(name))).toBe("replaced");

    expect(orders()).toHaveLength(2);
    expect(await stack.up(again(name))).toBe("same");
    expect(await stack.refresh()).toBe(false);
  });

  it("is refused also where the state was lost and made again, and has no order", async () => {
    delete (stack.saved!.outputs as { orderId?: number }).orderId;

    expect(await stack.refresh()).toBe(true);
    expect(stack.outputs).toMatchObject({ serviceName: name, state: "gone" });
    await expect(stack.up(ORDERED)).rejects.toThrow(refusal(name));
    expect(orders()).toHaveLength(1);
  });

  it("is refused for the next server, too, when that is gone", async () => {
    await stack.refresh();
    await stack.up(again(name));
    account.ovh.state.servers.splice(0);
    await stack.refresh();

    await expect(stack.up(again(name))).rejects.toThrow(refusal(stack.outputs.serviceName));
    expect(orders()).toHaveLength(2);
  });

  it("is refused in the preview and the update when the state no longer has it", async () => {
    const next = account.vps();

    await expect(next.preview(ORDERED)).rejects.toThrow(refusal(name));
    await expect(next.up(ORDERED)).rejects.toThrow(refusal(name));
    expect(orders()).toHaveLength(1);
    expect(await next.up(again(name))).toBe("created");
    expect(orders()).toHaveLength(2);
  });

  it("is refused on a machine that did not order it", async () => {
    const next = account.vps({ folder: `${account.folder}/other` });

    await expect(next.preview(ORDERED)).rejects.toThrow(refusal(name));
    await expect(next.up(ORDERED)).rejects.toThrow(refusal(name));
    expect(await next.up(again(name))).toBe("created");
  });

  it("is found again when OVH had only hidden it", async () => {
    const [server] = [
      account.ovh.addServer("vps-2027-model2", { serviceName: name, displayName: "technicia-test" }),
    ];
    account.ovh.faults.add({ api: "ovh", path: `^/vps/${name}$`, status: 404 });
    await stack.refresh();
    await expect(stack.up(ORDERED)).rejects.toThrow(refusal(name));

    expect(await stack.refresh()).toBe(true);
    expect(await stack.up(ORDERED)).toBe("same");
    expect(server.displayName).toBe("technicia-test");
  });

  it("gives way to a server that the user names", async () => {
    await stack.refresh();
    const other = account.ovh.addServer();

    expect(await stack.up(adopted(other.serviceName))).toBe("replaced");
    expect(orders()).toHaveLength(1);
  });
});

it("refuses an order while a delivered one has not named its server", async () => {
  await stack.up(ORDERED);
  const [order] = orders();
  if (order) order.serviceName = null;
  account.ovh.state.servers.splice(0);

  await expect(account.vps({ folder: `${account.folder}/other` }).up(ORDERED)).rejects.toThrow(
    `server.order: expected every delivered order to name its server, got order ${order?.orderId} (vps-2027-model2), which names none yet`,
  );
});
