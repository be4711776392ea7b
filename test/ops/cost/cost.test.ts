import { describe, expect, it } from "vitest";

import { sumOf } from "../../../common/cost.ts";
import { costOf, type KnownServer, type Priced } from "../../../ops/cost/cost.ts";
import { describeSum } from "../../../ops/cost/render.ts";
import { judgePlans, type Catalogue } from "../../../provider/ovh/order/catalog.ts";
import { OPERATING_SYSTEMS, renderCatalogue } from "../../../rehearsal/fake-clouds/ovh/catalogue.ts";
import { environmentWith } from "../../support/fixtures.ts";
import { listed as listedServers, twoAndWitness } from "../../support/servers.ts";

const catalogue = renderCatalogue("FR", OPERATING_SYSTEMS) as Catalogue;
const dated = { catalogue, subsidiary: "FR", day: "2026-11-24" };
const ORDER = {
  "server.serviceName": undefined,
  "server.order": { subsidiary: "FR", maxMonthlyPriceEur: 15 },
};
const BACKUP = { backup: { project: "0123456789abcdef0123456789abcdef", region: "RBX" } };
const GIB = 1024 ** 3;
const adopted: KnownServer = {
  serviceName: "vps-1a2b3c4d.vps.ovh.net",
  model: "vps-2027-model2",
  ordered: undefined,
};

function cost(change: Partial<Priced> = {}, settings: Readonly<Record<string, unknown>> = {}) {
  const environment = environmentWith(settings);
  return costOf({
    environment,
    server: undefined,
    measured: undefined,
    usage: undefined,
    catalogue: dated,
    ...change,
  });
}

const listed = (given: ReturnType<typeof cost>) =>
  given.lines.map(({ what, name, monthly }) => [
    what,
    name,
    monthly.kind === "euros" ? monthly.euros : monthly.kind,
  ]);

