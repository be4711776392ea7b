import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { writeValidations } from "../../../ops/documents/validation-rows.ts";
import { finishRelease, startRelease } from "../../../ops/server/records.ts";
import { validate } from "../../../ops/validation/validate.ts";
import { release } from "../../reports/facts.ts";
import { newFolder } from "../../reports/temporary-folder.ts";
import { startStores, type DoubleStores } from "../monitoring/double-stores.ts";
import { fire, SERVICE_DOWN } from "../monitoring/fired.ts";
import { TestWorld } from "../monitoring/test-world.ts";

const at = (day: number, hour = 9) => `2026-11-${day}T${String(hour).padStart(2, "0")}:00:00Z`;
const second = (day: number, hour?: number) => String(Date.parse(at(day, hour)) / 1000);

let stores: DoubleStores;
let world: TestWorld;
let path: string;

/** Part of a query → value; `at`: a moment at which alone it is that. The first that fits counts. */
let values: { readonly part: string; readonly value: number; readonly at?: string }[];

beforeEach(async () => {
  stores = await startStores();
  world = await TestWorld.open(stores.addresses);
  world.now = () => new Date(at(22, 10));
  path = join(await newFolder(), "suivi.md");
  // Everything as it should be.
  values = [
    // Five-minute points in a day.
    { part: "count_over_time((count(", value: 288 },
    { part: "probe_success", value: 100 },
    { part: '100 * sum(sum_over_time(gateway{group="all",stats_result="failed"}', value: 0.2 },
    { part: 'stats_result="p50"', value: 0.1 },
    { part: 'stats_result="p95"', value: 0.4 },
    { part: 'stats_result="p99"', value: 0.9 },
    { part: 'stats_result="requests"', value: 0.5 },
    { part: "technicia_task_starts_total", value: 0 },
    { part: "deriv(", value: 0.1 },
    { part: "node_memory_MemAvailable_bytes", value: 40 },
    { part: "node_filesystem_avail_bytes", value: 50 },
    { part: "technicia_backup_last", value: 1.1 },
    { part: "technicia_drill_last", value: 3 },
  ];
  stores.answers.set("metrics /api/v1/query", ({ form }) => {
    const { query = "", time } = form;
    const found = values.find(({ part, at: when = time }) => query.includes(part) && when === time);
    const result = found === undefined ? [] : [{ metric: {}, value: [0, String(found.value)] }];
    return { body: { data: { result } } };
  });
  await deployed(1, 18);
  await deployed(2, 21);
});
afterEach(async () => {
  await stores[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

async function deployed(number: number, day: number): Promise<void> {
  const started = await startRelease(world.server, { ...release(number), startedAt: at(day, 8) });
  await finishRelease(world.server, { ...started, outcome: "succeeded", finishedAt: at(day) });
}

const first = (change: (typeof values)[number]) => void values.unshift(change);

async function run(json = false) {
  return await validate(
    { stack: "test", json },
    { ...world.world, writeRows: (stack, records) => writeValidations(stack, records, path) },
  );
}

/** What is printed of the first day of release 2. */
async function findings(): Promise<readonly string[]> {
  const { text } = await run();
  const lines = text.split("\n");
  const start = lines.indexOf(lines.find((line) => line.startsWith("release 2, J+1:"))!);
  const end = lines.findIndex((line, index) => index > start && !line.startsWith("    "));
  return lines.slice(start, end).map((line) => line.replaceAll(/\s+/g, " ").trim());
}

const rows = async () =>
  (await readFile(path, "utf8"))
    .split("\n")
    .filter((line) => line.includes("Validation J+"))
    .map((line) => line.split("|").map((cell) => cell.trim()));

describe("npm run validate", () => {
  it("judges the first day against the release before, records it, and writes the row", async () => {
    expect(await findings()).toEqual([
      "release 2, J+1: not-measured",
      "ok disponibilité: vue du serveur 100 % (100 % avant)",
      "ok demandes en échec: 0,2 % (0,2 % avant)",
      "ok p50: 0,1 s (0,1 s avant)",
      "ok p95: 0,4 s (0,4 s avant)",
      "ok p99: 0,9 s (0,9 s avant)",
      "ok démarrages de services: aucun",
      "ok mémoire: au plus 40 % (40 % avant), +0,1 point par jour",
      "ok disque: au plus 50 % (50 % avant), +0,1 point par jour",
      "ok alertes P1 et P2: aucune",
      "not-measured âge de la dernière sauvegarde: aucune sauvegarde n'est prévue",
      "not-measured essais de restauration: aucune sauvegarde n'est prévue",
    ]);
    expect((await world.history()).at(-1)).toMatch(/^validation: Validation J\+1 : non mesuré ; âge de la /);
    expect((await rows()).map((cells) => [cells[1], cells[2], cells[3], cells[6]])).toEqual([
      ["22 novembre 2026", "Validation J+1 (nº 1)", "Test", "Non mesuré"],
      ["22 novembre 2026", "Validation J+7 (nº 1)", "Test", "Non mesuré"],
      ["22 novembre 2026", "Validation J+1 (nº 2)", "Test", "Non mesuré"],
      ["28 novembre 2026", "Validation J+7 (nº 2)", "Test", "Planifié"],
    ]);
  });

  it("does nothing the second time", async () => {
    await run();
    const [before, history] = [await readFile(path, "utf8"), await world.history()];
    const { text, exitCode } = await run();

    expect(text).toContain("test: no first day and no first week of a release has ended since the last time");
    expect(exitCode).toBe(0);
    expect([await readFile(path, "utf8"), await world.history()]).toEqual([before, history]);
  });

  it.each([
    ["lower availability", { part: "probe_success", value: 99.4 }, "disponibilité: vue du serveur 99,4 %"],
    ["more errors", { part: 'stats_result="failed"', value: 0.9 }, "demandes en échec: 0,9 % (0,2 % avant)"],
    ["a slower p95", { part: 'stats_result="p95"', value: 0.6 }, "p95: 0,6 s (0,4 s avant)"],
    ["a p99 above its threshold", { part: 'stats_result="p99"', value: 5.5 }, "p99: 5,5 s, seuil 5 s"],
    ["restarts", { part: "increase(technicia_task_starts", value: 3 }, "démarrages de services: 3 (0 avant"],
    [
      "more memory",
      { part: "max_over_time((100 * (1 - max(node_memory", value: 55 },
      "mémoire: au plus 55 % (40 % avant)",
    ],
    [
      "a disk that fills",
      { part: "deriv((100 - ", value: 6 },
      "disque: au plus 50 % (50 % avant), +6 points par jour : seuil 80 % dans moins de 7 jours",
    ],
  ])("says that a release with %s is worse, and fails", async (_, change, says) => {
    first({ ...change, at: second(22) });
    const lines = await findings();

    expect(lines[0]).toBe("release 2, J+1: worse");
    expect(lines.filter((line) => line.startsWith("worse"))).toEqual([
      expect.stringContaining(`worse ${says}`),
    ]);
    expect((await rows()).find((cells) => cells[2] === "Validation J+1 (nº 2)")![6]).toBe("Bloqué");
  });

  it("takes a small difference for chance", async () => {
    first({ part: 'stats_result="p50"', value: 0.14, at: second(22) });
    first({ part: 'stats_result="p95"', value: 0.48, at: second(22) });

    expect((await findings()).filter((line) => line.startsWith("worse"))).toEqual([]);
  });

  it("says worse for an alert of that day, with its name and how long it lasted", async () => {
    fire(stores, { labels: SERVICE_DOWN, from: at(21, 12), until: "2026-11-21T12:12:00Z" });

    expect(await findings()).toContain("worse alertes P1 et P2: 1, 12 min 00 s : ServiceDown-qdrant (P1)");
  });

  it.each([
    ["requests", "count_over_time((count(gateway", ["demandes en échec", "p50", "p95", "p99"]],
    ["server", "count_over_time((count(node_memory", ["mémoire", "disque"]],
    ["containers", "count_over_time((count(technicia_task", ["démarrages de services"]],
    ["rules", "count_over_time((count(ALERTS", ["alertes P1 et P2"]],
  ])(
    "never says ok where the measures of the %s are missing for a part of the day",
    async (_, part, whats) => {
      first({ part, value: 250, at: second(22) });
      const lines = await findings();

      for (const what of whats) expect(lines).toContain(`not-measured ${what}: mesuré 86 % du temps`);
    },
  );

  it("says not measured of everything where the store is empty", async () => {
    values = [];
    const lines = await findings();

    expect(lines.slice(1).filter((line) => !line.startsWith("not-measured"))).toEqual([]);
    expect(lines.length).toBe(12);
  });

  it("does not compare with a release that was not measured", async () => {
    first({ part: "count_over_time((count(gateway", value: 10, at: second(21, 8) });
    expect(await findings()).toContain(
      "not-measured p95: 0,4 s, sans comparaison : nº 1, mesuré 3 % du temps",
    );
  });

  it("does not judge a handful of requests", async () => {
    first({ part: 'avg_over_time((max(gateway{group="all",stats_result="requests"', value: 0.0001 });

    expect(await findings()).toContain("not-measured p95: 9 demandes, moins que 20");
  });

  it("judges the first release by the thresholds alone, and says so", async () => {
    world.now = () => new Date(at(19, 10));
    const { text } = await run();

    expect(text).toMatch(/release 1, J\+1: .*\n[^]*ok +p95: 0,4 s \(pas de version précédente\)/);
  });

  it("asks the neighbours how it was from outside", async () => {
    world.monitoring = {
      enabled: true,
      neighbours: [{ stack: "staging", url: "https://staging.exemple.fr" }],
    };
    world.secrets = { neighbourToken: "0123456789abcdef0123456789abcdef" };
    first({ part: 'probe_success{job="neighbour",stack="test"}', value: 99.93 });

    expect(await findings()).toContain(
      "ok disponibilité: vue de staging 99,93 % (99,93 % avant), vue du serveur 100 % (100 % avant)",
    );
  });

  it("names a neighbour that has measured nothing, and judges what the server saw", async () => {
    world.monitoring = {
      enabled: true,
      neighbours: [{ stack: "staging", url: "https://staging.exemple.fr" }],
    };
    world.secrets = { neighbourToken: "0123456789abcdef0123456789abcdef" };
    values = values.map((value) =>
      value.part === "probe_success" ? { ...value, part: 'probe_success{job="public"}' } : value,
    );

    expect(await findings()).toContain(
      "ok disponibilité: vue du serveur 100 % (100 % avant), vue de staging : aucune mesure",
    );
  });

  it("records nothing where the store does not answer", async () => {
    stores.down.add("metrics");
    const history = await world.history();

    await expect(run()).rejects.toThrow("metrics on debian@203.0.113.10:22 does not answer");
    expect(await world.history()).toEqual(history);
  });

  it("says not measured where monitoring is off", async () => {
    world.monitoring = { enabled: false };

    expect(await findings()).toEqual([
      "release 2, J+1: not-measured",
      "not-measured surveillance: désactivée (technicia:monitoring.enabled)",
    ]);
  });

  it("prints the same for a program", async () => {
    const { validations } = JSON.parse((await run(true)).text) as { readonly validations: readonly object[] };

    expect(validations).toHaveLength(3);
    expect(validations[2]).toMatchObject({
      ...{ release: 2, day: 1, verdict: "not-measured", from: new Date(at(21)).toISOString() },
      replacedBy: null,
    });
  });
});
