import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { incidentsFromAlerts } from "../../../ops/documents/alert-incidents.ts";
import { incident } from "../../../ops/documents/incident-command.ts";
import { finishRelease, startRelease } from "../../../ops/server/records.ts";
import { listIncidents } from "../../../reports/incidents/book.ts";
import { newIssuesFile, read } from "../../reports/issues-file.ts";
import { release } from "../../reports/facts.ts";
import { rule, rulesOf, startStores, type DoubleStores } from "../monitoring/double-stores.ts";
import { fire, SERVICE_DOWN, type Fired } from "../monitoring/fired.ts";
import { TestWorld } from "../monitoring/test-world.ts";

let stores: DoubleStores;
let world: TestWorld;
let path: string;

beforeEach(async () => {
  stores = await startStores();
  world = await TestWorld.open(stores.addresses);
  path = await newIssuesFile();
});
afterEach(async () => {
  await stores[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

/** It is 10:00. */
const at = (time: string) => `2026-11-24T${time}:00Z`;
const ended: Fired = { labels: SERVICE_DOWN, from: at("08:00"), until: at("08:12") };
const active: Fired = { labels: SERVICE_DOWN, from: at("09:50"), until: at("10:00") };

const DOWN_RULE = rule("ServiceDown", {
  annotations: {
    ...{ title: "{{ $labels.service }} ne répond plus", where: "service {{ $labels.service }}" },
    ...{ value: '{{ printf "%.0f" $value }} contrôles', meaning: "La recherche est en panne." },
    ...{ action: "Lire son journal.", runbook: "docs/alerts.md#servicedown" },
  },
});

const run = (since = "3d") => incidentsFromAlerts({ stack: "test", since }, world.world, { path });
const statuses = async () =>
  (await listIncidents(path)).map(({ id, status, alert }) => `${id} ${alert} ${status}`);

describe("npm run incident -- from-alerts", () => {
  it("opens one entry for a fault, with its end, and none the second time", async () => {
    stores.give("metric-rules /api/v1/rules", rulesOf([DOWN_RULE]));
    fire(stores, ended);

    expect((await run()).text).toBe(
      "opened DEPLOY-001: ServiceDown-qdrant\nDEPLOY-001 ended: ServiceDown-qdrant",
    );
    const text = await read(path);
    expect((await run()).text).toBe("test: no alert that has no entry");
    expect(await read(path)).toBe(text);

    const [entry] = await listIncidents(path);
    expect(entry).toMatchObject({
      ...{ title: "qdrant ne répond plus", environment: "Test", status: "Résolu", priority: "Critique" },
      ...{ impact: "La recherche est en panne.", identified: "2026-11-24", resolved: "2026-11-24" },
      ...{ seen: [new Date(at("08:00"))], resolvedAt: new Date(at("08:12")) },
    });
    expect(text).toContain("Fin de l'alerte le 24 novembre 2026 à 09:12, après 12 min 00 s.");
  });

  it("computes the trends from what the alerts' ends say", async () => {
    fire(stores, ended, { labels: { ...SERVICE_DOWN, id: "X" }, from: at("08:00"), until: at("08:24") });
    await run();

    expect(await read(path)).toMatch(/\| Autres +\| 2 +\| 100 % +\| 18 minutes +\|/);
  });

  it("leaves the entry of an active alert open, and ends it when the alert has been over for a while", async () => {
    fire(stores, active);
    await run();
    expect(await statuses()).toEqual(["DEPLOY-001 ServiceDown-qdrant Ouvert"]);
    await run();
    expect(await statuses()).toEqual(["DEPLOY-001 ServiceDown-qdrant Ouvert"]);

    fire(stores, { ...active, until: at("10:05") });
    world.now = () => new Date(at("10:10"));
    await run();
    expect(await statuses()).toEqual(["DEPLOY-001 ServiceDown-qdrant Ouvert"]);

    world.now = () => new Date(at("10:30"));
    expect((await run()).text).toBe("DEPLOY-001 ended: ServiceDown-qdrant");
    expect(await statuses()).toEqual(["DEPLOY-001 ServiceDown-qdrant Résolu"]);
  });

  it("ends an entry whose alert began before the time that was asked for", async () => {
    fire(stores, { ...active, from: at("07:00") });
    await run();
    fire(stores, { ...active, from: at("07:00"), until: at("10:05") });
    world.now = () => new Date("2026-11-29T10:00:00Z");

    expect((await run()).text).toBe("DEPLOY-001 ended: ServiceDown-qdrant");
  });

  it("opens two entries for two faults at once, and for two faults of one alert", async () => {
    const other = { ...SERVICE_DOWN, service: "n8n", id: "ServiceDown-n8n" };
    stores.give("metric-rules /api/v1/rules", rulesOf([DOWN_RULE]));
    fire(stores, ended, { ...ended, labels: other }, active);
    await run();

    expect(await statuses()).toEqual([
      "DEPLOY-001 ServiceDown-qdrant Résolu",
      "DEPLOY-002 ServiceDown-n8n Résolu",
      "DEPLOY-003 ServiceDown-qdrant Ouvert",
    ]);
  });

  it("takes an alert that flaps for one fault", async () => {
    fire(
      stores,
      { ...ended, until: at("08:02") },
      { ...ended, from: at("08:10"), until: at("08:12") },
      { ...ended, from: at("08:20"), until: at("08:21") },
    );
    await run();

    expect((await listIncidents(path)).map(({ resolvedAt }) => resolvedAt)).toEqual([new Date(at("08:21"))]);
  });

  it.each(["P3", "info"])("opens no entry for an alert of severity %s", async (severity) => {
    fire(stores, { ...ended, labels: { ...SERVICE_DOWN, severity } });

    expect((await run()).text).toBe("test: no alert that has no entry");
  });

  it("opens no entry for a test of the alerts", async () => {
    fire(stores, { ...ended, labels: { ...SERVICE_DOWN, test: "yes" } });

    expect((await run()).text).toBe("test: no alert that has no entry");
  });

  it("keeps what a person has written, and lets them add the cause after the end", async () => {
    fire(stores, ended);
    await run();
    await incident(
      [
        ...["resolve", "DEPLOY-001", "--cause", "disque lent", "--solution", "disque changé"],
        ...["--prevention", "essai", "--lesson", "mesurer"],
      ],
      { path, now: new Date(at("12:00")) },
    );

    const [entry] = await listIncidents(path);
    expect(entry!.resolvedAt).toEqual(new Date(at("08:12")));
    expect(entry!.solution).toMatch(/^Fin de l'alerte .* disque changé$/);
    const text = await read(path);
    await run();
    expect(await read(path)).toBe(text);
    await expect(
      incident(
        ["resolve", "DEPLOY-001", "--cause", "x", "--solution", "x", "--prevention", "x", "--lesson", "x"],
        { path, now: new Date() },
      ),
    ).rejects.toThrow("expected an open entry");
  });
});

describe("an entry that an alert opens", () => {
  it("names the release that ran then, not one that came later", async () => {
    for (const [number, hour] of [
      [1, "06:00"],
      [2, "09:00"],
    ] as const) {
      const started = await startRelease(world.server, { ...release(number), startedAt: at(hour) });
      await finishRelease(world.server, { ...started, outcome: "succeeded", finishedAt: at(hour) });
    }
    fire(stores, ended);
    await run();

    expect(await read(path)).toContain("- version en service : nº 1 (0123456)");
  });

  it("has the values and the lines around the beginning, without secrets, as text", async () => {
    world.secrets = { voyageApiKey: "pineapple-of-the-stack" };
    stores.answers.set("metrics /api/v1/query", ({ form }) =>
      form["query"]!.includes("node_load5") || form["time"] !== String(Date.parse(at("08:00")) / 1000)
        ? undefined
        : { body: { data: { result: [{ metric: {}, value: [0, "97.256"] }] } } },
    );
    const line = {
      _time: "2026-11-24T07:59:58.5Z",
      _msg: "ERROR token=abcdefgh12 pineapple-of-the-stack </script>\n### DEPLOY-777: **Statut**: Résolu --> <img src=x>",
      CONTAINER_TAG: "qdrant",
    };
    stores.answers.set("logs /select/logsql/query", ({ form }) => ({
      body: form["start"] === "2026-11-24T07:57:00.000Z" ? JSON.stringify(line) : "",
    }));
    fire(stores, ended);
    await run();

    const text = await read(path);
    expect(text).toMatch(/- mesures au début : p95 97,3 s, demandes en échec 97,3 %, /);
    expect(text).toContain("journal : 07:59:58 UTC qdrant : ERROR token=\\[secret] \\[secret] \\</script>");
    expect(text).not.toMatch(/pineapple|abcdefgh12/);
    expect((await listIncidents(path)).map(({ id, status }) => [id, status])).toEqual([
      ["DEPLOY-001", "Résolu"],
    ]);
  });

  it("cannot be forged by the labels of an alert", async () => {
    const id = "X --> \n### DEPLOY-009: y ; résolu : 2026-01-01";
    fire(stores, { ...active, labels: { alertname: "Odd <b>", severity: "P2", id } });
    await run();
    await run();

    expect(await listIncidents(path)).toMatchObject([
      { id: "DEPLOY-001", alert: id, status: "Ouvert", title: "Odd <b>", priority: "Haute" },
    ]);
  });

  it("is written, and says so, where logs and values cannot be read", async () => {
    stores.down.add("logs");
    stores.answers.set("metrics /api/v1/query", () => ({ status: 422, body: "too complex" }));
    fire(stores, active);
    await run();

    expect(await read(path)).toMatch(/- mesures : illisibles \(.*too complex\)\n- journal : illisible \(/);
  });

  it("is that of the environment which a neighbour saw fail", async () => {
    const labels = {
      alertname: "NeighbourDown",
      severity: "P1",
      id: "NeighbourDown-prod",
      neighbour: "prod",
    };
    fire(stores, { ...active, labels });
    await run();
    await run();

    expect((await listIncidents(path)).map(({ environment }) => environment)).toEqual(["Production"]);
  });
});

describe("an alert that nobody was told of", () => {
  const silence = (changes: Readonly<Record<string, unknown>>) => {
    stores.give("alerts /api/v2/silences", [
      {
        ...{ id: "1", status: { state: "expired" }, createdBy: "alice", comment: "planned: release 3" },
        ...{ startsAt: at("07:58"), endsAt: at("08:10") },
        matchers: [{ name: "service", value: "qdrant|n8n", isRegex: true, isEqual: true }],
        ...changes,
      },
    ]);
  };

  it("opens no entry when planned work had silenced it", async () => {
    silence({});
    fire(stores, ended);

    expect((await run()).text).toBe("test: no alert that has no entry");
  });

  it.each([
    ["goes on long after the work", { endsAt: at("08:04") }],
    ["is not one that the work causes", { matchers: [{ name: "service", value: "n8n", isRegex: false }] }],
    ["was only acknowledged", { comment: "je regarde" }],
  ])("opens an entry when it %s", async (_, changes) => {
    silence(changes);
    fire(stores, ended);
    await run();

    expect(await statuses()).toHaveLength(1);
  });

  it("opens no entry when another alert explains it, and one when that ended long before", async () => {
    const original = `inhibit_rules:
  - source_matchers: [alertname=~"OutOfMemory"]
    target_matchers: [alertname=~"ServiceDown|CrashLoop"]
    equal: [service]`;
    stores.give("alerts /api/v2/status", { config: { original } });
    const cause = { alertname: "OutOfMemory", severity: "P1", id: "OutOfMemory-qdrant", service: "qdrant" };
    fire(stores, ended, { labels: cause, from: at("07:59"), until: at("08:09") });
    await run();
    expect(await statuses()).toEqual(["DEPLOY-001 OutOfMemory-qdrant Résolu"]);

    path = await newIssuesFile();
    fire(stores, ended, { labels: cause, from: at("07:59"), until: at("08:01") });
    await run();
    expect(await statuses()).toHaveLength(2);
  });
});

describe("where the server cannot tell", () => {
  it.each(["metrics", "alerts"] as const)(
    "fails when %s does not answer, and writes nothing",
    async (store) => {
      fire(stores, ended);
      stores.down.add(store);

      await expect(run()).rejects.toThrow(`${store} on debian@203.0.113.10:22 does not answer`);
      await expect(read(path)).rejects.toThrow("ENOENT");
    },
  );

  it("says that monitoring is off, and does not fail for that", async () => {
    world.monitoring = { enabled: false };
    const { text, exitCode } = await run();

    expect(text).toContain("technicia:monitoring.enabled is false");
    expect(exitCode).toBe(0);
    expect(stores.received).toEqual([]);
  });
});