describe("the cost of a month", () => {
  it("is that of the order: plan and options, and nothing for what is billed by use", () => {
    const { vcores, memoryGib, datacentre, image } = environmentWith(ORDER).server;
    const wish = { subsidiary: "FR", maxMonthlyPriceEur: 15, vcores, memoryGib, datacentre, image };
    const ordered = judgePlans(catalogue, wish)[0]?.offer.monthlyPriceEur;
    const found = cost({}, ORDER);

    expect(listed(found)).toEqual([
      ["server", "vps-2027-model2", 7.99],
      ["option", "option-auto-backup-2027-1-model2", 0.8],
      ["usage", "Anthropic", "not-estimated"],
      ["usage", "VoyageAI, Google", "not-estimated"],
    ]);
    expect(sumOf(found)).toEqual({ euros: ordered, unknown: [] });
    expect(found.lines[0]?.source).toBe("OVH's catalogue of FR, 2026-11-24");
  });

  it("of several servers is that of each, with its name, and one that is to be ordered counts", () => {
    const [first, second] = twoAndWitness;
    const servers = [first, second, { ...twoAndWitness[2]!, memoryGib: 4, vcores: 2 }];
    const others = { "gra-2": { ...adopted, serviceName: "vps-2a2b3c4d.vps.ovh.net" } };
    const found = cost({ server: adopted, others }, listedServers(servers as typeof twoAndWitness));
    const lines = listed(found).filter(([what]) => what === "server");

    expect(lines.slice(0, 2)).toEqual([
      ["server", "gra-1: vps-2027-model2", 7.99],
      ["server", "gra-2: vps-2027-model2", 7.99],
    ]);
    expect(lines[2]).toEqual(["server", expect.stringMatching(/^sbg-1: /), expect.any(Number)]);
    expect(sumOf(found).euros).toBeGreaterThan(2 * 7.99);
  });

  it("of an adopted server is that of its model", () => {
    expect(listed(cost({ server: adopted }))[0]).toEqual(["server", "vps-2027-model2", 7.99]);
  });

  it("names the price of the order where the catalogue has another one by now", () => {
    const ordered = { plan: "vps-2027-model2", monthlyPriceEur: 6.5 };
    const [server] = cost({ server: { ...adopted, ordered } }, ORDER).lines;

    expect(server?.monthly).toEqual({ kind: "euros", euros: 7.99 });
    expect(server?.source).toBe("OVH's catalogue of FR, 2026-11-24; ordered at €6.50 with its options");
  });

  it("of a plan that vanished is that of its order, or unknown, and never 0", () => {
    const plan = "vps-comfort-4-8-160";
    const ordered = { plan, monthlyPriceEur: 12.5 };

    expect(cost({ server: { ...adopted, model: plan, ordered } }).lines[0]).toEqual({
      what: "server",
      name: plan,
      monthly: { kind: "euros", euros: 12.5 },
      source: "its order, with options: the catalogue of FR of 2026-11-24 no longer has the plan",
    });
    const unknown = cost({ server: { ...adopted, model: plan } });
    expect(unknown.lines[0]?.monthly).toEqual({
      kind: "unknown",
      why: "the catalogue of FR of 2026-11-24 no longer has the plan; its price is on OVH's invoices",
    });
    expect(describeSum(unknown)).toBe("unknown");
  });

  it("is unknown while the catalogue cannot be read, while no plan fits, and before a server is adopted", () => {
    expect(listed(cost({ catalogue: { why: "no answer" } }, ORDER))[0]).toEqual([
      "server",
      "to order",
      "unknown",
    ]);
    expect(listed(cost({}, { ...ORDER, "server.vcores": 64 }))[0]).toEqual(["server", "to order", "unknown"]);
    expect(listed(cost())[0]).toEqual(["server", "vps-1a2b3c4d.vps.ovh.net", "unknown"]);
  });

  it("contains the set-up fee apart, as long as it is to be paid", () => {
    const withFee = catalogue.plans.map((plan) => ({
      ...plan,
      pricings: plan.pricings.map((one) =>
        one.capacities.includes("installation") ? { ...one, price: 3_00000000 } : one,
      ),
    }));
    const fees = { ...dated, catalogue: { ...catalogue, plans: withFee } };

    expect(cost({ catalogue: fees }, ORDER).once).toBe(3);
    expect(sumOf(cost({ catalogue: fees }, ORDER)).euros).toBe(8.79);
    expect(cost({ catalogue: fees, server: adopted }).once).toBe(0);
  });

  it("contains the backups by their measured size, and says where nobody has measured", () => {
    const measured = { bytes: 100 * GIB, at: "2026-11-20T08:00:00.000Z" };
    const found = cost({ server: adopted, measured }, BACKUP);

    expect(listed(found)[2]).toEqual(["backups", "100.0 GiB in RBX", expect.closeTo(0.7)]);
    expect(found.lines[2]?.source).toBe("OVH's price list of 2025-11, size of 2026-11-20");
    expect(sumOf(found).euros).toBe(9.49);

    const unmeasured = cost({ server: adopted }, BACKUP);
    expect(sumOf(unmeasured)).toEqual({ euros: 8.79, unknown: ["backups in RBX"] });
    expect(describeSum(unmeasured)).toBe("at least €8.79");
    expect(unmeasured.lines[2]?.monthly).toMatchObject({
      why: "not measured on this machine: npm run backups -- test",
    });
  });

  describe("of language models", () => {
    const usage = {
      at: "2026-11-24T08:00:00.000Z",
      models: { "claude-a": { input: 3_000_000, output: 500_000 }, "claude-b": { input: 10, output: 0 } },
    };
    const modelPrices = [{ model: "claude-a", inputEurPerMillion: 2, outputEurPerMillion: 10 }];
    const usageLines = (change: Partial<Priced>, settings = {}) =>
      cost({ server: adopted, ...change }, settings).lines.filter(({ what }) => what === "usage");

    it("is that of the tokens of the last 30 days, and says of which model there is no price", () => {
      const [first, second, others] = usageLines({ usage }, { "operations.modelPrices": modelPrices });

      expect(first).toEqual({
        ...{ what: "usage", name: "claude-a" },
        monthly: { kind: "euros", euros: expect.closeTo((11 * 365.25) / 12 / 30) as number },
        source: "3000000 tokens sent and 500000 answered in the 30 days to 2026-11-24",
      });
      expect(second).toMatchObject({
        name: "claude-b",
        monthly: {
          kind: "not-estimated",
          why: "10 tokens sent and 0 answered in the 30 days to 2026-11-24; its price is no entry of technicia:operations.modelPrices",
        },
      });
      expect(others).toMatchObject({ name: "VoyageAI, Google", monthly: { kind: "not-estimated" } });
    });

    it("is not estimated, and never 0, where nobody has read it and where no workflow counts", () => {
      const [unread] = usageLines({});
      const [none] = usageLines({ usage: { ...usage, models: {} } });

      expect(unread?.monthly).toEqual({
        kind: "not-estimated",
        why: "not read on this machine: npm run metrics -- test",
      });
      expect(none?.monthly).toEqual({
        kind: "not-estimated",
        why: "no workflow has noted a token in the 30 days to 2026-11-24",
      });
    });
  });

  it("leaves a bucket of the operator's own to its own bill", () => {
    const bucket = { address: "https://s3.example.org", region: "eu-1", name: "ours" };

    expect(sumOf(cost({ server: adopted }, { backup: { bucket } })).unknown).toEqual([]);
  });
});
