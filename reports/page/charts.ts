/** Charts of a deployment's figures: an SVG drawn without a browser, a sentence, and a table. */
import { BarChart, LineChart, type BarSeriesOption, type LineSeriesOption } from "echarts/charts";
import {
  AriaComponent,
  GridComponent,
  LegendComponent,
  type AriaComponentOption,
  type GridComponentOption,
  type LegendComponentOption,
} from "echarts/components";
import { init, use, type ComposeOption } from "echarts/core";
import { SVGRenderer } from "echarts/renderers";

import type { AuditEvent, Release } from "../../common/release.ts";
import { formatDay, formatDayOfYear, formatNumber, formatSeconds, plural } from "../labels-fr.ts";

use([AriaComponent, BarChart, GridComponent, LegendComponent, LineChart, SVGRenderer]);

type Option = ComposeOption<
  AriaComponentOption | BarSeriesOption | GridComponentOption | LegendComponentOption | LineSeriesOption
>;

export interface Chart {
  readonly title: string;
  /** How to read the drawing. */
  readonly note?: string;
  /** What it shows, for people who cannot see it. */
  readonly summary: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** On a wide page and on a phone's. */
  readonly drawings: { readonly wide: string; readonly narrow: string };
}

export const WIDE = { width: 860, height: 280, points: 20 };
export const NARROW = { width: 340, height: 260, points: 7 };

export const LATENCIES = [
  { key: "p50Ms", name: "p50", line: "solid", symbol: "circle" },
  { key: "p95Ms", name: "p95", line: "dashed", symbol: "rect" },
  { key: "p99Ms", name: "p99", line: "dotted", symbol: "triangle" },
] as const;

/** Part of a deployment → its name on the page. */
const PARTS = [
  { key: "preflight", name: "Contrôles préalables" },
  { key: "plan", name: "Plan" },
  { key: "up", name: "Déploiement" },
  { key: "verify", name: "Vérification" },
  { key: "rollback", name: "Retour arrière" },
  { key: "rollbackVerify", name: "Vérification du retour" },
] as const;

// The page's style sheet gives the colours, so that they follow its light and its dark form.
export const INK = "var(--ink)";
const LINE = "var(--line)";
export const COLOURS = ["var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)", "var(--c6)"];
export const FONT = "system-ui, sans-serif";
const LEGEND_ROW = 24;

/** Lines at different angles, and dots: each part has its own. */
const SHADES = [
  { symbol: "none" },
  { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 6], rotation: Math.PI / 4 },
  { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 5], rotation: 0 },
  {
    symbol: "circle",
    dashArrayX: [
      [6, 4],
      [0, 5, 6, 0],
    ],
    dashArrayY: [5, 3],
    symbolSize: 0.8,
  },
  { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [3, 4], rotation: -Math.PI / 4 },
  { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 4], rotation: Math.PI / 2 },
] as const;

/** Response times of each verified release; undefined when none was measured. */
export function latencyChart(releases: readonly Release[]): Chart | undefined {
  const measured = releases.flatMap((release) => {
    const measures = release.verify.find(({ id }) => id === "performance-health")?.measures;
    return measures?.["p95Ms"] === undefined ? [] : [{ release, measures }];
  });
  const last = measured.at(-1);
  if (!last) return undefined;

  const ms = (value: number | undefined) => (value === undefined ? "-" : `${formatNumber(value)} ms`);
  const drawings = draw(measured, (shown) => ({
    names: shown.map(({ release }) => `nº ${release.number}`),
    unit: " ms",
    legend: LATENCIES.map(({ name }) => name),
    log: true,
    option: {
      series: LATENCIES.map(({ key, name, line, symbol }, index) => ({
        ...{ type: "line", name, symbol, symbolSize: 8, silent: true, emphasis: { disabled: true } },
        lineStyle: { type: line, width: 2.5, color: COLOURS[index] ?? INK },
        itemStyle: { color: COLOURS[index] ?? INK },
        // Zero has no logarithm.
        data: shown.map(({ measures }) => measures[key] || "-"),
      })),
    },
  }));
  return {
    title: "Temps de réponse mesurés à chaque vérification",
    note: "échelle logarithmique",
    summary:
      `Courbes des temps de réponse de ${plural(measured.length, "mise en production", "mises en production")}. ` +
      `La dernière, nº ${last.release.number} : ` +
      LATENCIES.map(({ key, name }) => `${name} ${ms(last.measures[key])}`).join(", "),
    columns: ["Mise en production", "p50", "p95", "p99", "Requêtes", "Erreurs"],
    rows: measured.map(({ release, measures }) => [
      `nº ${release.number}`,
      ...LATENCIES.map(({ key }) => ms(measures[key])),
      measures["requests"] === undefined ? "-" : formatNumber(measures["requests"]),
      measures["errorRatio"] === undefined ? "-" : `${formatNumber(measures["errorRatio"] * 100)} %`,
    ]),
    drawings,
  };
}

