import { afterEach, beforeEach, describe, expect, it } from "vitest";

import type { VpsService } from "../../../rehearsal/fake-clouds/ovh/state.ts";
import { adopted, ORDERED, PUBLIC_KEY } from "./fixtures.ts";
import { startOvhAccount, type VpsStack, type OvhAccount } from "./ovh-account.ts";

const OTHER_KEY = PUBLIC_KEY.replace("Example", "Another");

let account: OvhAccount;
let stack: VpsStack;
let server: VpsService;
beforeEach(async () => {
  account = await startOvhAccount();
  stack = account.vps();
  server = account.ovh.addServer("vps-2027-model2", { imageId: "Debian 12" });
});
afterEach(() => account.end());

const changes = (): readonly string[] =>
  account.ovh.calls.lines("ovh").filter((line) => !line.startsWith("GET "));
const given = (): ReturnType<typeof adopted> => adopted(server.serviceName);
const failure = async (act: Promise<unknown>): Promise<string> =>
  act.then(
    () => "nothing failed",
    (error: Error) => error.message,
  );

/** Reinstalls the server as its owner does it in the control panel. */
async function reinstall(image: string): Promise<void> {
  server.tasks.push({
    id: 900_000,
    date: new Date(Date.now() + 1_000).toISOString(),
    progress: 100,
    state: "done",
    type: "reinstallVm",
  });
  server.imageId = image;
  await account.ovh.settled();
}

