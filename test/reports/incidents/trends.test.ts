import { writeFile } from "node:fs/promises";

import { describe, expect, it } from "vitest";

import { openIncident, resolveIncident } from "../../../reports/incidents/book.ts";
import { newIssuesFile, later, now, read, resolution, newIncident } from "../issues-file.ts";
import { expectFormatted } from "../temporary-folder.ts";

describe("trends", () => {
  async function three(): Promise<string> {
    const path = await newIssuesFile();
    for (const title of ["Dérive : 1 écart", "Délai dépassé"]) {
      await openIncident({ ...newIncident(), title }, { path, now });
    }
    await openIncident({ ...newIncident(), title: "Clé absente", category: "Configuration" }, { path, now });
    await openIncident({ ...newIncident(), title: "Dérive : 5 écarts" }, { path, now: later });
    await resolveIncident("DEPLOY-001", resolution(), { path, now: later });
    await resolveIncident("DEPLOY-003", resolution(), { path, now: new Date("2026-11-21T08:42:00Z") });
    return path;
  }

  it("count by category, with share and mean time to resolve", async () => {
    const text = await read(await three());

    const table = text.slice(
      text.indexOf("### Tendances par Catégorie"),
      text.indexOf("### Problèmes Récurrents"),
    );
    expect(table.replace(/ +/g, " ")).toContain(
      `| Catégorie | Nombre de problèmes | % du total | Temps moyen de résolution |
| ------------- | ------------------- | ---------- | ------------------------- |
| Configuration | 1 | 33 % | 12 minutes |
| Réseau | 2 | 67 % | 2,5 heures |
| Sécurité | 0 | 0 % | - |`,
    );
    expect(text).not.toContain("> Cette section sera remplie");
    expect(text).toContain(
      "### Améliorations du Processus de Déploiement\n\n| Amélioration | Mise en œuvre | Impact observé |",
    );
  });

  it("list recurring problems with their lessons", async () => {
    const text = await read(await three());

    expect(text).toContain(
      `1. **Dérive : 1 écart**
   - Fréquence: 2 occurrences
   - Impact cumulé: Aucune interruption
   - Stratégie d'atténuation: Vérifier la clé avant la mise en production
`,
    );
    expect(text).not.toContain("2. **Délai dépassé**");
  });

  it("keep strategies, points, problems and improvements that people wrote", async () => {
    const path = await three();
    await writeFile(
      path,
      (await read(path))
        .replace(
          "Stratégie d'atténuation: Vérifier la clé avant la mise en production\n",
          "Stratégie d'atténuation: Demander à **Ada**\n   - Suivi: chaque lundi\n\n2. **Café froid**\n   - Fréquence: 9 occurrences\n",
        )
        .replace(
          "| -            | -             | -              |",
          "| Relire | 2026-12-01 | Moins d'oublis |",
        ),
    );
    await openIncident({ ...newIncident(), title: "Dérive : 9 écarts" }, { path, now: later });
    await openIncident({ ...newIncident(), title: "Dérive : 8 écarts" }, { path, now: later });

    const text = await read(path);
    expect(text).toContain(
      "   - Fréquence: 4 occurrences\n   - Impact cumulé: Aucune interruption\n   - Stratégie d'atténuation: Demander à **Ada**\n   - Suivi: chaque lundi\n",
    );
    expect(text).toContain("2. **Café froid**\n   - Fréquence: 9 occurrences\n");
    expect(text).toMatch(/\| Relire +\| 2026-12-01 +\| Moins d'oublis \|/);
    await expectFormatted(text);
  });
});
