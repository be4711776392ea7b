/** The pages of the dashboards, as a browser has them. */
import { isDeepStrictEqual } from "node:util";

import type { Page } from "playwright-core";

import { renderDashboards } from "../../components/monitoring/dashboards.ts";
import { until } from "../support/until.ts";

interface Declared {
  readonly title: string;
  readonly rows: readonly {
    readonly title: string;
    readonly panels: readonly { readonly title: string }[];
  }[];
}

export type Row = Declared["rows"][number];

/** Title of each dashboard of an environment without neighbours, as its file on the server declares it → its rows. */
export function rowsByDashboard(stack: string): ReadonlyMap<string, readonly Row[]> {
  return new Map(
    Object.values(renderDashboards({ stack, neighbours: [], servers: [] }))
      .map((text) => JSON.parse(text) as Declared)
      .map(({ title, rows }) => [title, rows]),
  );
}

/** Longest time until a panel that was scrolled to has asked its store and drawn. */
const DRAWN_MS = 20_000;

const panelOf = (page: Page, title: string) =>
  page
    .locator(".vm-predefined-panel")
    .filter({ has: page.getByRole("heading", { name: title, exact: true }) });

/** Opens the dashboard and each of its rows, of which only the first is open at the start. */
export async function openDashboard(page: Page, dashboard: string, rows: readonly Row[]): Promise<void> {
  await page.getByText(dashboard, { exact: true }).click();
  const titles = page.locator(".vm-predefined-dashboard-header__title");
  // Until then the rows are those of another dashboard.
  await until(`the rows of ${dashboard}`, async () =>
    isDeepStrictEqual(
      await titles.allTextContents(),
      rows.map(({ title }) => title),
    ),
  );
  // Each legend of a panel is an accordion as well.
  const headers = page.locator(".vm-predefined-dashboard > .vm-accordion-header");
  for (const at of rows.keys()) {
    const header = headers.nth(at);
    const isOpen = async () => /header_open/.test((await header.getAttribute("class")) ?? "");
    // A click of the mouse on its text does nothing, and one on its arrow may miss: rows above still grow.
    if (!(await isOpen())) await header.dispatchEvent("click");
    await until(`row ${at + 1} of ${dashboard} to be open`, isOpen);
  }
}

/** Titles of those panels of an open dashboard that show no line. */
export async function panelsWithoutLine(page: Page, titles: readonly string[]): Promise<string[]> {
  const empty: string[] = [];
  for (const title of titles) {
    const panel = panelOf(page, title);
    // A panel asks for its data only when it is seen.
    await panel.scrollIntoViewIfNeeded();
    const line = panel.locator(".vm-legend-item").first();
    const hasLine = await line.waitFor({ timeout: DRAWN_MS }).then(
      () => true,
      () => false,
    );
    if (!hasLine) empty.push(title);
  }
  return empty;
}

/** Whether the page's background is dark. */
export async function isDark(page: Page): Promise<boolean> {
  const colour = await page.evaluate("getComputedStyle(document.body).backgroundColor");
  const parts = String(colour).match(/\d+/g);
  if (parts === null) throw new Error(`the page: expected a background with a colour, got ${String(colour)}`);
  return parts.slice(0, 3).every((part) => Number(part) < 128);
}
