import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { announce, type Announcement } from "../../../ops/monitoring/announce.ts";
import { listAlerts } from "../../../ops/monitoring/alerts.ts";
import type { NewAlert } from "../../../ops/monitoring/alertmanager.ts";
import { environmentWith } from "../../support/fixtures.ts";
import { alert, startStores, type DoubleStores } from "./double-stores.ts";
import { TestWorld } from "./test-world.ts";

let stores: DoubleStores;
let world: TestWorld;

beforeEach(async () => {
  stores = await startStores();
  world = await TestWorld.open(stores.addresses);
});
afterEach(async () => {
  await world[Symbol.asyncDispose]();
  await stores[Symbol.asyncDispose]();
});

const BEGAN = new Date("2026-11-24T09:54:20Z");

const FAILED: Announcement = {
  ...{ work: "deployment", stage: "rolled-back", began: BEGAN, release: 12, reason: "Raise n8n" },
  detail: "version 11 remise en service ; n8n ne répond pas",
};

const tell = (announcement: Announcement, enabled = true) =>
  announce(
    { ...world.world, server: world.server, environment: environmentWith({ monitoring: { enabled } }) },
    announcement,
  );

const sent = () =>
  stores.received
    .filter(({ method, path }) => method === "POST" && path === "/api/v2/alerts")
    .flatMap(({ body }) => JSON.parse(body) as NewAlert[]);

describe("an announcement", () => {
  it("says what, where, since when, who, which release, with what result and how long it took", async () => {
    await tell(FAILED);

    expect(sent()).toEqual([
      {
        labels: {
          ...{ alertname: "Announcement", severity: "info", stack: "test" },
          ...{ work: "deployment", stage: "rolled-back" },
          id: "Announcement-deployment-2026-11-24T09:54:20.000Z-rolled-back",
        },
        annotations: {
          title: "Mise en production, version 12 : annulée",
          what: "Mise en production",
          where: "technicia.exemple.fr",
          by: "alice@laptop",
          release: "12",
          result: "annulée : version 11 remise en service ; n8n ne répond pas",
          duration: "5 min 40 s",
          reason: "Raise n8n",
        },
        startsAt: "2026-11-24T09:54:20.000Z",
        endsAt: "2026-11-24T10:05:00.000Z",
      },
    ]);
    expect(world.said).toEqual([]);
  });

  it.each([
    ["maintenance", "started", "Maintenance : commencée"],
    ["restore", "finished", "Restauration des données : terminée"],
    ["rollback", "started", "Retour arrière : commencé"],
    ["rollback", "finished", "Retour arrière : terminé"],
    ["reboot", "started", "Redémarrage du serveur : commencé"],
    ["recovery", "failed", "Remise en état du serveur : en échec"],
  ] as const)("of a %s that has %s is « %s »", async (work, stage, title) => {
    await tell({ work, stage, began: BEGAN });

    expect(sent()[0]?.annotations["title"]).toBe(title);
    expect("duration" in (sent()[0]?.annotations ?? {})).toBe(stage !== "started");
  });

  it("is one line of limited length, whatever the engine printed", async () => {
    await tell({ ...FAILED, detail: `one\ntwo\u001b[31m ${"x".repeat(2000)}` });
    const { result = "" } = sent()[0]!.annotations;

    expect(result).toMatch(/^annulée : one two\[31m x+…$/);
    expect(result.length).toBe(501);
  });

  it("that cannot be sent is said here, and fails nothing", async () => {
    stores.down.add("alerts");
    await tell(FAILED);

    expect(world.said).toEqual([
      expect.stringMatching(
        /^nobody was told of this deployment \(rolled-back\): alerts on .* does not answer/,
      ),
    ]);
  });

  it("is not sent where the monitoring is off", async () => {
    await tell(FAILED, false);

    expect(stores.received).toEqual([]);
    expect(world.said).toEqual([]);
  });

  it("is in no list of alerts", async () => {
    stores.give("alerts /api/v2/alerts", [
      alert({ alertname: "Announcement", severity: "info", id: "Announcement-deployment" }),
    ]);

    expect(await listAlerts({ stack: "test", json: false }, world.world)).toEqual({
      text: "test: no alert",
      exitCode: 0,
    });
  });
});
