/** Charts of what the monitoring has measured, with a line where each release began. */
import type { LineSeriesOption } from "echarts/charts";
import { MarkLineComponent } from "echarts/components";
import { use } from "echarts/core";

import type { Release } from "../../common/release.ts";
import type { Monitored } from "../facts.ts";
import { formatDayOfYear, formatNumber, formatShortMoment, plural } from "../labels-fr.ts";
import { COLOURS, FONT, INK, LATENCIES, NARROW, render, WIDE, type Chart } from "./charts.ts";

use([MarkLineComponent]);

type Point = Monitored["points"][number];

/** Room for `nº 123` beside the next one, in pixels. */
const LABEL_WIDTH = 52;

/** The plot is this much narrower than the drawing, and has so much of it at its right. */
const MARGINS = 80;
const RIGHT = 16;

const SERIES = [
  { name: "p50", valueOf: ({ p50Seconds }: Point) => p50Seconds },
  { name: "p95", valueOf: ({ p95Seconds }: Point) => p95Seconds },
  { name: "p99", valueOf: ({ p99Seconds }: Point) => p99Seconds },
] as const;

type Measured = Pick<Monitored, "points" | "pointHours">;

interface Line {
  readonly name: string;
  readonly type: "solid" | "dashed" | "dotted";
  readonly colour: string;

  /** In the unit of the axis. */
  readonly values: readonly (number | undefined)[];
}

/** Undefined where nothing was measured. */
export function measuredLatencyChart(measured: Measured, releases: readonly Release[]): Chart | undefined {
  const { points, pointHours } = measured;
  const lines = SERIES.map(({ name, valueOf }, index): Line => ({
    ...{ name, type: LATENCIES[index]!.line, colour: COLOURS[index] ?? INK },
    values: points.map((point) => toMilliseconds(valueOf(point))),
  }));
  const last = points.findLast((point) => SERIES.some(({ valueOf }) => valueOf(point) !== undefined));
  if (last === undefined) return undefined;
  const ms = (value: number | undefined) => {
    const whole = toMilliseconds(value);
    return whole === undefined ? "-" : `${formatNumber(whole)} ms`;
  };
  return {
    ...frame(measured, { lines, unit: " ms", releases }),
    title: "Temps de réponse mesurés sur 30 jours",
    summary:
      `Courbes des temps de réponse, moyennes de ${plural(pointHours, "heure")} ; ${marked(measured, releases)}. ` +
      `Les derniers : ${SERIES.map(({ name, valueOf }) => `${name} ${ms(valueOf(last))}`).join(", ")}`,
    columns: ["Jusqu'au", ...SERIES.map(({ name }) => name), "Détail"],
    rows: rowsOf(measured, releases, (point) => SERIES.map(({ valueOf }) => ms(valueOf(point)))),
  };
}

/** Undefined where nothing was measured. */
export function measuredErrorChart(measured: Measured, releases: readonly Release[]): Chart | undefined {
  const { points, pointHours } = measured;
  const last = points.findLast(({ failedPercent }) => failedPercent !== undefined);
  if (last === undefined) return undefined;
  const percent = ({ failedPercent: value }: Point) =>
    value === undefined ? "-" : `${formatNumber(value)} %`;
  const line: Line = {
    ...{ name: "Demandes en échec", type: "solid", colour: COLOURS[4] ?? INK },
    values: points.map(({ failedPercent }) => failedPercent),
  };
  return {
    ...frame(measured, { lines: [line], unit: " %", releases }),
    title: "Demandes en échec sur 30 jours",
    summary:
      `Courbe de la part des demandes en échec, par ${plural(pointHours, "heure")} ; ${marked(measured, releases)}. ` +
      `La dernière : ${percent(last)}`,
    columns: ["Jusqu'au", "Demandes en échec", "Détail"],
    rows: rowsOf(measured, releases, (point) => [percent(point)]),
  };
}

function toMilliseconds(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : Math.round(seconds * 1000);
}

/** The newest points first; those in which nothing is known are left out. */
function rowsOf(
  measured: Measured,
  releases: readonly Release[],
  cells: (point: Point) => string[],
): string[][] {
  const marks = marksOf(measured, releases);
  return measured.points
    .map((point, index) => {
      const begun = marks.find((mark) => mark.index === index)?.numbers ?? [];
      return [
        formatShortMoment(point.at),
        ...cells(point),
        begun.map((number) => `mise en production nº ${number}`).join(", ") || "-",
      ];
    })
    .filter((row) => row.slice(1).some((cell) => cell !== "-"))
    .reverse();
}

function marked(measured: Measured, releases: readonly Release[]): string {
  const count = marksOf(measured, releases).reduce((sum, { numbers }) => sum + numbers.length, 0);
  return plural(count, "mise en production marquée", "mises en production marquées");
}

interface Mark {
  /** Of the point in whose time it began. */
  readonly index: number;
  readonly numbers: readonly number[];
}

function marksOf({ points, pointHours }: Measured, releases: readonly Release[]): readonly Mark[] {
  const lasts = pointHours * 3_600_000;
  return points
    .map(({ at }, index) => ({
      index,
      numbers: releases
        .filter(({ startedAt }) => {
          const ago = at.getTime() - Date.parse(startedAt);
          return ago >= 0 && ago < lasts;
        })
        .map(({ number }) => number),
    }))
    .filter(({ numbers }) => numbers.length > 0);
}

interface Frame {
  readonly lines: readonly Line[];
  readonly unit: string;
  readonly releases: readonly Release[];
}

function frame(measured: Measured, { lines, unit, releases }: Frame): Pick<Chart, "note" | "drawings"> {
  const { points } = measured;
  const inSize = (size: typeof WIDE) =>
    render(size, {
      names: points.map(({ at }) => formatDayOfYear(at)),
      unit,
      legend: lines.map(({ name }) => name),
      option: {
        series: lines.map((line, index) => ({
          ...seriesOf(line),
          ...(index === 0 && { markLine: markLineOf(measured, { releases, width: size.width }) }),
        })),
      },
    });
  return {
    note: "un trait vertical par mise en production",
    drawings: { wide: inSize(WIDE), narrow: inSize(NARROW) },
  };
}

function seriesOf({ name, type, colour, values }: Line): LineSeriesOption {
  return {
    ...{ type: "line", name, symbol: "none", silent: true, emphasis: { disabled: true } },
    lineStyle: { type, width: 2, color: colour },
    itemStyle: { color: colour },
    data: values.map((value, index) => {
      if (value === undefined) return "-";
      // A point between two gaps has no line.
      const isAlone = values[index - 1] === undefined && values[index + 1] === undefined;
      return isAlone ? { value, symbol: "circle", symbolSize: 6 } : value;
    }),
  };
}

function markLineOf(
  measured: Measured,
  { releases, width }: { readonly releases: readonly Release[]; readonly width: number },
): NonNullable<LineSeriesOption["markLine"]> {
  const step = (width - MARGINS) / Math.max(1, measured.points.length);
  let labelled = -Infinity;
  return {
    ...{ symbol: "none", silent: true, animation: false },
    lineStyle: { type: "solid", width: 1, color: "var(--soft)" },
    data: marksOf(measured, releases).map(({ index, numbers }) => {
      const place = index * step;
      const isShown = place - labelled >= LABEL_WIDTH && width - MARGINS - place >= LABEL_WIDTH / 2 - RIGHT;
      if (isShown) labelled = place;
      const label = {
        show: isShown,
        formatter: `nº ${numbers.at(-1)}`,
        color: INK,
        fontFamily: FONT,
        fontSize: 11,
      };
      return { xAxis: index, label };
    }),
  };
}
