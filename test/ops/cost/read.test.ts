import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { noteMeasured } from "../../../ops/backup/measured.ts";
import { readCost } from "../../../ops/cost/read.ts";
import { costTable } from "../../../ops/cost/render.ts";
import { startOvh, type FakeOvh } from "../../../rehearsal/fake-clouds/ovh/server.ts";
import { DECLARATION_TYPE } from "../../../stacks/declaration-record.ts";
import { environmentWith, validSettings } from "../../support/fixtures.ts";
import { listed, three } from "../../support/servers.ts";

const BACKUP = { project: "0123456789abcdef0123456789abcdef", region: "RBX" };
const SERVER = "vps-1a2b3c4d.vps.ovh.net";

let ovh: FakeOvh;
let cache: string;
beforeEach(async () => {
  ovh = await startOvh();
  cache = await mkdtemp(join(tmpdir(), "cost-"));
  vi.stubEnv("XDG_CACHE_HOME", cache);
});
afterEach(async () => {
  await ovh.close();
  await rm(cache, { recursive: true });
});

const environment = (change: Readonly<Record<string, unknown>> = {}) =>
  environmentWith({ "ovh.endpoint": ovh.url, ...change });

/** A state in which that server is deployed, with these settings. */
function deployed(outputs: object, change: Readonly<Record<string, unknown>> = {}) {
  const settings = { ...validSettings(), ovh: { endpoint: ovh.url }, ...change };
  const recorded = Object.entries(settings).map(([name, value]) => [
    `technicia:${name}`,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  const record = { basis: "", digests: {}, settings: Object.fromEntries(recorded) as object };
  const urn = "urn:pulumi:test::technicia::x::y";
  return {
    resources: [
      { urn, type: "technicia:ovh:Vps", outputs: { serviceName: SERVER, ...outputs } },
      { urn, type: DECLARATION_TYPE, outputs: record },
    ],
  };
}

const world = () => ({ fetch, now: () => new Date("2026-11-24T08:00:00Z") });

describe("the cost of a change", () => {
  it("is nothing while what costs stays as it is", async () => {
    const state = deployed({ model: "vps-2027-model2" });
    const table = costTable(await readCost({ environment: environment(), state }, world()));

    expect(table).toMatchObject({ differs: false, summary: "€8.79 a month without VAT" });
  });

  it("is that of servers that are added, each known by its name in the state", async () => {
    const { servers } = listed(three);
    const list = environment(listed(three));
    const before = deployed({ model: "vps-2027-model2" });
    const [first] = before.resources;
    const of = (name: string, serviceName: string) => ({
      ...first!,
      urn: `urn:pulumi:test::technicia::technicia:infra:Vps$technicia:ovh:Vps::${name}/vps-server`,
      outputs: { serviceName, model: "vps-2027-model2" },
    });
    const grown = {
      resources: [
        ...before.resources,
        ...three.slice(1).map(({ name, serviceName }) => of(name, serviceName!)),
      ],
    };

    expect(servers).toBe(three);
    const added = costTable(await readCost({ environment: list, state: grown }, world()));
    // 7.99 and an option of 0.80 each.
    expect(added.summary).toBe("€26.37 a month without VAT (+€17.58)");
    expect(added.rows.map(({ name }) => name)).toContain("gra-3: vps-2027-model2");
  });

  it("is that of backups that are set up", async () => {
    const set = environment({ backup: BACKUP });
    await noteMeasured(set, { bytes: 100 * 1024 ** 3, at: "2026-11-20T08:00:00.000Z" });
    const change = await readCost(
      { environment: set, state: deployed({ model: "vps-2027-model2" }) },
      world(),
    );
    const table = costTable(change);

    expect(table.summary).toBe("€9.49 a month without VAT (+€0.70)");
    expect(table.rows).toContainEqual({
      what: "backups",
      name: "100.0 GiB in RBX",
      before: "–",
      after: "€0.70",
      source: "OVH's price list of 2025-11, size of 2026-11-20",
    });
  });

  it("is that of another server, with the fee and the ceiling", async () => {
    const ordered = { model: "vps-2027-model3", plan: "vps-2027-model3", monthlyPriceEur: 14.49 };
    const order = { subsidiary: "FR", maxMonthlyPriceEur: 15 };
    const server = validSettings()["server"] as object;
    const state = deployed(ordered, { server: { ...server, serviceName: undefined, order } });
    const other = environment({
      "server.serviceName": undefined,
      "server.order": { ...order, again: SERVER },
      "operations.maxMonthlyEur": 20,
    });
    const table = costTable(await readCost({ environment: other, state }, world()));

    expect(table.summary).toBe("€8.79 a month without VAT (−€5.70); the ceiling is €20.00");
    expect(table.rows.slice(0, 2).map(({ name, before, after }) => [name, before, after])).toEqual([
      ["vps-2027-model3", "€13.49", "–"],
      ["option-auto-backup-2027-1-model3", "€1.00", "–"],
    ]);
  });

  it("shows no difference where a side is unknown, nor before a first deployment", async () => {
    const unknown = await readCost(
      { environment: environment(), state: deployed({ model: "vps-gone" }) },
      world(),
    );
    expect(costTable(unknown).summary).toBe("unknown a month without VAT");

    const order = {
      "server.serviceName": undefined,
      "server.order": { subsidiary: "FR", maxMonthlyPriceEur: 15 },
    };
    const first = await readCost({ environment: environment(order), state: { resources: [] } }, world());
    expect(first.before).toBeUndefined();
    expect(costTable(first)).toMatchObject({ differs: false, summary: "€8.79 a month without VAT" });
  });

  it("goes on with an order whose server has no name yet", async () => {
    const order = {
      "server.serviceName": undefined,
      "server.order": { subsidiary: "FR", maxMonthlyPriceEur: 15 },
    };
    const state = deployed({ serviceName: "", plan: "vps-2027-model1", monthlyPriceEur: 4.99 });
    const { after } = await readCost({ environment: environment(order), state }, world());

    expect(after.lines[0]?.name).toBe("vps-2027-model1");
  });

  it("forgets a size that was measured in another bucket", async () => {
    await noteMeasured(environment({ backup: { ...BACKUP, project: "f".repeat(32) } }), {
      bytes: 1,
      at: "2026-11-20T08:00:00.000Z",
    });
    const change = await readCost(
      { environment: environment({ backup: BACKUP }), state: { resources: [] } },
      world(),
    );

    expect(change.after.lines[1]?.monthly.kind).toBe("unknown");
  });
});
