/** Parts that the page's sections are made of: badges, tables, charts. */
import type { Chart } from "./charts.ts";
import { html, Html } from "./html.ts";

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
