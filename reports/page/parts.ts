/** What the page's sections are made of: escaped HTML, badges, tables, charts, and the style sheet. */
import type { Chart } from "./charts.ts";

/** HTML already; every other value is escaped. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

type Value = string | number | Html | undefined | readonly Value[];

const ESCAPES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

export function html(strings: TemplateStringsArray, ...values: readonly Value[]): Html {
  return new Html(strings.reduce((text, part, index) => text + textOf(values[index - 1]) + part));
}

function textOf(value: Value): string {
  if (value === undefined) return "";
  if (value instanceof Html) return value.text;
  if (typeof value === "string") return value.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? "");
  return typeof value === "number" ? String(value) : value.map(textOf).join("");
}

export type Tone = "done" | "doing" | "stuck" | "todo" | "unknown";

// Each tone has its own shape, because some people cannot tell the colours apart.
const SHAPES: Readonly<Record<Tone, string>> = {
  done: '<path d="M3 8.5l3.2 3.2L13 5" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round"/>',
  doing:
    '<circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="2"/><path d="M8 2a6 6 0 0 1 0 12z" fill="currentColor"/>',
  stuck:
    '<path d="M4 4l8 8M12 4l-8 8" fill="none" stroke="currentColor" stroke-width="2.4" stroke-linecap="round"/>',
  todo: '<circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="2"/>',
  unknown:
    '<circle cx="8" cy="8" r="6" fill="none" stroke="currentColor" stroke-width="2" stroke-dasharray="2.5 2.2"/>',
};

export function badge(tone: Tone, text: string): Html {
  const shape = new Html(
    `<svg viewBox="0 0 16 16" aria-hidden="true" focusable="false">${SHAPES[tone]}</svg>`,
  );
  return html`<span class="badge ${tone}">${shape}${text}</span>`;
}

export interface TableOptions {
  readonly id: string;
  readonly caption: string;
  readonly columns: readonly string[];
  readonly rows: readonly (readonly (string | Html)[])[];
  /** CSS class of the region. */
  readonly kind: string;
  /** Columns whose cells are figures. */
  readonly figures?: readonly string[];
}

/** A table that scrolls inside its own region, which a keyboard can reach. */
export function table({ id, caption, columns, rows, kind, figures = [] }: TableOptions): Html {
  const head = columns.map((column) =>
    figures.includes(column)
      ? html`<th scope="col" class="number">${column}</th>`
      : html`<th scope="col">${column}</th>`,
  );
  const body = rows.map(
    (row) =>
      html`<tr>
        ${row.map((cell, index) => {
          if (index === 0) return html`<th scope="row" class="nowrap">${cell}</th>`;
          return figures.includes(columns[index] ?? "")
            ? html`<td class="number">${cell}</td>`
            : html`<td>${cell}</td>`;
        })}
      </tr> `,
  );
  return region(
    id,
    kind,
    html`<table>
      <caption id="${id}">
        <span>${caption}</span>
      </caption>
      <thead>
        <tr>
          ${head}
        </tr>
      </thead>
      <tbody>
        ${body}
      </tbody>
    </table>`,
  );
}

export function region(labelledBy: string, kind: string, content: Html): Html {
  return html`<div class="scroll ${kind}" role="region" aria-labelledby="${labelledBy}" tabindex="0">
    ${content}
  </div>`;
}

/** A chart in two widths, its summary, and its figures in a table. */
export function figure(id: string, chart: Chart | undefined): Html {
  if (!chart) return html``;
  const { title, note, summary, columns, rows, drawings } = chart;
  const drawn = (svg: string) =>
    new Html(svg.replace(/^<svg /, html`<svg role="img" aria-label="${`${title}. ${summary}.`}" `.text));
  return html`<figure role="group" aria-labelledby="${id}-title">
    <figcaption id="${id}-title">${title}${note === undefined ? undefined : ` (${note})`}</figcaption>
    <div class="chart wide">${drawn(drawings.wide)}</div>
    <div class="chart narrow">${drawn(drawings.narrow)}</div>
    <details>
      <summary>Données du graphique : ${title.toLowerCase()}</summary>
      ${table({ id: `${id}-data`, caption: title, columns, rows, kind: "figures", figures: columns.slice(1).filter((column) => column !== "Détail") })}
    </details>
  </figure>`;
}

