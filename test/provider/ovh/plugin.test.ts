import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { CallFailure, Plugin, secret, unknown } from "../plugin-process.ts";
import { ORDERED, settingsOf } from "./fixtures.ts";
import { startOvhAccount, type OvhAccount } from "./ovh-account.ts";

const VPS = "technicia:ovh:Vps";
const EDGE = "technicia:ovh:EdgeFirewall";

let account: OvhAccount;
let plugin: Plugin;
beforeEach(async () => {
  account = await startOvhAccount();
  const { ovhApplicationSecret, ovhConsumerKey, ...rest } = settingsOf(account.ovh.url);
  plugin = await Plugin.start(
    { ...rest, ovhApplicationSecret: secret(ovhApplicationSecret), ovhConsumerKey: secret(ovhConsumerKey) },
    { PULUMI_HOME: account.folder },
  );
});
afterEach(async () => {
  await plugin.stop();
  await account.end();
});

const rules = [
  { sequence: 19, action: "deny", protocol: "ipv4" },
  { sequence: 0, action: "permit", protocol: "tcp", tcpOption: "established" },
];

describe("plugin", () => {
  it("shows plan and price in the preview, orders, and sees no difference afterwards", async () => {
    const preview = await plugin.create(VPS, "server", ORDERED, { preview: true });
    expect(preview.state).toMatchObject({
      plan: "vps-2027-model2",
      monthlyPriceEur: 8.79,
      ipv4: unknown,
      serverId: unknown,
    });
    expect(plugin.logs.filter(({ severity }) => severity === "info").map(({ message }) => message)).toEqual([
      "will order vps-2027-model2 (4 vCores, 8 GiB) at €8.79/month without tax, in GRA",
    ]);

    const server = await plugin.create(VPS, "server", ORDERED);

    expect(server.state).toMatchObject({ name: "technicia-test", state: "running", plan: "vps-2027-model2" });
    expect((await plugin.diff(server, ORDERED)).changes).toBe(false);
    expect(await plugin.read(server)).toEqual(server);
    await expect(plugin.diff(server, { ...ORDERED, image: "Debian 13" })).rejects.toThrow(
      /^server\.image: expected Debian 12, which vps-/,
    );
  });

  it("keeps the order of a failed creation in the state, and continues it", async () => {
    const body = { class: "Client::Forbidden", message: "no" };
    account.ovh.faults.add({ api: "ovh", path: "/status$", nth: 3, times: 0, status: 403, body });
    const failure = await plugin.create(VPS, "server", ORDERED).then(
      () => undefined,
      (error: unknown) => error,
    );
    const [order] = account.ovh.state.orders.slice(-1);
    if (!(failure instanceof CallFailure) || !failure.partial || !order)
      throw new Error("expected a partial failure");
    expect(failure.partial).toMatchObject({
      id: `order/${order.orderId}`,
      state: { orderId: order.orderId },
    });
    expect(failure.partial.reasons.join()).toMatch(/give the key the right GET \/me\/order\/\d+\/status/);

    const half = {
      type: VPS,
      name: "server",
      id: failure.partial.id,
      inputs: ORDERED,
      state: failure.partial.state,
    };
    expect((await plugin.diff(half, ORDERED)).changes).toBe(true);
    account.ovh.faults.clear();
    const whole = await plugin.update(half, ORDERED);

    expect(whole.state).toMatchObject({ orderId: order.orderId, state: "running" });
    expect((await plugin.diff(whole, ORDERED)).changes).toBe(false);
  });

  it("reports problems of the inputs in the project's wording", async () => {
    const { problems } = await plugin.check(VPS, { ...ORDERED, vcores: 0, publicKey: "id_ed25519.pub" });

    expect(problems).toEqual([
      "vcores: expected a whole number of cores, 1 or more, got 0; correct it",
      'publicKey: expected a public key in OpenSSH\'s format, got "id_ed25519.pub"; give the content of the .pub file',
    ]);
    expect((await plugin.check(EDGE, { ip: "203.0.113.10", rules: rules.slice(0, 1) })).problems).toEqual([
      "rules: expected a rule that permits tcp established from anywhere, got none; the firewall keeps no state, so the server would not receive the answers to its own requests",
    ]);
  });

  it("creates the edge firewall of an address that is known later, and finds it switched off", async () => {
    expect(
      (await plugin.create(EDGE, "edge", { ip: unknown, rules }, { preview: true })).state,
    ).toMatchObject({ state: unknown });
    account.ovh.addServer("vps-2027-model2", { ipv4: "203.0.113.10" });

    const edge = await plugin.create(EDGE, "edge", { ip: "203.0.113.10", rules });

    expect((await plugin.diff(edge, { ip: "203.0.113.10", rules })).changes).toBe(false);
    const [firewall] = account.ovh.state.firewalls;
    if (firewall) firewall.enabled = false;
    const found = await plugin.read(edge);
    expect(found?.inputs).toMatchObject({ enabled: false });
    if (!found) throw new Error("the firewall is there");
    expect((await plugin.diff(found, { ip: "203.0.113.10", rules })).detailed).toEqual({ enabled: "update" });
    expect((await plugin.diff(edge, { ip: "203.0.113.11", rules })).replaces).toEqual(["ip"]);
  });
});
