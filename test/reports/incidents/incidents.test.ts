import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { describe, expect, it } from "vitest";

import { listIncidents, openIncident, resolveIncident } from "../../../reports/incidents/book.ts";
import { newIssuesFile, later, now, read, resolution, newIncident } from "../issues-file.ts";
import { expectFormatted } from "../temporary-folder.ts";

describe("openIncident", () => {
  it("writes an entry with exactly the form's fields, in the form's order", async () => {
    const path = await newIssuesFile();

    expect(await openIncident(newIncident(), { path, now })).toEqual({ id: "DEPLOY-001", isNew: true });

    const text = await read(path);
    const entry = text.slice(text.indexOf("### DEPLOY-001"), text.indexOf("<!--\n### DEPLOY-001: [Titre"));
    expect(entry.trim()).toBe(
      `### DEPLOY-001: Mise en production annulée : contrôle Adresse publique

<!-- catégorie : Réseau ; constaté : 2026-11-21T08:30:00.000Z -->

**Environnement**: Staging  
**Date d'identification**: 2026-11-21  
**Date de résolution**: -  
**Statut**: Ouvert  
**Priorité**: Haute  
**Impact**: Aucune interruption

**Description**:

La version 1.0.1 répondait 500.\\
Elle a été retirée.

La précédente sert.

**Symptômes**:

- GET https://staging-technicia.exemple.fr/healthz : 500
- 10 requêtes | 3 en échec

**Étapes de diagnostic**:

1. journal de technicia-n8n lu : \\\`ECONNREFUSED\\\`
2. mémoire : 40 %

**Cause racine**:

À compléter

**Solution**:

À compléter

**Mesures préventives**:

- À compléter

**Leçons apprises**:

- À compléter`,
    );
    await expectFormatted(text);
  });

  it("keeps the rest of the user's document: its headings, checklists, procedure and contacts", async () => {
    const template = await read(
      new URL("../../../reports/incidents/deployment-issues.template.md", import.meta.url).pathname,
    );
    const path = await newIssuesFile();
    await openIncident(newIncident(), { path, now });

    const text = await read(path);
    const headings = template.match(/^##? .+$/gm);
    expect(text.match(/^##? .+$/gm)).toEqual(headings);
    expect(text).not.toContain("> Aucun problème n'a encore été identifié");
    const tail = template.slice(template.indexOf("## Checklist de Préparation"));
    expect(text.endsWith(tail)).toBe(true);
  });

  it.each([
    ["the line ends of Windows", (text: string) => text.replaceAll("\n", "\r\n")],
    ["a byte order mark", (text: string) => `\ufeff${text}`],
    ["both", (text: string) => `\ufeff${text.replaceAll("\n", "\r\n")}`],
  ])("continues a document that an editor saved with %s", async (_, saved) => {
    const path = await newIssuesFile();
    await openIncident({ ...newIncident(), title: "un" }, { path, now });
    await writeFile(path, saved(await read(path)));

    expect(await openIncident({ ...newIncident(), title: "deux" }, { path, now })).toMatchObject({
      id: "DEPLOY-002",
    });
    expect((await listIncidents(path)).map(({ id, title }) => `${id} ${title}`)).toEqual([
      "DEPLOY-001 un",
      "DEPLOY-002 deux",
    ]);
    await expectFormatted(await read(path));
  });

  it("continues from the highest number and appends in order", async () => {
    const path = await newIssuesFile();
    for (const title of ["un", "deux", "trois"])
      await openIncident({ ...newIncident(), title }, { path, now });
    await writeFile(path, (await read(path)).replace("### DEPLOY-003", "### DEPLOY-041"));

    expect(await openIncident({ ...newIncident(), title: "quatre" }, { path, now })).toMatchObject({
      id: "DEPLOY-042",
    });
    expect((await listIncidents(path)).map(({ id, title }) => `${id} ${title}`)).toEqual([
      "DEPLOY-001 un",
      "DEPLOY-002 deux",
      "DEPLOY-041 trois",
      "DEPLOY-042 quatre",
    ]);
  });

  it("notes on the open entry that the same thing was seen again, whatever its numbers", async () => {
    const path = await newIssuesFile();
    const drift = (count: number) => ({ ...newIncident(), title: `Dérive : ${count} écarts` });
    await openIncident(drift(2), { path, now });

    expect(await openIncident(drift(3), { path, now: later })).toEqual({ id: "DEPLOY-001", isNew: false });
    expect(await openIncident({ ...drift(3), stack: "prod" }, { path, now: later })).toMatchObject({
      isNew: true,
    });

    const [first] = await listIncidents(path);
    expect(first?.seen).toEqual([now, later]);
    await resolveIncident("DEPLOY-001", resolution(), { path, now: later });
    expect(await openIncident(drift(4), { path, now: later })).toEqual({ id: "DEPLOY-003", isNew: true });
  });

  it("shows a machine's text as plain text", async () => {
    const path = await newIssuesFile();
    const nasty = [
      "### DEPLOY-999: faux",
      "**Statut**: Résolu",
      "<!-- -->",
      "<script>alert(1)</script>",
      "| a | b |\n| - | - |",
      "```\n## Titre\n```",
      "- [ ] *a* _b_ ~~c~~ [d](e) &amp; \\",
      "1. un",
      "    code",
      "---",
    ];
    for (const text of nasty) {
      await openIncident(
        {
          ...newIncident(),
          title: `x ${text}`,
          impact: text,
          description: text,
          symptoms: [text],
          diagnostics: [text],
        },
        { path, now },
      );
    }

    const incidents = await listIncidents(path);
    expect(incidents.map(({ id }) => id)).toEqual(
      nasty.map((_, index) => `DEPLOY-${String(index + 1).padStart(3, "0")}`),
    );
    for (const [index, text] of nasty.entries()) {
      const line = text.replace(/\s+/g, " ").trim();
      expect(incidents[index]).toMatchObject({ title: `x ${line}`, impact: line, status: "Ouvert" });
    }
    await expectFormatted(await read(path));
  });

  it("fails when the environment is none of the three", async () => {
    await expect(
      openIncident({ ...newIncident(), stack: "dev" }, { path: await newIssuesFile(), now }),
    ).rejects.toThrow('environment: expected one of test, staging, prod, got "dev"');
  });
});

describe("resolveIncident", () => {
  it("fills in cause, solution with its command, measures and lessons, and the day", async () => {
    const path = await newIssuesFile();
    await openIncident(newIncident(), { path, now });
    await resolveIncident("DEPLOY-001", resolution(), { path, now: later });

    const text = await read(path);
    expect(text).toContain("**Date de résolution**: 2026-11-21  \n**Statut**: Résolu  \n**Priorité**: Haute");
    expect(text).toContain(
      "**Cause racine**:\n\nLa clé de Qdrant manquait.\n\n**Solution**:\n\nClé remise.\n\n```bash\npulumi up --stack staging\n```",
    );
    expect(text).toContain("**Mesures préventives**:\n\n- Vérifier la clé avant la mise en production\n");
    expect(text).toContain("**Leçons apprises**:\n\n- Les clés d'abord\n");
    await expectFormatted(text);
    expect(await listIncidents(path)).toMatchObject([
      { status: "Résolu", resolved: "2026-11-21", resolvedAt: later, solution: "Clé remise." },
    ]);
  });

  it("keeps what people had written, and adds to it", async () => {
    const path = await newIssuesFile();
    await openIncident(newIncident(), { path, now });
    const written = (await read(path))
      .replace("**Cause racine**:\n\nÀ compléter", "**Cause racine**:  \nUn câble, *selon Ada*.")
      .replace("**Leçons apprises**:\n\n- À compléter", "**Leçons apprises**:\n\n- Se relire\n\nEt dormir.");
    await writeFile(path, written);

    await resolveIncident("DEPLOY-001", { ...resolution(), workaround: true }, { path, now: later });

    const text = await read(path);
    expect(text).toMatch(/Un câble, _selon Ada_\.\n\nLa clé de Qdrant manquait\./);
    expect(text).toMatch(/- Se relire\n\nEt dormir\.\n\n- Les clés d'abord/);
    expect(text).toContain("**Statut**: Contourné");
  });

  it("fails when there is no such entry, and when it was resolved already", async () => {
    const path = await newIssuesFile();
    await openIncident(newIncident(), { path, now });

    await expect(resolveIncident("DEPLOY-007", resolution(), { path, now })).rejects.toThrow(
      /DEPLOY-007: expected an entry of .*, got none of that number; there is DEPLOY-001/,
    );
    await resolveIncident("DEPLOY-001", resolution(), { path, now: later });
    await expect(resolveIncident("DEPLOY-001", resolution(), { path, now: later })).rejects.toThrow(
      "DEPLOY-001: expected an open entry, got one that was resolved on 2026-11-21; open another if it came again",
    );
  });
});

describe("an entry that a person wrote", () => {
  const written = `### DEPLOY-001: Pare-feu fermé

**Environnement**: Production
**Date d'identification**: 2025-03-24
**Date de résolution**: 2025-03-26
**Statut**: Résolu
**Priorité**: Critique
**Impact**: Site injoignable

**Description**:
Le port 443 était fermé.

**Symptômes**:
- délai dépassé

**Étapes de diagnostic**:
1. nmap

**Cause racine**:
Règle absente.

**Solution**:
Règle \`443/tcp\` remise, puis [vérifiée](https://exemple.fr).

\`\`\`bash
### DEPLOY-002: pas une entrée
pulumi up
\`\`\`

**Mesures préventives**:
- surveiller
- alerter

**Leçons apprises**:
- rien
`;

  async function withEntry(text = written): Promise<string> {
    const template = await read(
      new URL("../../../reports/incidents/deployment-issues.template.md", import.meta.url).pathname,
    );
    return newIssuesFile(
      template.replace(
        "> Aucun problème n'a encore été identifié car le déploiement n'a pas commencé.",
        () => text,
      ),
    );
  }

  it("is read without any note of ours", async () => {
    expect(await listIncidents(await withEntry())).toMatchObject([
      {
        id: "DEPLOY-001",
        title: "Pare-feu fermé",
        environment: "Production",
        category: "Autres",
        priority: "Critique",
        impact: "Site injoignable",
        solution: "Règle 443/tcp remise, puis vérifiée.",
        prevention: ["surveiller", "alerter"],
        identified: "2025-03-24",
        resolved: "2025-03-26",
      },
    ]);
  });

  it("keeps its words when another entry is opened beside it", async () => {
    const path = await withEntry();
    await openIncident(newIncident(), { path, now });

    const text = await read(path);
    expect(text).toContain("Règle `443/tcp` remise, puis [vérifiée](https://exemple.fr).");
    expect(text).toContain("### DEPLOY-002: pas une entrée\npulumi up");
    expect(text).toContain("### DEPLOY-002: Mise en production annulée");
  });

  it.each([
    [
      "**Statut**: Résolu",
      "**Statut**: Fini",
      'expected **Statut** to be one of Ouvert, Résolu, Contourné, got "Fini"',
    ],
    ["**Priorité**: Critique", "**Priorité**: haute", 'got "haute"'],
    ["**Environnement**: Production", "**Environnement**: Prod", "one of Test, Staging, Production"],
    ["2025-03-24", "24/03/2025", "expected **Date d'identification** to be a day such as 2025-03-24"],
    ["2025-03-26", "2025-02-30", "expected **Date de résolution** to be a day such as 2025-03-24"],
    ["2025-03-26", "-", "expected **Date de résolution** to be the day it was solved"],
    ["**Cause racine**:", "Cause racine:", "DEPLOY-001: the field **Cause racine** is missing"],
    ["**Symptômes**:", "**Solution**:", "the field **Symptômes** is missing"],
    ["### DEPLOY-001:", "### DEPLOY 1:", 'expected an entry such as "### DEPLOY-001: titre"'],
    ["## Tendances et Analyses", "## Tendances", 'expected a heading "Tendances et Analyses", got none'],
  ])("fails, and loses nothing, when %j became %j", async (from, to, told) => {
    const path = await withEntry();
    const broken = (await read(path)).replace(from, to);
    await writeFile(path, broken);

    await expect(openIncident(newIncident(), { path, now })).rejects.toThrow(told);
    await expect(openIncident(newIncident(), { path, now })).rejects.toThrow(/deployment-issues\.md:\d+: /);
    expect(await read(path)).toBe(broken);
    expect(await readdir(join(path, ".."))).toEqual(["deployment-issues.md"]);
  });

  it("fails with every problem and its line at once", async () => {
    const path = await withEntry(written.replace("Production", "Prod").replace("Critique", "Urgente"));

    const lines = (await read(path)).split("\n");
    await expect(listIncidents(path)).rejects.toThrow(
      new RegExp(
        `:${lines.indexOf("**Environnement**: Prod") + 1}: DEPLOY-001: .*\n.*:${lines.indexOf("**Priorité**: Urgente") + 1}: DEPLOY-001: `,
      ),
    );
  });
});