/** A name without spaces, which may break after dots and dashes. */
export function breakable(name: string): Html {
  return html`${name.split(/(?<=[.@/-])/).map((part) => html`${part}<wbr />`)}`;
}

/** HTML in which every value is escaped unless it is HTML already. */

/** The page's one style sheet: a light and a dark form, wide and phone-sized, no external font or picture. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --bg: #f4f6f9; --surface: #ffffff; --ink: #1b2430; --soft: #4a5563; --line: #d3dae3; --accent: #0b57a4;
  --done: #0b5537; --done-bg: #dff2e8; --doing: #6f4300; --doing-bg: #fcefd2; --stuck: #93182a; --stuck-bg: #fce4e7;
  --todo: #465160; --todo-bg: #e9edf2; --unknown: #56358a; --unknown-bg: #eee7fa;
  --c1: #1f63b5; --c2: #0b7a69; --c3: #a05a00; --c4: #7447b0; --c5: #b8304a; --c6: #566173; --shade: rgba(255, 255, 255, 0.6); --edge: rgba(27, 36, 48, 0.22);
}
@media (prefers-color-scheme: dark) {
  :root {
    --bg: #11151b; --surface: #1a2029; --ink: #e8ecf1; --soft: #b4becb; --line: #3a4552; --accent: #8fc4ff;
    --done: #93e3b9; --done-bg: #12362a; --doing: #f6cd80; --doing-bg: #3b2d10; --stuck: #ffabb4; --stuck-bg: #421a21;
    --todo: #b9c3d0; --todo-bg: #28313d; --unknown: #d0b9fc; --unknown-bg: #302547;
    --c1: #7db5f5; --c2: #4fc9b4; --c3: #eeb155; --c4: #bfa0f0; --c5: #f58ca0; --c6: #a8b3c2; --shade: rgba(0, 0, 0, 0.5); --edge: rgba(0, 0, 0, 0.65);
  }
}
*, *::before, *::after { box-sizing: border-box; }
html { scroll-behavior: smooth; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body {
  margin: 0; background: var(--bg); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}
a { color: var(--accent); text-underline-offset: 0.15em; }
a, dd, li, p, h3 { overflow-wrap: anywhere; }
td, th { overflow-wrap: break-word; }
tbody th { hyphens: auto; }
td { min-width: 6rem; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
.skip { position: absolute; left: 1rem; top: -4rem; background: var(--surface); padding: 0.5rem 1rem; border-radius: 0 0 6px 6px; }
.skip:focus { top: 0; z-index: 1; }
.page { max-width: 72rem; margin: 0 auto; padding: 0 1.5rem; }
header.page { padding-top: 2.25rem; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 0.35rem; letter-spacing: -0.01em; }
h2 { font-size: 1.3rem; line-height: 1.3; margin: 0 0 1rem; }
h3 { font-size: 1.05rem; line-height: 1.35; margin: 0; }
.lead { margin: 0; color: var(--soft); max-width: 60rem; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.35rem 1.25rem; list-style: none; margin: 1.25rem 0 0; padding: 0; }
nav a { display: inline-block; padding: 0.25rem 0; }
section { padding: 2rem 0 0.25rem; scroll-margin-top: 0.5rem; }
footer.page { padding-top: 2rem; padding-bottom: 3rem; color: var(--soft); font-size: 0.9rem; }
.note { margin: 1.5rem 0 0; padding: 0.85rem 1.1rem; border: 1px solid var(--line); border-left: 4px solid var(--doing); background: var(--surface); border-radius: 6px; }
.note p { margin: 0; font-weight: 600; }
.note ul { margin: 0.35rem 0 0; padding-left: 1.2rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(16.5rem, 1fr)); gap: 1rem; }
.card { background: var(--surface); border: 1px solid var(--line); border-radius: 10px; padding: 1.1rem 1.25rem; min-width: 0; }
.card > h3 { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: 0.5rem; }
.block + .block { margin-top: 1rem; }
dl { display: grid; grid-template-columns: auto 1fr; gap: 0.3rem 0.9rem; margin: 0.9rem 0 0; font-size: 0.9375rem; }
dt { color: var(--soft); }
dd { margin: 0; min-width: 0; }
.badge {
  display: inline-flex; align-items: center; gap: 0.4em; padding: 0.1em 0.65em 0.1em 0.5em; border-radius: 999px;
  font-size: 0.875rem; font-weight: 600; white-space: nowrap; line-height: 1.6;
}
.badge svg { width: 0.95em; height: 0.95em; flex: none; }
.done { color: var(--done); background: var(--done-bg); }
.doing { color: var(--doing); background: var(--doing-bg); }
.stuck { color: var(--stuck); background: var(--stuck-bg); }
.todo { color: var(--todo); background: var(--todo-bg); }
.unknown { color: var(--unknown); background: var(--unknown-bg); }
.block { background: var(--surface); border: 1px solid var(--line); border-radius: 10px; padding: 1.1rem 1.25rem; min-width: 0; }
.block > p { margin: 0.5rem 0 0; color: var(--soft); }
.scroll {
  overflow-x: auto; margin-top: 0.75rem;
  /* A shade at the side on which there is more to see. */
  background:
    linear-gradient(90deg, var(--surface) 40%, transparent) 0 0 / 3rem 100% no-repeat local,
    linear-gradient(270deg, var(--surface) 40%, transparent) 100% 0 / 3rem 100% no-repeat local,
    linear-gradient(90deg, var(--edge), transparent) 0 0 / 0.9rem 100% no-repeat scroll,
    linear-gradient(270deg, var(--edge), transparent) 100% 0 / 0.9rem 100% no-repeat scroll;
}
table { border-collapse: collapse; width: 100%; font-size: 0.9375rem; }
caption { text-align: left; font-weight: 600; padding: 0 0 0.5rem; caption-side: top; }
caption span { display: inline-block; position: sticky; left: 0; max-width: calc(100vw - 4.25rem); }
th, td { text-align: left; vertical-align: top; padding: 0.5rem 0.9rem 0.5rem 0; border-top: 1px solid var(--line); }
thead th { border-top: 0; color: var(--soft); font-weight: 600; font-size: 0.875rem; white-space: nowrap; }
tbody th { font-weight: 400; }
tbody tr.phase > * { padding-top: 0.9rem; }
tbody tr.phase th { font-weight: 700; }
tbody tr.step th { padding-left: 1.1rem; }
td .when { display: block; color: var(--soft); font-size: 0.875rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.nowrap { white-space: nowrap; }
.steps table { min-width: 46rem; }
.releases table { min-width: 58rem; }
.checks table, .history table, .costs table { min-width: 42rem; }
.figures table { min-width: 26rem; }
.steps tbody th { position: sticky; left: 0; background: var(--surface); }
figure { margin: 1.1rem 0 0; padding-top: 1.1rem; border-top: 1px solid var(--line); }
h3 + figure, p + figure { border-top: 0; padding-top: 0; }
figcaption { font-weight: 600; margin-bottom: 0.6rem; }
.chart svg { display: block; width: 100%; height: auto; max-width: 60rem; }
.chart.narrow svg { max-width: 30rem; }
.narrow { display: none; }
details { margin-top: 0.75rem; }
summary { cursor: pointer; color: var(--accent); font-weight: 600; padding: 0.15rem 0; width: fit-content; }
@media (max-width: 48rem) {
  .wide { display: none; }
  .narrow { display: block; }
}
@media (max-width: 40rem) {
  .page { padding: 0 1rem; }
  header.page { padding-top: 1.5rem; }
  h1 { font-size: 1.45rem; }
  .steps table { min-width: 40rem; }
  .steps tbody th { max-width: 10.5rem; }
  .block, .card { padding: 1rem; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd + dt { margin-top: 0.5rem; }
}
@media print {
  body { background: #fff; }
  .skip, nav { display: none; }
  .block, .card { break-inside: avoid; }
}
`;
