import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { renderPage } from "../../../reports/page/page.ts";
import { launchChromium } from "../../support/chromium.ts";
import { newFolder } from "../temporary-folder.ts";
import { readAllFacts } from "../../../ops/documents/facts.ts";
import { check, noRecords, release, sources, wellVerified } from "../facts.ts";
import { busy, NASTY, nothing, now } from "./page-facts.ts";

const WIDE = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };
const CONTRAST = 4.5;

let browser: Browser;
beforeAll(async () => {
  browser = await launchChromium();
});
afterAll(async () => {
  await browser.close();
});

interface Shown extends AsyncDisposable {
  readonly page: Page;
  /** What the page asked for beside itself. */
  readonly requests: string[];
  /** What a console would show, and every dialog. */
  readonly complaints: string[];
}

async function show(facts = busy(), options: BrowserContextOptions = {}): Promise<Shown> {
  const file = join(await newFolder(), "rapport.html");
  await writeFile(file, renderPage(await facts));
  const context = await browser.newContext({ viewport: WIDE, ...options });
  const page = await context.newPage();
  const requests: string[] = [];
  const complaints: string[] = [];
  const address = pathToFileURL(file).href;
  page.on("request", (request) => {
    if (request.url() !== address) requests.push(request.url());
  });
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("dialog", (dialog) => {
    complaints.push(dialog.message());
    void dialog.dismiss();
  });
  await page.goto(address);
  return { page, requests, complaints, [Symbol.asyncDispose]: () => context.close() };
}

const openAll = (page: Page) =>
  page.evaluate(`document.querySelectorAll("details").forEach((one) => (one.open = true))`);

describe("the page", () => {
  it("loads nothing, runs nothing, and shows every record as text", async () => {
    await using shown = await show();
    const { page, requests, complaints } = shown;
    await openAll(page);

    expect(await page.locator("script, img, link[rel=stylesheet], iframe, b").count()).toBe(0);
    expect(await page.getByText(NASTY).count()).toBeGreaterThan(2);
    expect(await page.evaluate("document.documentElement.lang")).toBe("fr");
    expect(requests).toEqual([]);
    expect(complaints).toEqual([]);
  });

  it.each([320, 390, 768, 1280, 1920])("fits a window of %i pixels, open details included", async (width) => {
    await using shown = await show(busy(), { viewport: { width, height: 900 } });
    await openAll(shown.page);

    expect(await shown.page.evaluate("document.documentElement.scrollWidth")).toBe(width);
  });

  it("fits a phone before anything was deployed", async () => {
    await using shown = await show(nothing(), { viewport: PHONE });

    expect(await shown.page.evaluate("document.documentElement.scrollWidth")).toBe(PHONE.width);
    expect(shown.complaints).toEqual([]);
    expect(await shown.page.getByText("Non déployé", { exact: true }).count()).toBe(3);
    expect(await shown.page.getByRole("img").count()).toBe(0);
  });

  it.each([
    ["wide", WIDE, 860],
    ["narrow", PHONE, 340],
  ] as const)("shows the %s drawing of each chart, and only it", async (_, viewport, width) => {
    await using shown = await show(busy(), { viewport });
    const drawings = shown.page.locator("figure svg[role=img]:visible");

    expect(await drawings.count()).toBe(5);
    for (const drawing of await drawings.all()) {
      expect(await drawing.getAttribute("viewBox")).toMatch(new RegExp(`^0 0 ${width} `));
    }
  });

  it("keeps a chart's legend and its plot apart", async () => {
    for (const viewport of [WIDE, PHONE]) {
      await using shown = await show(busy(), { viewport });
      const texts = await shown.page.evaluate<Box[][]>(`
        [...document.querySelectorAll("figure svg[role=img]")].filter((svg) => svg.checkVisibility()).map((svg) =>
          [...svg.querySelectorAll("text")].map((text) => {
            const { left, right, top, bottom } = text.getBoundingClientRect();
            return { text: text.textContent, left, right, top, bottom };
          }))`);

      for (const boxes of texts) {
        const overlaps = boxes.flatMap((one, index) =>
          boxes
            .slice(index + 1)
            .filter((other) => meet(one, other))
            .map((other) => `${one.text} × ${other.text}`),
        );
        expect(overlaps).toEqual([]);
      }
    }
  });
});

