import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { catalogueOf, type CatalogueRequest } from "../../../ops/cost/catalogue.ts";
import { startOvh, type FakeOvh } from "../../../rehearsal/fake-clouds/ovh/server.ts";

const MORNING = new Date("2026-11-24T08:00:00Z");

let ovh: FakeOvh;
let folder: string;
beforeEach(async () => {
  ovh = await startOvh();
  folder = await mkdtemp(join(tmpdir(), "catalogue-"));
});
afterEach(async () => {
  await ovh.close();
  await rm(folder, { recursive: true });
});

const read = (change: Partial<CatalogueRequest> = {}) =>
  catalogueOf({ endpoint: ovh.url, subsidiary: "FR", now: MORNING, fetch, folder, ...change });

describe("OVH's catalogue", () => {
  it("is read without a key, once a day for each country", async () => {
    const headers: string[] = [];
    const spy: typeof fetch = (url, init) => {
      headers.push(...Object.keys(init?.headers ?? {}));
      return fetch(url, init);
    };
    const first = await read({ fetch: spy });
    expect(headers).toEqual(["accept", "connection"]);
    expect(first).toMatchObject({ subsidiary: "FR", day: "2026-11-24" });
    expect(await read({ now: new Date("2026-11-24T23:59:59Z") })).toEqual(first);
    expect(ovh.calls.list()).toHaveLength(1);

    expect(await read({ now: new Date("2026-11-25T00:00:00Z") })).toMatchObject({ day: "2026-11-25" });
    await read({ subsidiary: "DE" });
    expect(ovh.calls.list()).toHaveLength(3);
  });

  it("is read again where what was kept is damaged", async () => {
    await read();
    const [file] = await readdir(folder);
    await writeFile(join(folder, file!), '{ "day": "2026-11-24", "catalogue": { "plans": [');

    expect(await read()).toHaveProperty("catalogue.plans");
    expect(ovh.calls.list()).toHaveLength(2);
  });

  it.each([
    ["an answer of another form", { status: 200, body: { plans: [{}] } }, /got an answer of another form/],
    ["a failure", { status: 503, body: {} }, /^OVH's catalogue could not be read: .*503/],
  ])("is unknown after %s, which is not kept", async (_, fault, why) => {
    ovh.faults.add({ api: "ovh", path: "/order/catalog/public/vps", times: 1, ...fault });

    expect(await read()).toEqual({ why: expect.stringMatching(why) as string });
    expect(await read()).toHaveProperty("catalogue");
  });

  it("is unknown while nothing answers, and where OVH bills in another currency", async () => {
    expect(await read({ endpoint: "http://127.0.0.1:1/1.0" })).toHaveProperty("why");
    const body = { locale: { currencyCode: "GBP" }, plans: [], addons: [] };
    ovh.faults.add({ api: "ovh", path: "/order/catalog/public/vps", status: 200, body });

    expect(await read({ subsidiary: "GB" })).toEqual({ why: "OVH bills GB in GBP, not in euros" });
  });

  it("needs no place to be kept in", async () => {
    await writeFile(join(folder, "file"), "");

    expect(await read({ folder: join(folder, "file") })).toHaveProperty("catalogue");
  });
});