describe("Vps that is adopted", () => {
  it("gets its name, and nothing else is changed", async () => {
    expect(await stack.up(given())).toBe("created");

    expect(changes()).toEqual([`PUT /vps/${server.serviceName}`]);
    expect(server).toMatchObject({ displayName: "technicia-test", publicKey: null, tasks: [] });
    expect(stack.saved?.id).toBe(server.serviceName);
    expect(stack.outputs).toMatchObject({
      serviceName: server.serviceName,
      ipv4: server.ipv4,
      ipv6: server.ipv6,
      model: "vps-2027-model2",
      osImage: "Debian 12",
      serverId: `${server.serviceName}/0`,
    });
    expect(stack.outputs).not.toHaveProperty("orderId");
    expect(await stack.refresh()).toBe(false);
    expect(await stack.up(given())).toBe("same");
  });

  it("shows all outputs in the preview", async () => {
    expect(await stack.preview(given())).toMatchObject({ ipv4: server.ipv4, vcore: 4, osImage: "Debian 12" });
    expect(changes()).toEqual([]);
  });

  it.each([
    [
      "has fewer cores",
      { vcore: 2 },
      "expected at least 4 vCores, got 2; upgrade it in OVH's control panel, or ask for less",
    ],
    ["has less memory", { memoryMib: 4096 }, "expected at least 8 GiB of memory, got 4; upgrade it"],
    [
      "is elsewhere",
      { datacentre: "SBG" },
      "expected it in GRA, got Region OpenStack: os-sbg7; set server.datacentre to SBG, or use another server",
    ],
    [
      "runs another system",
      { imageId: "Ubuntu 24.04" },
      "expected Debian 12, got Ubuntu 24.04; set server.image to it, or reinstall",
    ],
    ["is in rescue mode", { netbootMode: "rescue", state: "rescued" }, "it is in rescue mode; end that"],
    ["is stopped", { state: "stopped" }, "expected it running, got stopped; start it in OVH's control panel"],
    ["is suspended", { suspended: true }, 'expected a contract in force, got "unPaid"'],
    ["has expired", { expired: true }, "which has expired; renew it in OVH's control panel"],
  ] as const)("fails in the preview already when the server %s", async (_, fault, message) => {
    Object.assign(server, fault);

    expect(await failure(stack.preview(given()))).toContain(message);
    expect(await failure(stack.up(given()))).toContain(message);
    expect(changes()).toEqual([]);
  });

  it("fails with every problem at once", async () => {
    Object.assign(server, { vcore: 1, memoryMib: 2048, state: "stopped" });

    expect(await failure(stack.up(given()))).toBe(
      [
        `${server.serviceName} has problems:`,
        "expected it running, got stopped; start it in OVH's control panel",
        "expected at least 4 vCores, got 1; upgrade it in OVH's control panel, or ask for less",
        "expected at least 8 GiB of memory, got 2; upgrade it in OVH's control panel, or ask for less",
      ].join("\n  "),
    );
  });

  it("fails when the account has no such server", async () => {
    expect(await failure(stack.up(adopted("vps-0.vps.ovh.net")))).toBe(
      "server.serviceName: expected a server of this OVH account, got vps-0.vps.ovh.net, which it does not have; correct the name or the keys",
    );
  });

  it("warns when its contract is about to end", async () => {
    server.renew.deleteAtExpiration = true;

    await stack.up(given());

    expect(stack.said("warning")).toEqual([
      `${server.serviceName}: its contract ends on ${server.expiration.slice(0, 10)}; renew it in OVH's control panel to keep it`,
    ]);
  });

  it.each(["autorenewInProgress", "pendingDebt"] as const)(
    "is used, with a warning, while its contract is %s",
    async (contract) => {
      server.contract = contract;
      await stack.up(given());
      expect(await stack.refresh()).toBe(false);
      await stack.up({ ...given(), name: "technicia-new" });

      const warning = `${server.serviceName}: its contract is "${contract}" (until ${server.expiration.slice(0, 10)}); see in OVH's control panel that it is paid`;
      expect(stack.said("warning")).toEqual([warning, warning]);
    },
  );

  it("has the canonical form of an IPv6 address that OVH writes out in full", async () => {
    server.ipv6 = "2001:41d0:0302:2100:0000:0000:0000:1ece";
    await stack.up(given());

    expect(stack.outputs.ipv6).toBe("2001:41d0:302:2100::1ece");
    expect(await stack.refresh()).toBe(false);
  });

  it("has no IPv6 address when OVH lists none", async () => {
    server.ipv6 = "";
    await stack.up(given());

    expect(stack.outputs).toMatchObject({ ipv4: server.ipv4, ipv6: "" });
    expect(stack.outputs).not.toHaveProperty("ipv6Gateway");
  });

  it.each([
    ["os-us-east-va-vps-1", "US-EAST-VA", true],
    ["os-eu-west-par-vps-1", "EU-WEST-PAR", true],
    ["eu-west-gra-a", "GRA", true],
    ["os-waw1", "WAW", true],
    ["os-us-east-va-vps-1", "US-WEST-OR", false],
    ["os-us-west-or-vps-1", "US-EAST-VA", false],
    ["os-gra7", "RA", false],
    ["os-gra7", "SBG", false],
  ])("in the zone %s is in %s: %s", async (zone, datacentre, fits) => {
    server.zone = zone;
    const told = await failure(stack.up({ ...given(), datacentre }));

    expect(told === "nothing failed").toBe(fits);
    if (fits) expect(await stack.refresh()).toBe(false);
  });

  it("is told the code of its datacentre as the settings write it", async () => {
    server.zone = "os-us-east-va-vps-1";

    expect(await failure(stack.up(given()))).toContain(
      "set server.datacentre to US-EAST-VA, or use another server",
    );
  });

  it("is imported by its name", async () => {
    server.displayName = "technicia-test";

    expect(await stack.import(server.serviceName)).toBe(true);

    expect(stack.saved?.inputs).toEqual({ ...given(), publicKey: "" });
    expect(await stack.up(given())).toBe("updated");
    expect(await stack.up(given())).toBe("same");
    expect(changes()).toEqual([]);
    expect(await account.vps().import("vps-0.vps.ovh.net")).toBe(false);
  });
});