/** How long each part of each release took. */
export function durationChart(releases: readonly Release[]): Chart | undefined {
  const timed = releases.filter(({ seconds }) => Object.keys(seconds).length > 0);
  const last = timed.at(-1);
  if (!last) return undefined;

  const parts = PARTS.filter(({ key }) => timed.some(({ seconds }) => (seconds[key] ?? 0) > 0));
  const drawings = draw(timed, (shown) => ({
    names: shown.map(({ number }) => `nº ${number}`),
    unit: " s",
    legend: parts.map(({ name }) => name),
    option: {
      aria: { enabled: true, decal: { show: true, decals: parts.map((_, index) => shade(index)) } },
      series: parts.map(({ key, name }, index) => ({
        ...{
          type: "bar",
          name,
          stack: "seconds",
          silent: true,
          barMaxWidth: 44,
          emphasis: { disabled: true },
        },
        itemStyle: { color: COLOURS[index] ?? INK, borderColor: "var(--surface)", borderWidth: 1 },
        data: shown.map(({ seconds }) => Math.round((seconds[key] ?? 0) * 10) / 10),
      })),
    },
  }));
  return {
    title: "Durée des mises en production, par partie",
    summary:
      `Barres empilées des durées de ${plural(timed.length, "mise en production", "mises en production")}. ` +
      `La dernière, nº ${last.number}, a pris ${formatSeconds(totalSeconds(last))}`,
    columns: ["Mise en production", ...parts.map(({ name }) => name), "Total"],
    rows: timed.map((release) => [
      `nº ${release.number}`,
      ...parts.map(({ key }) => {
        const seconds = release.seconds[key];
        return seconds === undefined ? "-" : formatSeconds(seconds);
      }),
      formatSeconds(totalSeconds(release)),
    ]),
    drawings,
  };
}

export function totalSeconds({ seconds }: Release): number {
  return Object.values(seconds).reduce((sum, value) => sum + value, 0);
}

/** Differences that each drift check found. */
export function driftChart(history: readonly AuditEvent[]): Chart | undefined {
  const searches = history.filter(({ action, findings }) => action === "drift" && findings !== undefined);
  const last = searches.at(-1);
  if (!last) return undefined;

  const drawings = draw(searches, (shown) => ({
    names: shown.map(({ at }) => formatDayOfYear(new Date(at))),
    unit: "",
    option: {
      series: [
        {
          ...{ type: "bar", silent: true, barMaxWidth: 32, emphasis: { disabled: true } },
          itemStyle: { color: COLOURS[4] ?? INK },
          // Without differences the bar has no height; its figure shows that the check ran.
          label: { show: true, position: "top", color: INK, fontFamily: FONT, fontSize: 12 },
          data: shown.map(({ findings }) => findings ?? 0),
        },
      ],
    },
  }));
  const clean = searches.filter(({ findings }) => findings === 0).length;
  return {
    title: "Écarts trouvés à chaque recherche de dérive",
    summary:
      `Barres du nombre d'écarts de ${plural(searches.length, "recherche")}, dont ${plural(clean, "sans écart", "sans écart")}. ` +
      `La dernière, le ${formatDay(new Date(last.at))}, en a trouvé ${formatNumber(last.findings ?? 0)}`,
    columns: ["Date", "Écarts", "Détail"],
    rows: searches.map(({ at, findings, detail }) => [
      formatDay(new Date(at)),
      formatNumber(findings ?? 0),
      detail,
    ]),
    drawings,
  };
}

export interface Drawn {
  /** Below the axis. */
  readonly names: string[];
  readonly unit: string;
  /** @default none */
  readonly legend?: readonly string[];
  /** Whether ten times as much is one step up. @default false */
  readonly log?: boolean;
  readonly option: Option;
}

/** In both sizes: as many of the newest items as fit. */
function draw<Item>(items: readonly Item[], describe: (shown: readonly Item[]) => Drawn): Chart["drawings"] {
  const inSize = (size: typeof WIDE) => render(size, describe(items.slice(-size.points)));
  return { wide: inSize(WIDE), narrow: inSize(NARROW) };
}

export function render({ width, height }: typeof WIDE, drawn: Drawn): string {
  const top = legendRows(drawn.legend ?? [], width) * LEGEND_ROW;
  const chart = init(null, null, { renderer: "svg", ssr: true, width, height: height + top });
  try {
    chart.setOption({ ...axes(drawn, { top, height }), ...drawn.option });
    return chart.renderToSVGString();
  } finally {
    chart.dispose();
  }
}

function axes(
  { names, unit, legend = [], log = false }: Drawn,
  room: { top: number; height: number },
): Option {
  const text = { color: INK, fontFamily: FONT, fontSize: 12 };
  return {
    animation: false,
    textStyle: text,
    grid: { left: 64, right: 16, top: 20 + room.top, height: room.height - 60 },
    legend: {
      show: legend.length > 0,
      data: [...legend],
      top: 0,
      left: 0,
      itemWidth: 28,
      itemGap: 12,
      textStyle: text,
    },
    xAxis: {
      type: "category",
      data: names,
      axisLabel: { ...text, hideOverlap: true },
      axisLine: { lineStyle: { color: LINE } },
      axisTick: { show: false },
    },
    yAxis: {
      ...(log ? { type: "log", logBase: 10 } : { type: "value", minInterval: 1 }),
      axisLabel: { ...text, formatter: (value: number) => `${formatNumber(value)}${unit}` },
      splitLine: { lineStyle: { color: LINE } },
    },
  };
}

/** Lines of a legend. Text cannot be measured without a browser, so each character counts as the widest. */
function legendRows(names: readonly string[], width: number): number {
  let rows = names.length === 0 ? 0 : 1;
  let used = 0;
  for (const name of names) {
    const item = 28 + 12 + 5 + name.length * 7.5;
    if (used > 0 && used + item > width) {
      rows += 1;
      used = 0;
    }
    used += item;
  }
  return rows;
}

/** A pattern over the colour, for people who cannot tell the colours apart. */
function shade(index: number): object {
  return { color: "var(--shade)", ...SHADES[index % SHADES.length] };
}
