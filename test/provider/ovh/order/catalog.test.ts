import { afterEach, beforeEach, describe, expect, it } from "vitest";

import {
  type Catalogue,
  findOffer,
  judgePlans,
  listPrices,
  readCatalogue,
  type Wish,
} from "../../../../provider/ovh/order/catalog.ts";
import { OvhClient } from "../../../../provider/ovh/client.ts";
import { type FakeOvh, startOvh } from "../../../../rehearsal/fake-clouds/ovh/server.ts";

const WISH: Wish = {
  subsidiary: "FR",
  vcores: 4,
  memoryGib: 8,
  datacentre: "GRA",
  image: "Debian 12",
  maxMonthlyPriceEur: 30,
};

let ovh: FakeOvh;
let client: OvhClient;
beforeEach(async () => {
  ovh = await startOvh();
  // The catalogue is public: no keys.
  client = new OvhClient({ endpoint: ovh.url, credentials: { kind: "none" }, retryMs: 1 });
});
afterEach(() => ovh.close());

describe("findOffer", () => {
  it("chooses the cheapest plan that can be ordered, with its mandatory options", async () => {
    expect(await findOffer(client, WISH)).toEqual({
      planCode: "vps-2027-model2",
      invoiceName: "VPS-2 2027",
      vcores: 4,
      memoryGib: 8,
      addons: ["option-linux", "option-storage-local-2027-model2", "option-auto-backup-2027-1-model2"],
      monthlyPriceEur: 8.79,
      setupPriceEur: 0,
    });
  });

  it.each([
    [{ vcores: 5 }, "vps-2027-model3"],
    [{ memoryGib: 13 }, "vps-2027-model4"],
    [{ vcores: 1, memoryGib: 1 }, "vps-2027-model1"],
    [{ datacentre: "EU-WEST-LZ-AMS" }, "vps-2027-model2.LZ"],
  ])("grants %j with %s", async (change, plan) => {
    expect((await findOffer(client, { ...WISH, ...change })).planCode).toBe(plan);
  });

  it("fails with the nearest plans and what they lack when none fits", async () => {
    await expect(findOffer(client, { ...WISH, vcores: 16, memoryGib: 64 })).rejects.toThrow(
      "server.order: expected a plan with 16 vCores, 64 GiB, GRA, Debian 12 in the catalogue of FR, got none " +
        "(vps-2027-model1 (2 vCores, 4 GiB) at €4.99/month lacks 14 vCores and 60 GiB of memory; ",
    );
    await expect(findOffer(client, { ...WISH, image: "Plan 9" })).rejects.toThrow(/lacks the image "Plan 9"/);
    await expect(findOffer(client, { ...WISH, datacentre: "MARS" })).rejects.toThrow(/lacks datacentre MARS/);
  });

  it("chooses the next plan when the cheapest is out of stock", async () => {
    ovh.faults.add({
      api: "ovh",
      path: "planCode=vps-2027-model2$",
      status: 200,
      body: { datacenters: [{ datacenter: "GRA", status: "available", linuxStatus: "out-of-stock" }] },
    });

    expect((await findOffer(client, WISH)).planCode).toBe("vps-2027-model3");
  });

  it("fails when nothing that fits is in stock", async () => {
    ovh.state.stock["GRA"] = "out-of-stock";

    await expect(findOffer(client, WISH)).rejects.toThrow(
      "got none (vps-2027-model2 (4 vCores, 8 GiB) at €8.79/month lacks stock in GRA; ",
    );
  });

  it("fails with both prices when the cheapest costs more than the limit", async () => {
    await expect(findOffer(client, { ...WISH, maxMonthlyPriceEur: 8 })).rejects.toThrow(
      /expected at least €8\.79\/month for vps-2027-model2 .* got €8\.00\/month; accept that price with pulumi config set --path technicia:server\.order\.maxMonthlyPriceEur 8\.79/,
    );
  });
});

