import { describe, expect, it } from "vitest";

import type { EnvironmentFacts, Monitored } from "../../../reports/facts.ts";
import { measuredErrorChart, measuredLatencyChart } from "../../../reports/page/monitoring-charts.ts";
import { monitoringSection } from "../../../reports/page/monitoring.ts";
import { noRecords, release } from "../facts.ts";
import { monitored, NASTY, now } from "./page-facts.ts";

const environment = (monitoring: Monitored | "off" | { why: string } | undefined): EnvironmentFacts => ({
  ...{ stack: "test", name: "Test", state: "present", made: [], outputs: undefined, records: noRecords },
  ...(monitoring === undefined ? {} : { monitoring }),
});

function textOf(monitoring: Monitored | "off" | { why: string }): string {
  const [section] = monitoringSection({ environments: [environment(monitoring)], now });
  return section!.content.text.replaceAll(/\s+/g, " ");
}

/** Words of a table's rows. */
const wordsOf = (html: string) =>
  html.split(/<\/?tr>/).map((row) =>
    row
      .replaceAll(/<svg.*?<\/svg>|<[^>]*>/g, " ")
      .replaceAll(/\s+/g, " ")
      .trim(),
  );

describe("the section of the monitoring", () => {
  it("is not there where nobody asked", () => {
    expect(monitoringSection({ environments: [environment(undefined)], now })).toEqual([]);
  });

  it("compares each neighbour's view with both objectives, and says how long it was unavailable and since when", () => {
    expect(wordsOf(textOf(monitored()))).toEqual(
      expect.arrayContaining([
        "staging 99,6 % 2 h 53 min Atteint Manqué 12 novembre 2026",
        // Of one day.
        "prod 99,999 % 0,78 s Atteint Atteint 11 décembre 2026",
        expect.stringMatching(/^autre non mesurée - Non mesuré Non mesuré debian@203/),
      ]),
    );
  });

  it("says that availability is not measured where no neighbour watches, or none has a sample", () => {
    expect(textOf({ ...monitored(), availability: [] })).toContain(
      "Disponibilité non mesurée : aucun environnement voisin",
    );
    const silent = textOf({ ...monitored(), availability: [{ by: "prod" }] });
    expect(wordsOf(silent)).toContain("prod non mesurée - Non mesuré Non mesuré aucune mesure");
    expect(silent).not.toContain("Atteint");
  });

  it("lists the alerts with their time, sums them, and marks those of planned work", () => {
    const text = textOf(monitored());

    expect(text).toContain(
      "P1 : 1 alerte, 12 min 00 s en tout ; P2 : 1 alerte, 12 min 00 s en tout ; P3 : 1 alerte",
    );
    expect(text).toMatch(/ServiceDown-qdrant<\/td>\s*<td class="number">12 min 00 s/);
    expect(text).toMatch(/travaux prévus/);
    expect(text).toMatch(/DiskWarning-\/.*Active/);
    expect(text).not.toContain("<img");
    expect(text).toContain(
      NASTY.replaceAll("&", "&amp;")
        .replaceAll("<", "&lt;")
        .replaceAll(">", "&gt;")
        .replaceAll('"', "&quot;")
        .replaceAll("'", "&#39;"),
    );
  });

  it("counts the alerts that do not fit", () => {
    const [one] = monitored().alerts;
    const text = textOf({ ...monitored(), alerts: Array.from({ length: 33 }, () => one!) });

    expect(text).toContain("3 alertes plus anciennes");
    expect(text).toContain("P1 : 33 alertes, 6 h 36 min en tout");
  });

  it("says why nothing is known where monitoring is off, or cannot be read", () => {
    expect(textOf("off")).toContain("Non mesuré : la surveillance est désactivée");
    expect(textOf({ why: "metrics <b>does not</b> answer" })).toContain(
      'n\'a pas pu être lue. <span lang="en">metrics &lt;b&gt;does not&lt;/b&gt; answer',
    );
  });
});

describe("a chart of what was measured", () => {
  const releases = [
    release(41, { startedAt: "2026-12-10T09:12:00Z" }),
    release(42, { startedAt: "2026-12-01T09:12:00Z" }),
  ];

  it("marks each release of the time with a line and its number", () => {
    const chart = measuredLatencyChart(monitored(), releases)!;

    for (const drawing of Object.values(chart.drawings))
      expect([drawing.includes("nº 41"), drawing.includes("nº 42")]).toEqual([true, true]);
    expect(measuredLatencyChart(monitored(), [])!.drawings.wide).not.toContain("nº");
    expect(chart.rows.filter(([, , , , what]) => what !== "-").map((row) => row.at(-1))).toEqual([
      "mise en production nº 41",
      "mise en production nº 42",
    ]);
  });

  it("has a gap where nothing was measured, and never 0", () => {
    const chart = measuredErrorChart(monitored(), [])!;

    expect(chart.rows).toHaveLength(49);
    expect(chart.rows.flat()).not.toContain("NaN %");
    // A gap begins another line: the path has a second start.
    const [, path = ""] = /<path d="([^"]*)"[^>]*stroke-width="2"/.exec(chart.drawings.wide) ?? [];
    expect(path.match(/M/g)).toHaveLength(2);
  });

  it("is none where nothing at all was measured", () => {
    const points = monitored().points.map(({ at }) => ({
      ...{
        at,
        p50Seconds: undefined,
        p95Seconds: undefined,
        p99Seconds: undefined,
        failedPercent: undefined,
      },
    }));

    expect(measuredLatencyChart({ points, pointHours: 12 }, [])).toBeUndefined();
    expect(measuredErrorChart({ points, pointHours: 12 }, [])).toBeUndefined();
  });
});
