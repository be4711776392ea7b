/** The dashboards as an operator sees them: through the tunnels that the deployment names, in a real browser. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";

import { STATE } from "../../rehearsal/addresses.ts";
import { launchChromium } from "../support/chromium.ts";
import { freePorts } from "../support/free-ports.ts";
import { WATCHDOG } from "../../ops/monitoring/alertmanager.ts";
import { isDark, openDashboard, panelsWithoutLine, type Row, rowsByDashboard } from "./dashboard-pages.ts";
import { npm } from "./deployments.ts";
import { ERROR, write } from "./faults-host.ts";
import { post } from "./faulty-workflows.ts";
import { ensureMonitored, query } from "./monitored.ts";
import { askHealth, onServer, pulumi, until } from "./rehearsal.ts";

const WIDE = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };
/** What a test leaves for people to look at. */
const PICTURES = join(STATE, "pictures");

const alertName = z.object({ labels: z.object({ alertname: z.string() }) });
const named = z.array(z.object({ service: z.string(), url: z.string(), command: z.string() }));
/** Service → its address at this end of its tunnel. */
const addresses = new Map<string, string>();
const open: ChildProcess[] = [];
let browser: Browser;

/** Opens each tunnel with its own command, at a free port of this machine. */
async function openTunnels(): Promise<void> {
  const tunnels = named.parse(JSON.parse((await pulumi("stack", "output", "tunnels", "--json")).stdout));
  const ports = await freePorts(tunnels.length);
  for (const [index, { service, url, command }] of tunnels.entries()) {
    const port = String(ports[index]);
    const typed = command.replace(/-L \d+:/, `-L ${port}:`);
    const options = "-o StrictHostKeyChecking=accept-new -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR";
    const [program = "", ...args] = typed.replace(/^ssh /, `ssh ${options} `).split(" ");
    open.push(spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] }));
    addresses.set(service, url.replace(/localhost:\d+/, `localhost:${port}`));
  }
  for (const address of addresses.values())
    await until(`${address} to answer`, () =>
      fetch(address).then(
        () => true,
        () => false,
      ),
    );
}

beforeAll(async () => {
  await ensureMonitored();
  browser = await launchChromium();
  await mkdir(PICTURES, { recursive: true });
  await openTunnels();
  await giveData();
}, 1_800_000);
afterAll(async () => {
  await browser.close();
  for (const tunnel of open) tunnel.kill();
});

interface Shown extends AsyncDisposable {
  readonly page: Page;
  /** Errors of the page's own, and answers of the stores that were none. */
  readonly complaints: readonly string[];
}

async function show(service: string, options: BrowserContextOptions): Promise<Shown> {
  const context = await browser.newContext({ viewport: WIDE, ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("response", (response) => {
    if (response.status() >= 400) complaints.push(`${response.status()} ${response.url()}`);
  });
  await page.goto(addresses.get(service) ?? "");
  return { page, complaints, [Symbol.asyncDispose]: () => context.close() };
}

const dashboards = rowsByDashboard("test");

/** Panels that may show no line in a rehearsal, and why. A panel about neighbours is declared only where there are some. */
const MAY_BE_EMPTY: Readonly<Record<string, string>> = {
  "Mise en production": "npm start deploys without a release",
};

const titlesOf = (panels: Row["panels"]) =>
  panels.map(({ title }) => title).filter((title) => !Object.hasOwn(MAY_BE_EMPTY, title));

/** What a rehearsal that has just started has not measured: questions, documents, an error, and a check for drift. */
async function giveData(): Promise<void> {
  for (let asked = 0; asked < 50; asked += 1) await askHealth();
  await post("/api/question");
  await post("/api/upload");
  await onServer(`set -e; ${write("vector-store", { line: ERROR, times: 1 })}`);
  // Whatever it finds.
  await npm("drift", "--", "test");
  const wanted = [
    'gateway{group="all",stats_result="p95"}',
    'gateway{group="question",stats_result="p95"}',
    'gateway{group="upload",stats_result="p95"}',
    "log_errors",
    "technicia_drift_findings",
  ];
  for (const series of wanted)
    await until(
      `the store to have ${series}`,
      async () => (await query(`last_over_time(${series}[10m])`)).length > 0,
      120,
    );
}

describe("the dashboards", () => {
  it("have every panel that may be empty", () => {
    const titles = [...dashboards.values()].flat().flatMap(({ panels }) => panels.map(({ title }) => title));

    expect(Object.keys(MAY_BE_EMPTY).filter((title) => !titles.includes(title))).toEqual([]);
  });
});

describe.each([...dashboards])("the dashboard %s", (dashboard, rows) => {
  it("shows data in every panel of every row", { timeout: 900_000 }, async () => {
    await using shown = await show("Dashboards", { colorScheme: "light" });
    await openDashboard(shown.page, dashboard, rows);

    const titles = rows.flatMap(({ panels }) => titlesOf(panels));
    expect(await panelsWithoutLine(shown.page, titles)).toEqual([]);
    expect(shown.complaints).toEqual([]);
    await shown.page.screenshot({ path: join(PICTURES, `${dashboard}.png`), fullPage: true });
  });

  it.each([
    { how: "wide and dark", viewport: WIDE, colorScheme: "dark" as const },
    { how: "on a phone", viewport: PHONE, colorScheme: "light" as const },
    { how: "on a phone, dark", viewport: PHONE, colorScheme: "dark" as const },
  ])("is whole $how", { timeout: 300_000 }, async ({ how, viewport, colorScheme }) => {
    await using shown = await show("Dashboards", { viewport, colorScheme });
    await openDashboard(shown.page, dashboard, rows);

    // One of each row: that every panel has data does not depend on the light.
    const firsts = rows.flatMap(({ panels }) => titlesOf(panels).slice(0, 1));
    expect(await panelsWithoutLine(shown.page, firsts)).toEqual([]);
    expect(shown.complaints).toEqual([]);
    expect(await isDark(shown.page)).toBe(colorScheme === "dark");
    expect(await shown.page.evaluate("document.documentElement.scrollWidth")).toBe(viewport.width);
    await shown.page.screenshot({ path: join(PICTURES, `${dashboard}, ${how}.png`), fullPage: true });
  });
});

describe("beside the dashboards", () => {
  it("the logs show what a container has just written", async () => {
    const mark = `seen-${Date.now()}`;
    await onServer(`logger --tag technicia-test ${mark}`);
    const address = addresses.get("Logs") ?? "";
    await until("the line to be stored", async () =>
      (await (await fetch(new URL(`/select/logsql/query?query=${mark}`, address))).text()).includes(mark),
    );

    await using shown = await show("Logs", {});
    await shown.page.goto(`${address}#/?query=${mark}`);
    await shown.page.reload();
    const rows = shown.page.locator("[class*=group-logs-row]");
    await rows.filter({ hasText: mark }).first().waitFor({ timeout: 30_000 });
    expect(shown.complaints).toEqual([]);
    await shown.page.screenshot({ path: join(PICTURES, "logs.png") });
  });

  // Debian's package has no pages of Alertmanager's own; the tunnel leads to it all the same.
  it("Alertmanager answers with the alerts there are", async () => {
    await using shown = await show("Alerts", {});
    await shown.page.getByText("Alertmanager").first().waitFor({ timeout: 30_000 });

    const answer = await fetch(new URL("/api/v2/alerts", addresses.get("Alerts")));
    expect(z.array(alertName).parse(await answer.json())).toContainEqual({ labels: { alertname: WATCHDOG } });
  });
});