describe("judgePlans", () => {
  const month = (price: number, capacities = ["renew"]): Catalogue["plans"][number]["pricings"][number] => ({
    mode: "default",
    interval: 1,
    intervalUnit: "month",
    capacities,
    price,
  });
  const plan = (planCode: string, price: number, more: object = {}): Catalogue["plans"][number] => ({
    planCode,
    invoiceName: planCode,
    configurations: [
      { name: "vps_datacenter", values: ["GRA"] },
      { name: "vps_os", values: ["Debian 12"] },
    ],
    addonFamilies: [],
    pricings: [month(price), { ...month(0, ["installation"]), interval: 0, intervalUnit: "none" }],
    ...more,
  });
  const catalogue = (plans: Catalogue["plans"], addons: Catalogue["addons"] = []): Catalogue => ({
    locale: { currencyCode: "EUR" },
    plans,
    addons,
  });

  it("reads sizes from the plan, from its product, or from the code of an older range", () => {
    const technical = (cores: number, size: number): object => ({
      blobs: { technical: { cpu: { cores }, memory: { size } } },
    });
    const plans = [
      plan("vps-a", 3, technical(4, 16)),
      plan("vps-b", 2, { product: "b" }),
      plan("vps-comfort-4-8-160", 1),
      plan("vps-riddle", 0),
    ];
    const products = [{ name: "b", ...technical(8, 24) }];

    const sizes = judgePlans({ ...catalogue(plans), products }, WISH).map(({ offer }) => [
      offer.planCode,
      offer.vcores,
      offer.memoryGib,
    ]);

    expect(sizes).toEqual([
      ["vps-comfort-4-8-160", 4, 8],
      ["vps-b", 8, 24],
      ["vps-a", 4, 16],
    ]);
  });

  it("adds a one-time price to the set-up price only", () => {
    const pricings = [month(500_000_000), { ...month(200_000_000, ["installation"]), interval: 0 }];
    const [found] = judgePlans(catalogue([plan("vps-x-4-8-80", 0, { pricings })]), WISH);

    expect(found?.offer).toMatchObject({ monthlyPriceEur: 5, setupPriceEur: 2 });
  });

  it("reports a mandatory option that cannot be ordered", () => {
    const addonFamilies = [{ name: "os", mandatory: true, addons: ["option-windows-x"] }];
    const addons = [plan("option-windows-x", 1)];

    expect(
      judgePlans(catalogue([plan("vps-x-4-8-80", 1, { addonFamilies })], addons), WISH)[0]?.lacks,
    ).toEqual(['an option of the family "os" that can be ordered']);
  });

  it("fails where OVH bills in another currency", () => {
    expect(() =>
      judgePlans({ ...catalogue([]), locale: { currencyCode: "USD" } }, { ...WISH, subsidiary: "US" }),
    ).toThrow(
      "server.order.subsidiary: expected a country where OVH bills in EUR, got US, which bills in USD",
    );
  });
});

describe("listPrices", () => {
  const prices = async (planCode: string) => listPrices(await readCatalogue(client, "FR"), planCode);

  it("gives the month of a plan, and of the options that OVH demands with it", async () => {
    expect(await prices("vps-2027-model2")).toEqual([
      { planCode: "vps-2027-model2", monthlyPriceEur: 7.99, setupPriceEur: 0 },
      { planCode: "option-linux", monthlyPriceEur: 0, setupPriceEur: 0 },
      { planCode: "option-storage-local-2027-model2", monthlyPriceEur: 0, setupPriceEur: 0 },
      { planCode: "option-auto-backup-2027-1-model2", monthlyPriceEur: 0.8, setupPriceEur: 0 },
    ]);
  });

  it("knows a plan that only existing contracts keep, and none that is gone", async () => {
    expect((await prices("vps-comfort-4-8-80-vps-2025-model2-10percent"))?.[0]?.monthlyPriceEur).toBe(5.9);
    expect(await prices("vps-comfort-4-8-160")).toBeUndefined();
  });

  it("takes the lasting price and not a promotion's first month, the installation and not its promise", async () => {
    const catalogue = await readCatalogue(client, "FR");
    const plan = catalogue.plans.find(({ planCode }) => planCode === "vps-2027-model2")!;
    const [monthly] = plan.pricings.filter(
      ({ mode, capacities }) => mode === "default" && capacities.includes("renew"),
    );
    const pricings = [
      { ...monthly!, phase: 1, price: 99_000000 },
      { ...monthly!, phase: 2 },
      { ...monthly!, phase: 2, mode: "upfront12", interval: 12, price: 1 },
      {
        ...monthly!,
        phase: 0,
        capacities: ["installation"],
        interval: 0,
        intervalUnit: "none",
        price: 5_00000000,
      },
    ];
    const plans = [{ ...plan, pricings }];

    expect(listPrices({ ...catalogue, plans }, plan.planCode)?.[0]).toEqual({
      planCode: "vps-2027-model2",
      monthlyPriceEur: 7.99,
      setupPriceEur: 5,
    });
    expect(judgePlans({ ...catalogue, plans }, WISH)[0]?.offer).toMatchObject({
      monthlyPriceEur: 8.79,
      setupPriceEur: 5,
    });
  });
});