describe("Vps that exists", () => {
  beforeEach(async () => {
    await stack.up(given());
    account.ovh.calls.clear();
  });

  it("is renamed when its name changes", async () => {
    expect(await stack.up({ ...given(), name: "technicia-next" })).toBe("updated");

    expect(server.displayName).toBe("technicia-next");
    expect(changes()).toHaveLength(1);
  });

  it("gets back the name that somebody changed", async () => {
    server.displayName = "oops";

    expect(await stack.refresh()).toBe(true);
    expect(await stack.up(given())).toBe("updated");
    expect(server.displayName).toBe("technicia-test");
    expect(await stack.refresh()).toBe(false);
  });

  it.each([
    [
      "image",
      { image: "Debian 13" },
      /^server\.image: expected Debian 12, which vps-\S+ runs, got Debian 13; set it back, or: this program never wipes a disk: save your data, reinstall .* pulumi up --refresh/,
    ],
    ["more cores", { vcores: 8 }, /^server: expected at least 8 vCores, got 4; upgrade it/],
    ["more memory", { memoryGib: 16 }, /^server: expected at least 16 GiB of memory, got 8; upgrade it/],
    ["datacentre", { datacentre: "SBG" }, /^server: expected it in SBG, got Region OpenStack: os-gra7/],
  ] as const)("fails, touching nothing, when another %s is asked for", async (_, change, message) => {
    expect(await failure(stack.up({ ...given(), ...change }))).toMatch(message);
    expect(account.ovh.calls.lines("ovh")).toEqual([]);
  });

  it("records another key without installing it", async () => {
    expect(await stack.up({ ...given(), publicKey: OTHER_KEY })).toBe("updated");

    expect(changes()).toEqual([]);
    expect(stack.said("warning")).toEqual([
      `${server.serviceName}: the new key is recorded, not installed; add it by ssh yourself`,
    ]);
  });

  it("is replaced by another server when the service name changes", async () => {
    const next = account.ovh.addServer("vps-2027-model3", { imageId: "Debian 12" });

    expect(await stack.up(adopted(next.serviceName))).toBe("replaced");

    expect(stack.outputs.ipv4).toBe(next.ipv4);
    expect(changes()).toEqual([`PUT /vps/${next.serviceName}`]);
    expect(server.renew.deleteAtExpiration).toBe(false);
  });

  it("fails when its replacement would end its contract", async () => {
    await stack.up({ ...given(), deleteAtExpiry: true });

    expect(await failure(stack.up({ ...adopted("vps-2.vps.ovh.net"), deleteAtExpiry: true }))).toBe(
      `server.serviceName: expected ${server.serviceName}, got vps-2.vps.ovh.net; replacing it would end its contract, as deleteAtExpiry is true: ` +
        "set server.deleteAtExpiry to false, run pulumi up, and only then change the name",
    );
  });

  it("is kept when the settings change to an order", async () => {
    expect(await stack.up(ORDERED)).toBe("updated");

    expect(stack.outputs.serviceName).toBe(server.serviceName);
    expect(changes()).toEqual([]);
  });

  it("has another identity after somebody else reinstalled it", async () => {
    const before = stack.outputs.serverId;
    await reinstall("Debian 12");

    expect(await stack.refresh()).toBe(true);
    expect(stack.outputs.serverId).not.toBe(before);
    expect(await stack.up(given())).toBe("updated");
    expect(await stack.refresh()).toBe(false);
    // OVH forgets old tasks.
    server.tasks.splice(0);
    const { serverId } = stack.outputs;
    expect(await stack.refresh()).toBe(false);
    expect(stack.outputs.serverId).toBe(serverId);
  });

  it("keeps its identity when OVH remembers an installation from before the adoption again", async () => {
    const { serverId } = stack.outputs;
    await reinstall("Debian 12");
    for (const task of server.tasks) task.date = "2001-01-01T00:00:00+01:00";

    expect(await stack.refresh()).toBe(false);
    expect(stack.outputs.serverId).toBe(serverId);
  });

  it("shows another system after somebody else reinstalled it, and accepts that system as an input", async () => {
    await reinstall("Debian 13");

    expect(await stack.refresh()).toBe(true);
    expect(await failure(stack.up(given()))).toMatch(/^server\.image: expected Debian 13, which/);
    expect(await stack.up({ ...given(), image: "Debian 13" })).toBe("updated");
    expect(await stack.refresh()).toBe(false);
  });

  it.each([
    ["in rescue mode", { netbootMode: "rescue", state: "rescued" }, "it is in rescue mode"],
    ["stopped", { state: "stopped" }, "expected it running, got stopped"],
    ["suspended", { suspended: true }, "OVH has locked it (abuse)"],
    ["expired", { expired: true }, "the service has expired: renew it in OVH's control panel"],
  ] as const)("fails to refresh, and is not forgotten, when it is %s", async (_, fault, message) => {
    Object.assign(server, fault);

    expect(await failure(stack.refresh())).toContain(message);
    expect(stack.saved?.id).toBe(server.serviceName);
  });

  it("fails to refresh while it is being reinstalled", async () => {
    server.tasks.push({
      id: 900_001,
      date: "2026-11-21T00:00:00+00:00",
      progress: 40,
      state: "doing",
      type: "reinstallVm",
    });

    expect(await failure(stack.refresh())).toBe(
      `${server.serviceName}: OVH is reinstalling it (40 %); run this again when that has finished`,
    );
  });

  it("shows a server that has become smaller", async () => {
    Object.assign(server, { vcore: 2, memoryMib: 4096 });

    expect(await stack.refresh()).toBe(true);
    expect(stack.saved?.inputs).toMatchObject({ vcores: 2, memoryGib: 4 });
    expect(await failure(stack.up(given()))).toMatch(/expected at least 4 vCores, got 2/);
  });

  it("is read as gone only when OVH no longer has it", async () => {
    account.ovh.faults.add({ api: "ovh", path: "^/vps/", times: 0, status: 500 });
    expect(await failure(stack.refresh())).toMatch(/got 500/);
    account.ovh.faults.clear();
    expect(stack.saved).toBeDefined();
    account.ovh.state.servers.splice(0);

    expect(await stack.refresh()).toBe(true);
    expect(stack.saved).toBeUndefined();
  });

  it("is left running by a destroy, which warns about it", async () => {
    await stack.destroy();

    expect(changes()).toEqual([]);
    expect(stack.said("warning")).toEqual([
      expect.stringContaining("left running and renewed, because server.deleteAtExpiry is false"),
    ]);
  });

  it("is left running by a destroy that lets its contract end", async () => {
    await stack.up({ ...given(), deleteAtExpiry: true });

    await stack.destroy();

    expect(changes()).toEqual([`PUT /vps/${server.serviceName}/serviceInfos`]);
    expect(server.renew).toEqual({ automatic: true, deleteAtExpiration: true, forced: false, period: 1 });
    expect(stack.said("warning")).toEqual([
      `${server.serviceName}: left running; its contract ends on ${server.expiration.slice(0, 10)} and is not renewed`,
    ]);
  });

  it("can be destroyed when it is already gone", async () => {
    await stack.up({ ...given(), deleteAtExpiry: true });
    account.ovh.state.servers.splice(0);

    await stack.destroy();
    expect(stack.saved).toBeUndefined();
  });
});

