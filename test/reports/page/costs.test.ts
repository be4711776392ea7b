import { describe, expect, it } from "vitest";

import type { Cost } from "../../../common/cost.ts";
import { UserError } from "../../../common/user-error.ts";
import { readAllFacts } from "../../../ops/documents/facts.ts";
import { report } from "../../../ops/documents/report-command.ts";
import { renderPage } from "../../../reports/page/page.ts";
import { noRecords, sources } from "../facts.ts";
import { newFolder } from "../temporary-folder.ts";

const now = new Date("2026-11-24T08:00:00Z");
const cost: Cost = {
  lines: [
    {
      ...{ what: "server", name: "vps-<b>2</b>", monthly: { kind: "euros", euros: 7.99 } },
      source: "OVH's catalogue of FR, 2026-11-24",
    },
    { what: "option", name: "a", monthly: { kind: "euros", euros: 0.002 }, source: "" },
    { what: "backups", name: "in RBX", monthly: { kind: "unknown", why: "not measured" }, source: "" },
    { what: "usage", name: "Anthropic", monthly: { kind: "not-estimated", why: "by use" }, source: "" },
  ],
  once: 3,
};

/** The text of the page's section, as a reader has it; undefined without one. */
async function section(readCost?: () => Promise<Cost>): Promise<string | undefined> {
  const environments = await readAllFacts({ ...sources({ test: { records: noRecords } }), readCost });
  const page = renderPage({ environments, incidents: [], now });
  const [found] = /<section id="couts"[^]*?<\/section>/.exec(page) ?? [];
  expect(found ?? "").not.toContain("<b>");
  return found?.replace(/<[^>]+>/g, " ").replace(/[\s\u00a0]+/g, " ");
}

describe("the page's costs", () => {
  it("are those of each deployed environment, and never 0 for what is unknown", async () => {
    const text = await section(() => Promise.resolve(cost));

    expect(text).toContain("Coûts Test Par mois, hors taxes : au moins 7,99 €. Une fois : 3,00 €.");
    expect(text).toContain("Serveur vps-&lt;b&gt;2&lt;/b&gt; 7,99 € OVH&#39;s catalogue of FR, 2026-11-24");
    expect(text).toContain("Option a &lt; 0,01 €");
    expect(text).toContain("Sauvegardes in RBX inconnu not measured");
    expect(text).toContain("Appels d&#39;API Anthropic non estimé by use");
    expect(text).not.toContain("Staging");
  });

  it("say why they could not be read", async () => {
    expect(await section(() => Promise.reject(new UserError("the settings have problems")))).toContain(
      "Le coût n'a pas pu être lu : the settings have problems",
    );
  });

  it("are not there where nobody asked, and are asked for the page alone", async () => {
    expect(await section()).toBeUndefined();

    const folder = await newFolder();
    const asked: string[] = [];
    const readCost = (stack: string) => Promise.resolve(void asked.push(stack)).then(() => cost);
    const given = { ...sources({ test: { records: noRecords } }), readCost };
    const request = { tracking: `${folder}/suivi.md`, issues: `${folder}/problemes.md`, now };
    await report({ usage: "", args: [], request, sources: given });
    expect(asked).toEqual([]);

    await report({ usage: "", args: ["--html", `${folder}/page.html`], request, sources: given });
    expect(asked).toEqual(["test"]);
  });
});
