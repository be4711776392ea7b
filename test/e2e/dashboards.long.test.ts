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
import { renderDashboards } from "../../components/monitoring/dashboards.ts";
import { WATCHDOG } from "../../ops/monitoring/alertmanager.ts";
import { ensureMonitored } from "./monitored.ts";
import { askHealth, onServer, pulumi, until } from "./rehearsal.ts";

const WIDE = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };
const HOST = "Serveur (test)";
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
  for (let asked = 0; asked < 50; asked++) await askHealth();
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

interface Declared {
  readonly title: string;
  readonly rows: readonly {
    readonly title: string;
    readonly panels: readonly { readonly title: string }[];
  }[];
}

/** What the files on the server declare, by the title of the dashboard. */
const declared = new Map(
  Object.values(renderDashboards({ stack: "test", neighbours: [] }))
    .map((text) => JSON.parse(text) as Declared)
    .map(({ title, rows }) => [title, rows]),
);

/** Opens the dashboard, and gives the titles of panels of its first row, which is open, that show no line. */
async function emptyPanels(page: Page, title: string): Promise<string[]> {
  await page.getByText(title, { exact: true }).click();
  const empty: string[] = [];
  const [first] = declared.get(title)!;
  for (const { title } of first!.panels) {
    const panel = page
      .locator(".vm-predefined-panel")
      .filter({ has: page.getByRole("heading", { name: title, exact: true }) });
    // A panel asks for its data only when it is seen.
    await panel.scrollIntoViewIfNeeded();
    const line = panel.locator(".vm-legend-item").first();
    const hasLine = await line.waitFor({ timeout: 20_000 }).then(
      () => true,
      () => false,
    );
    if (!hasLine) empty.push(title);
  }
  return empty;
}

describe("the dashboards", () => {
  it.each([...declared.keys()])(
    "%s shows data in every panel of its first row",
    { timeout: 600_000 },
    async (title) => {
      await using shown = await show("Dashboards", { colorScheme: "light" });

      expect(await emptyPanels(shown.page, title)).toEqual([]);
      expect(shown.complaints).toEqual([]);
      await shown.page.screenshot({ path: join(PICTURES, `${title}.png`), fullPage: true });
    },
  );

  it.each([
    { how: "wide and dark", viewport: WIDE, colorScheme: "dark" as const },
    { how: "on a phone", viewport: PHONE, colorScheme: "light" as const },
    { how: "on a phone, dark", viewport: PHONE, colorScheme: "dark" as const },
  ])("are whole $how", { timeout: 300_000 }, async ({ how, viewport, colorScheme }) => {
    await using shown = await show("Dashboards", { viewport, colorScheme });

    expect(await emptyPanels(shown.page, HOST)).toEqual([]);
    expect(await shown.page.evaluate("document.documentElement.scrollWidth")).toBe(viewport.width);
    await shown.page.screenshot({ path: join(PICTURES, `${how}.png`), fullPage: true });
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