interface Box {
  readonly text: string;
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

function meet(one: Box, other: Box): boolean {
  const apart =
    one.right <= other.left ||
    other.right <= one.left ||
    one.bottom <= other.top + 2 ||
    other.bottom <= one.top + 2;
  return !apart;
}

describe("colours", () => {
  it("change in dark mode", async () => {
    const background = async (colorScheme: "light" | "dark") => {
      await using shown = await show(busy(), { colorScheme });
      return await shown.page.evaluate<
        string[]
      >(`[document.body, document.querySelector(".card"), document.querySelector("h1"), document.querySelector("figure text")]
           .map((node) => getComputedStyle(node)).map(({ backgroundColor, color, fill }) => [backgroundColor, color, fill].join())`);
    };
    const [light, dark] = [await background("light"), await background("dark")];

    for (const [index, colour] of light.entries()) expect(dark[index]).not.toBe(colour);
  });

  it.each(["light", "dark"] as const)(
    "of every text contrast with what is behind it, %s",
    async (colorScheme) => {
      await using shown = await show(busy(), { colorScheme });
      await openAll(shown.page);

      const faint = await shown.page.evaluate<{ text: string; ratio: number }[]>(MEASURE_CONTRAST);
      expect(faint.length).toBeGreaterThan(200);
      expect(faint.filter(({ ratio }) => ratio < CONTRAST)).toEqual([]);
    },
  );

  it.each(["light", "dark"] as const)("of lines and bars contrast with the page, %s", async (colorScheme) => {
    await using shown = await show(busy(), { colorScheme });

    const ratios = await shown.page.evaluate<number[]>(`{
      ${CONTRAST_FUNCTIONS}
      const style = getComputedStyle(document.documentElement);
      ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6"].map((name) => contrast(parse(style.getPropertyValue(name)), parse(style.getPropertyValue("--surface"))));
    }`);
    expect(Math.min(...ratios)).toBeGreaterThan(3);
  });

  it("never show a state alone: each state also has a word and a shape", async () => {
    await using shown = await show();
    const badges = await shown.page.evaluate<[string, string, string][]>(
      `[...document.querySelectorAll(".badge")].map((badge) => [badge.className, badge.textContent.trim(), badge.querySelector("svg").innerHTML])`,
    );

    expect(badges.every(([, word, shape]) => word !== "" && shape !== "")).toBe(true);
    const shapes = new Map(badges.map(([tone, , shape]) => [tone, shape]));
    expect(shapes.size).toBe(5);
    expect(new Set(shapes.values()).size).toBe(5);
  });

  it("of a chart's series go with a line or a pattern of their own", async () => {
    await using shown = await show();
    const { page } = shown;

    const lines = page.locator("#verifications figure .wide svg path[stroke-width='2.5']");
    const dashes = await Promise.all(
      (await lines.all()).map((line) => line.getAttribute("stroke-dasharray")),
    );
    expect(new Set(dashes).size).toBe(3);
    const patterns = await page.evaluate<string[]>(
      `[...document.querySelectorAll("#mises-en-production figure .wide svg pattern")].map((one) => one.innerHTML)`,
    );
    expect(new Set(patterns).size).toBe(6);
  });
});

// Runs in the browser: the page is in light and dark, and a colour may come from any ancestor.
const CONTRAST_FUNCTIONS = `
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parse = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour.trim(); canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => { const [low, high] = [light(one), light(other)].sort((a, b) => a - b); return (high + 0.05) / (low + 0.05); };
`;

const MEASURE_CONTRAST = `{
  ${CONTRAST_FUNCTIONS}
  const behind = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (walker.currentNode.textContent.trim() === "" || !node.checkVisibility() || node.closest("style")) continue;
    const style = getComputedStyle(node);
    const colour = node.closest("svg") ? style.fill : style.color;
    found.push({ text: walker.currentNode.textContent.trim().slice(0, 40), ratio: contrast(parse(colour), behind(node)) });
  }
  found;
}`;

describe("the keyboard", () => {
  it.each([WIDE, PHONE])(
    "reaches every link, every fold and every scrollable region, and shows where it is: $width",
    async (viewport) => {
      await using shown = await show(busy(), { viewport });
      const { page } = shown;
      const wanted = await page.evaluate<number>(
        `[...document.querySelectorAll("a, summary, [tabindex='0']")].filter((one) => one.checkVisibility()).length`,
      );
      const scrollable = await page.evaluate<number>(
        `[...document.querySelectorAll("body *")].filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth + 1 && /auto|scroll/.test(getComputedStyle(one).overflowX) && one.tabIndex !== 0).length`,
      );

      const seen: string[] = [];
      const unmarked: string[] = [];
      for (;;) {
        await page.keyboard.press("Tab");
        const at = await page.evaluate<{ name: string; visible: boolean }>(`{
        const one = document.activeElement;
        const { outlineStyle, outlineWidth } = getComputedStyle(one);
        const all = [...document.querySelectorAll("*")];
        ({ name: one === document.body ? "" : all.indexOf(one) + " " + one.textContent.trim().slice(0, 30), visible: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 });
      }`);
        if (at.name === "" || seen.includes(at.name)) break;
        seen.push(at.name);
        if (!at.visible) unmarked.push(at.name);
      }
      expect(wanted).toBeGreaterThan(12);
      expect(seen).toHaveLength(wanted);
      expect(unmarked).toEqual([]);
      expect(scrollable).toBe(0);
    },
  );

  it("skips to the content, opens a fold and scrolls a table", async () => {
    await using shown = await show(busy(), { viewport: PHONE });
    const { page } = shown;
    await page.keyboard.press("Tab");
    expect(await page.evaluate("document.activeElement.getBoundingClientRect().top >= 0")).toBe(true);
    await page.keyboard.press("Enter");
    expect(await page.evaluate("document.activeElement.id")).toBe("contenu");

    const fold = page.getByText("Contrôles de la mise en production nº 12 de Test").first();
    await fold.focus();
    await page.keyboard.press("Enter");
    await page.getByRole("table", { name: "Contrôles de la mise en production nº 12 de Test" }).waitFor();

    const region = page.getByRole("region", { name: "Étapes du déploiement, par environnement" });
    await region.focus();
    await page.keyboard.press("ArrowRight");
    const scrolled = () => page.evaluate<number>("document.activeElement.scrollLeft");
    await expect.poll(scrolled).toBeGreaterThan(0);
  });
});

describe("a screen reader", () => {
  it("finds the landmarks, and headings in order", async () => {
    await using shown = await show();
    const { page } = shown;

    for (const landmark of ["banner", "main", "contentinfo"] as const) {
      expect(await page.getByRole(landmark).count()).toBe(1);
    }
    expect(await page.getByRole("navigation", { name: "Sections de la page" }).count()).toBe(1);
    expect(await page.getByRole("complementary", { name: "Lectures impossibles" }).count()).toBe(1);
    for (const name of [
      "Environnements",
      "Étapes",
      "Mises en production",
      "Vérifications",
      "Surveillance",
      "Dérive",
      "Problèmes",
    ]) {
      expect(await page.getByRole("region", { name, exact: true }).count()).toBe(1);
    }
    const levels = await page.evaluate<number[]>(
      `[...document.querySelectorAll("h1, h2, h3, h4")].map((one) => Number(one.tagName[1]))`,
    );
    expect(levels[0]).toBe(1);
    expect(levels.filter((level) => level === 1)).toHaveLength(1);
    for (const [index, level] of levels.entries())
      expect(level - (levels[index - 1] ?? level)).toBeLessThanOrEqual(1);
  });

  it("hears what each chart shows, and can read its figures as a table", async () => {
    await using shown = await show();
    const { page } = shown;
    const images = await page.getByRole("img").all();
    const names = await Promise.all(images.map((image) => image.getAttribute("aria-label")));

    expect(names).toEqual([
      "Durée des mises en production, par partie. Barres empilées des durées de 12 mises en production. La dernière, nº 12, a pris 4 min 00 s.",
      "Temps de réponse mesurés à chaque vérification. Courbes des temps de réponse de 12 mises en production. La dernière, nº 12 : p50 14 ms, p95 56 ms, p99 84 ms.",
      "Temps de réponse mesurés sur 30 jours. Courbes des temps de réponse, moyennes de 12 heures ; 10 mises en production marquées. Les derniers : p50 180 ms, p95 550 ms, p99 1\u00a0100 ms.",
      "Demandes en échec sur 30 jours. Courbe de la part des demandes en échec, par 12 heures ; 10 mises en production marquées. La dernière : 0,4 %.",
      "Écarts trouvés à chaque recherche de dérive. Barres du nombre d'écarts de 9 recherches, dont 6 sans écart. La dernière, le 20 novembre 2026, en a trouvé 0.",
    ]);
    await openAll(page);
    const figures = page.getByRole("table", { name: "Temps de réponse mesurés à chaque vérification" });
    expect(await figures.getByRole("row").count()).toBe(13);
    expect(await figures.getByRole("row", { name: "nº 9" }).innerText()).toMatch(
      /11 ms\s+2.090 ms\s+2.860 ms\s+900\s+2 %/,
    );
  });

  it("meets no table without a caption, no column or row without a heading, no identifier twice", async () => {
    await using shown = await show();
    await openAll(shown.page);
    const found = await shown.page.evaluate(`({
      tables: document.querySelectorAll("table").length,
      captions: [...document.querySelectorAll("table > caption")].filter((one) => one.textContent.trim() !== "").length,
      unscoped: document.querySelectorAll("th:not([scope])").length,
      headless: [...document.querySelectorAll("tbody tr")].filter((row) => !row.querySelector("th")).length,
      empty: [...document.querySelectorAll("td, th")].filter((cell) => cell.textContent.trim() === "").length,
      twice: [...document.querySelectorAll("[id]")].map(({ id }) => id).filter((id, index, all) => all.indexOf(id) !== index),
      dangling: [...document.querySelectorAll("[aria-labelledby]")].filter((one) => !document.getElementById(one.getAttribute("aria-labelledby"))).length,
    })`);

    expect(found).toEqual({
      tables: 12,
      captions: 12,
      unscoped: 0,
      headless: 0,
      empty: 0,
      twice: [],
      dangling: 0,
    });
  });
});

describe("what the page says", () => {
  it("shows what is known of each environment, and what is not", async () => {
    await using shown = await show();
    const { page } = shown;
    const text = async (name: string) =>
      (await page.getByRole("article", { name }).innerText()).replace(/\s+/g, " ");

    expect(await text("Test")).toBe(
      "Test Déployé Adresse test.technicia.exemple.fr Serveur vps-1a2b3c4d.vps.ovh.net Version nº 12 (0123456) " +
        "Depuis le 22 novembre 2026 Vérification 4 réussis sur 5, 1 non vérifié Dérive 0 écart le 20 novembre 2026",
    );
    expect(await text("Production")).toBe("Production Non déployé Adresse N/A Serveur N/A");
    expect(await page.getByRole("complementary").innerText()).toContain(
      "Staging : les mises en production et l'historique n'ont pas pu être lus. debian@203.0.113.20:22: expected an answer",
    );
    expect(await page.getByText("Le serveur n'a pas pu être lu.").count()).toBe(3);
  });

  it("shows the checks of what runs now after a rollback", async () => {
    const rolledBack = release(2, {
      outcome: "rolled-back",
      restored: 1,
      verify: [check("functional-https", { outcome: "failed" })],
      restoredVerify: [...wellVerified, check("rollback-time")],
    });
    const records = { ...noRecords, releases: [release(1), rolledBack] };
    const environments = await readAllFacts(sources({ test: { records } }));
    await using shown = await show(Promise.resolve({ environments, incidents: [], now }));

    expect(await shown.page.getByRole("article", { name: "Test" }).innerText()).toMatch(
      /Vérification\s+3 réussis sur 4, 1 non vérifié/,
    );
    expect(await shown.page.getByRole("row", { name: /^nº 2 / }).innerText()).toContain("1 en échec");
  });

  it("names why a release was rolled back, and to which", async () => {
    await using shown = await show();
    const row = shown.page.getByRole("row", { name: /^nº 9 19 nov/ });

    expect((await row.innerText()).replace(/\s+/g, " ")).toBe(
      "nº 9 19 nov. 2026, 10:12 Annulée, retour au nº 8 6 min 10 s 3 réussis sur 5, 1 en échec, 1 non vérifié " +
        "Ada <ada@exemple.fr> Tests de performance : /healthz : p95 au-dessus de 2000 ms",
    );
  });
});
