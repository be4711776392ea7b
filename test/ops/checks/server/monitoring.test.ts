import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { monitoringProbes } from "../../../../ops/checks/server/monitoring.ts";
import type { Finding } from "../../../../ops/checks/probe.ts";
import { environmentWith } from "../../../support/fixtures.ts";
import { rule, rulesOf, startStores, type DoubleStores } from "../../monitoring/double-stores.ts";
import { startLocalServer, type LocalServer } from "../../server/local-server.ts";
import { contextWith, outputsOf, unaborted } from "../fixtures.ts";

const NOW = Date.parse("2026-11-24T10:00:00Z");

let stores: DoubleStores;
let server: LocalServer;

beforeEach(async () => {
  stores = await startStores();
  server = await startLocalServer();
  stores.give("metrics /vmui/custom-dashboards", {
    dashboardsSettings: [{ title: "Utilisateurs", rows: [] }, { title: "Serveur" }],
  });
  stores.give(
    "alerts /api/v2/receivers",
    ["nobody", "deadman", "announcements-slack", "team", "slack"].map((name) => ({ name })),
  );
});
afterEach(async () => {
  await stores[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

interface Stack {
  /** `technicia:monitoring.enabled`, in the settings and as it is deployed. */
  readonly enabled?: boolean;
  readonly deployed?: boolean;
}

async function look(id: string, { enabled = true, deployed = true }: Stack = {}): Promise<Finding> {
  const environment = environmentWith({ monitoring: { enabled } });
  const outputs = outputsOf(environmentWith({ monitoring: { enabled: deployed } }));
  const probes = monitoringProbes(contextWith({ environment, outputs, server }), {
    access: { server },
    now: () => NOW,
    addresses: stores.addresses,
  });
  return await probes.find((probe) => probe.id === id)!.find(unaborted);
}

const IDS = ["alert-thresholds", "dashboard", "notifications"];

async function recorded(test: unknown): Promise<void> {
  await mkdir(server.folder, { recursive: true });
  const text = typeof test === "string" ? test : JSON.stringify(test);
  await writeFile(join(server.folder, "alert-test.json"), text);
}

const TEST = {
  ...{ at: "2026-11-10T09:00:00Z", by: "alice@laptop", passed: true },
  receivers: {
    team: { received: true, severities: ["P1"] },
    slack: { received: true, severities: ["P3"] },
  },
};

describe("the items about the monitoring", () => {
  it("are not checked where it is off, or where only the next deployment brings it", async () => {
    for (const id of IDS) {
      expect(await look(id, { enabled: false })).toMatchObject({
        outcome: "not-checked",
        detail: "la surveillance est éteinte : technicia:monitoring.enabled",
      });
      expect(await look(id, { deployed: false })).toMatchObject({
        outcome: "not-checked",
        detail: "le prochain déploiement met la surveillance en place",
      });
    }
    expect(stores.received).toEqual([]);
  });

  it("pass for rules that are evaluated, fail for a broken one, and know nothing of a silent program's", async () => {
    expect(await look("alert-thresholds")).toMatchObject({
      outcome: "ok",
      detail: "3 règles évaluées sans erreur",
    });
    stores.give(
      "log-rules /api/v1/rules",
      rulesOf([rule("ErrorRateHigh", { health: "err", lastError: "x" })]),
    );
    expect(await look("alert-thresholds")).toMatchObject({
      outcome: "failed",
      detail: "règles en erreur : ErrorRateHigh ; npm run alerts -- test rules",
    });
    stores.down.add("metric-rules");
    expect(await look("alert-thresholds")).toMatchObject({
      outcome: "not-checked",
      detail: expect.stringMatching(/^metric-rules on .* does not answer/) as string,
    });
  });

  it("pass for dashboards that are there, and fail without one", async () => {
    expect(await look("dashboard")).toMatchObject({
      outcome: "ok",
      detail: "2 tableaux de bord : Utilisateurs, Serveur",
    });
    stores.give("metrics /vmui/custom-dashboards", { dashboardsSettings: [] });
    expect(await look("dashboard")).toMatchObject({ outcome: "failed" });
  });
});

describe("the item about notifications", () => {
  it("passes for a test of the last 30 days that everybody has received", async () => {
    await recorded(TEST);

    expect(await look("notifications")).toMatchObject({
      outcome: "ok",
      detail: "essai du 2026-11-10 par alice@laptop : tout est arrivé (team, slack)",
      measures: { testedDays: 14 },
    });
  });

  it.each([
    ["30 days ago", { at: "2026-10-25T11:00:00Z" }, "ok", "tout est arrivé"],
    ["longer ago", { at: "2026-10-25T09:00:00Z" }, "not-checked", "il y a plus de 30 jours : npm run alerts"],
    ["in the future", { at: "2027-01-01T00:00:00Z" }, "not-checked", "qui est à venir"],
    [
      "without a receiver that there is now",
      { receivers: { team: TEST.receivers.team } },
      "not-checked",
      "sans slack : npm run alerts -- test test",
    ],
    [
      "with a message that did not arrive",
      { passed: false, receivers: { ...TEST.receivers, slack: { received: false, severities: [] } } },
      "failed",
      "rien n'est arrivé à slack ; npm run alerts -- test test",
    ],
    [
      "with a loss at a receiver that is gone",
      { receivers: { ...TEST.receivers, pager: { received: false, severities: [] } } },
      "ok",
      "tout est arrivé",
    ],
  ])("judges a test %s", async (_, change, outcome, detail) => {
    await recorded({ ...TEST, ...change });

    expect(await look("notifications")).toMatchObject({
      outcome,
      detail: expect.stringContaining(detail) as string,
    });
  });

  it("says that nobody has tested, and that nobody is told at all", async () => {
    expect(await look("notifications")).toMatchObject({
      outcome: "not-checked",
      detail: "jamais essayé : npm run alerts -- test test",
    });
    stores.give("alerts /api/v2/receivers", [{ name: "nobody" }, { name: "deadman" }]);
    expect(await look("notifications")).toMatchObject({
      outcome: "not-checked",
      detail: expect.stringContaining("personne n'est prévenu") as string,
    });
  });

  it("does not take a damaged record for a test", async () => {
    await recorded("{");

    await expect(look("notifications")).rejects.toThrow(
      "alert-test.json: expected the result of a test of the alerts, got something else",
    );
  });
});