describe("Vps that was ordered", () => {
  beforeEach(async () => {
    await stack.up(ORDERED);
    account.ovh.calls.clear();
  });

  it("fails without a change when another key is wanted", async () => {
    const { serviceName } = stack.outputs;

    expect(await failure(stack.up({ ...ORDERED, publicKey: OTHER_KEY }))).toMatch(
      new RegExp(
        `^ssh\\.publicKey: expected the key ${serviceName} was installed with, got another; set it back; .* ` +
          `pulumi config set --path technicia:server.serviceName ${serviceName} and pulumi config rm --path technicia:server.order`,
      ),
    );
    expect(account.ovh.calls.lines("ovh")).toEqual([]);
  });

  it("keeps its key when only the comment changes", async () => {
    expect(await stack.up({ ...ORDERED, publicKey: PUBLIC_KEY.replace("operator", "someone") })).toBe(
      "updated",
    );
    expect(changes()).toEqual([]);
  });

  it("accepts another key once it is adopted", async () => {
    const { serviceName } = stack.outputs;

    expect(await stack.up({ ...adopted(serviceName), publicKey: OTHER_KEY })).toBe("updated");
    expect(changes()).toEqual([]);
    expect(await stack.refresh()).toBe(false);
  });

  it("accepts another key after somebody else reinstalled it", async () => {
    const bought = account.ovh.state.servers.find(
      ({ serviceName }) => serviceName === stack.outputs.serviceName,
    );
    if (bought) server = bought;
    await reinstall("Debian 13");
    await stack.refresh();

    expect(await stack.up({ ...ORDERED, image: "Debian 13", publicKey: OTHER_KEY })).toBe("updated");
    expect(changes()).toEqual([]);
    expect(await failure(stack.up({ ...ORDERED, image: "Debian 13" }))).toMatch(
      /^ssh\.publicKey: expected the key/,
    );
  });
});

describe("inputs of a Vps", () => {
  it("fail when there is neither a server nor an order, or both", () => {
    const { order, ...rest } = ORDERED;
    const message = (got: string): string =>
      `server: expected either serviceName (a server that exists) or order (terms to buy one), got ${got}; ` +
      "set technicia:server.serviceName or technicia:server.order";

    expect(() => stack.check(rest)).toThrow(message("neither"));
    expect(() => stack.check({ ...given(), order })).toThrow(message("both"));
  });

  it.each([
    [
      { publicKey: "/home/me/.ssh/id_ed25519.pub" },
      "a public key in OpenSSH's format; give the content of the .pub file",
    ],
    [{ vcores: 0 }, "a whole number of cores, 1 or more"],
    [{ name: "x".repeat(51) }, "at most 50 characters"],
    [
      { order: { subsidiary: "fr", maxMonthlyPriceEur: 10 } },
      "a country code in capitals; write for example FR",
    ],
    [{ order: { subsidiary: "FR", maxMonthlyPriceEur: 0 } }, "a price in euros above 0"],
  ])("fail with %j", (change, message) => {
    expect(() => stack.check({ ...ORDERED, ...change })).toThrow(message);
  });
});
