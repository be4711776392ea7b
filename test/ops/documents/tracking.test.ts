import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { describe, expect, it } from "vitest";

import {
  listIncidents,
  openIncident,
  resolveIncident,
  type NewIncident,
} from "../../../ops/documents/incident-book.ts";
import { MarkdownFile } from "../../../ops/documents/markdown.ts";
import { writeReport, type Report } from "../../../ops/documents/report-command.ts";
import { describePhases } from "../../../ops/documents/steps.ts";
import { checkTracking } from "../../../ops/documents/tracking.ts";
import { UserError } from "../../../ops/user-error.ts";
import { expectFormatted, newFolder } from "./folder.ts";
import { check, noRecords, outputs, recordedState, release, sources, type Stack } from "./world.ts";

const now = new Date("2026-11-23T12:00:00Z");
const tomorrow = new Date("2026-11-24T12:00:00Z");

class Desk {
  readonly tracking: string;
  readonly issues: string;
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.tracking = join(folder, "deployment-tracking.md");
    this.issues = join(folder, "deployment-issues.md");
  }

  static async open(): Promise<Desk> {
    return new Desk(await newFolder());
  }

  report(stacks: Readonly<Record<string, Stack>>, at = now): Promise<Report> {
    return writeReport({ tracking: this.tracking, issues: this.issues, now: at }, sources(stacks));
  }

  read(): Promise<string> {
    return readFile(this.tracking, "utf8");
  }

  async edit(change: (text: string) => string): Promise<void> {
    const text = await this.read();
    const changed = change(text);
    expect(changed).not.toBe(text);
    await writeFile(this.tracking, changed);
  }

  /** Rows below a heading, cells joined by `|`. */
  async rows(title: string): Promise<string[]> {
    const file = new MarkdownFile(this.tracking, await this.read());
    const table = file.section(title)?.nodes.find((node) => node.type === "table");
    const text = (await this.read()).slice(
      table?.position?.start.offset ?? 0,
      table?.position?.end.offset ?? 0,
    );
    return text
      .split("\n")
      .slice(2)
      .map((line) =>
        line
          .slice(1, -1)
          .split(/(?<!\\)\|/)
          .map((cell) => cell.trim())
          .join("|"),
      );
  }
}

const TEST_STEPS = "Processus de Déploiement - Environnement de Test";
const STAGING_STEPS = "Processus de Déploiement - Environnement de Staging";

describe("the tracking document before any deployment", () => {
  it("asserts nothing", async () => {
    const desk = await Desk.open();
    expect(await desk.report({})).toEqual({ text: `wrote ${desk.tracking}`, gaps: [] });

    const text = await desk.read();
    expect(text).toContain(
      "**Date de dernière mise à jour :** 23 novembre 2026  \n**État global :** Planifié  \n**Environnement en cours :** N/A  \n**Prochaine étape :** Déploiement sur environnement de test\n",
    );
    expect(await desk.rows("Environnements")).toEqual([
      "Test|Non déployé|N/A|N/A|-",
      "Staging|Non déployé|N/A|N/A|-",
      "Production|Non déployé|N/A|N/A|-",
    ]);
    expect(new Set((await desk.rows(TEST_STEPS)).map((row) => row.slice(row.indexOf("|"))))).toEqual(
      new Set(["|Non commencé|-|-|-|-"]),
    );
    await expectFormatted(text);
  });

  it("has the headings, tables and rows of the user's document, in its order", async () => {
    const desk = await Desk.open();
    await desk.report({});

    const text = await desk.read();
    expect(text.match(/^#+ .*$/gm)).toEqual([
      "# Suivi de Déploiement TechnicIA MVP",
      "## Instructions d'utilisation",
      "## État Global du Déploiement",
      "## Environnements",
      "## Configuration du Serveur OVH",
      "### Informations du Serveur de Production",
      "### Firewall Configuration",
      "## Processus de Déploiement - Environnement de Test",
      "## Processus de Déploiement - Environnement de Staging",
      "## Processus de Déploiement - Environnement de Production",
      "## Configuration des Clés API",
      "## Problèmes Rencontrés",
      "## Maintenance et Mises à Jour Planifiées",
      "## Notes et Observations",
    ]);
    expect(
      text.match(/^\| [^|]+ \|.*\n\| ---/gm)?.map((head) => head.split("\n")[0]?.replace(/ +/g, " ")),
    ).toEqual([
      "| Environnement | Statut | URL | Serveur | Version |",
      "| Paramètre | Valeur |",
      "| Port | Service | Commentaire |",
      "| Étape | Statut | Date début | Date fin | Responsable | Commentaires |",
      "| Étape | Statut | Date début | Date fin | Responsable | Commentaires |",
      "| Étape | Statut | Date début | Date fin | Responsable | Commentaires |",
      "| Service | Environnement | Statut | Commentaires |",
      "| ID | Environnement | Description | Statut | Date identification | Date résolution | Solution |",
      "| Date | Type | Environnement | Description | Responsable | Statut |",
    ]);
    expect((await desk.rows(TEST_STEPS)).map((row) => row.split("|")[0])).toEqual([
      ...[
        "**Préparation du serveur**",
        "- Installation OS",
        "- Configuration Firewall",
        "- Installation Docker",
      ],
      ...["**Déploiement des services**", "- Clonage du repository", "- Configuration des clés API"],
      ...[
        "- Exécution du script de déploiement",
        "**Configuration de n8n**",
        "- Génération clé de chiffrement",
      ],
      ...["- Configuration variables d'environnement", "- Configuration HTTPS pour n8n"],
      ...["- Import des workflows", "- Configuration des credentials", "**Configuration HTTPS**"],
      ...["- Configuration DNS", "- Installation Certbot", "- Obtention certificats SSL"],
      ...["**Tests post-déploiement**", "- Tests fonctionnels", "- Tests des workflows n8n"],
      ...["- Tests de performance", "- Tests de sécurité", "**Configuration monitoring**"],
      ...["- Installation du script de monitoring", "- Configuration des alertes", "- Tests des alertes"],
    ]);
    expect((await desk.rows(STAGING_STEPS)).map((row) => row.split("|")[0])).toEqual([
      ...["**Préparation du serveur**", "**Déploiement des services**", "**Configuration de n8n**"],
      ...["**Configuration HTTPS**", "**Tests post-déploiement**", "**Configuration monitoring**"],
    ]);
    expect(
      (await desk.rows("Configuration des Clés API")).map((row) => row.split("|").slice(0, 3).join("|")),
    ).toEqual(
      [
        "Google Cloud (Document AI)",
        "Google Cloud (Vision AI)",
        "VoyageAI",
        "Anthropic (Claude)",
        "n8n Encryption Key",
      ].flatMap((api) => ["Test", "Staging", "Production"].map((name) => `${api}|${name}|Non configuré`)),
    );
  });
});

describe("the committed documents", () => {
  const folder = new URL("../../../docs/", import.meta.url).pathname;

  it("can be read, by people and by the commands", async () => {
    const tracking = await readFile(join(folder, "deployment-tracking.md"), "utf8");

    checkTracking("docs/deployment-tracking.md", tracking);
    await expectFormatted(tracking);
    await expect(listIncidents()).resolves.toBeInstanceOf(Array);
    await expectFormatted(await readFile(join(folder, "deployment-issues.md"), "utf8"));
  });
});

describe("the tracking document of a deployed environment", () => {
  it("takes dates from when the resources were made, and statuses from what proves them", async () => {
    const desk = await Desk.open();
    await desk.report({ test: {} });

    const rows = await desk.rows(TEST_STEPS);
    const day = "21 novembre 2026";
    expect(rows).toEqual(
      expect.arrayContaining([
        `**Préparation du serveur**|Complété|${day}|${day}|-|-`,
        `- Installation OS|Complété|${day}|${day}|-|Debian 12, clé SHA256:abc`,
        `- Configuration Firewall|Complété|${day}|${day}|-|OVH : ok ; serveur : chargé`,
        `**Déploiement des services**|En cours|${day}|-|-|-`,
        `- Clonage du repository|Non commencé|-|-|-|-`,
        `- Configuration des clés API|En cours|${day}|-|-|Google Document AI, Google Vision AI, VoyageAI ; reste Anthropic`,
        `- Exécution du script de déploiement|Complété|${day}|${day}|-|technicia-n8n, technicia-qdrant`,
        `- Import des workflows|Non commencé|-|-|-|-`,
        `- Tests fonctionnels|En cours|-|-|-|https://technicia.exemple.fr/healthz`,
        `- Tests de performance|Non commencé|-|-|-|-`,
      ]),
    );
    expect(await desk.rows("Environnements")).toEqual([
      "Test|Déployé|https://test.technicia.exemple.fr|vps-1a2b3c4d.vps.ovh.net|-",
      "Staging|Non déployé|N/A|N/A|-",
      "Production|Non déployé|N/A|N/A|-",
    ]);
    expect(await desk.read()).toContain("**Environnement en cours :** Test");
    expect(await desk.read()).toContain("**Prochaine étape :** Clonage du repository (Test)");
    await expectFormatted(await desk.read());
  });

  it("spans days, from the first resource of a step to its last", async () => {
    const resources = recordedState.deployment.resources.map((resource) => ({
      ...resource,
      created: /host-swarm$/.test(resource.urn)
        ? "2026-12-01T23:30:00Z"
        : /host-packages$/.test(resource.urn)
          ? "2026-11-30T10:00:00Z"
          : resource.created,
    }));
    const desk = await Desk.open();
    await desk.report({ test: { state: { deployment: { resources } } } });

    // The team's evening is past midnight in Paris.
    expect(await desk.rows(TEST_STEPS)).toContain(
      "- Installation Docker|Complété|21 novembre 2026|2 décembre 2026|-|docker.io 20.10 ; swarm actif",
    );
  });

  it("knows from the resources alone how far a first run came that never ended", async () => {
    const at = recordedState.deployment.resources.findIndex(({ urn }) => urn.endsWith("host-docker"));
    const state = { deployment: { resources: recordedState.deployment.resources.slice(0, at) } };
    const desk = await Desk.open();
    await desk.report({ test: { state, outputs: {} } });

    expect(await desk.rows("Environnements")).toContain("Test|En cours|N/A|N/A|-");
    expect(await desk.rows(TEST_STEPS)).toEqual(
      expect.arrayContaining([
        "- Installation OS|Complété|21 novembre 2026|21 novembre 2026|-|-",
        "- Installation Docker|En cours|21 novembre 2026|-|-|-",
        "- Obtention certificats SSL|Non commencé|-|-|-|-",
      ]),
    );
  });

  it("does not believe outputs whose resources are gone", async () => {
    const resources = recordedState.deployment.resources.filter(({ urn }) => !/certificate/.test(urn));
    const desk = await Desk.open();
    await desk.report({ test: { state: { deployment: { resources } } } });

    expect(await desk.rows(TEST_STEPS)).toContain("- Obtention certificats SSL|Non commencé|-|-|-|-");
  });

  it("tells the tests of the last verified release, and which release serves", async () => {
    const failed = release(3, {
      outcome: "rolled-back",
      restored: 2,
      verify: [
        check("functional-https"),
        check("performance-health", {
          title: "Tests de performance : /healthz",
          outcome: "failed",
          detail: "p95 4000 ms",
        }),
        check("security-tls"),
      ],
    });
    const desk = await Desk.open();
    const records = { ...noRecords, releases: [release(1), release(2), failed] };
    await desk.report({ test: { records } });

    expect(await desk.rows(TEST_STEPS)).toEqual(
      expect.arrayContaining([
        "- Clonage du repository|Complété|22 novembre 2026|22 novembre 2026|-|révision 0123456",
        "**Tests post-déploiement**|Bloqué|22 novembre 2026|-|-|-",
        "- Tests fonctionnels|Complété|22 novembre 2026|22 novembre 2026|-|mise en production nº 3 : 1 contrôle, sans échec",
        "- Tests des workflows n8n|En cours|22 novembre 2026|-|-|mise en production nº 2 : 1 contrôle, dont 1 non vérifié",
        "- Tests de performance|Bloqué|22 novembre 2026|-|-|mise en production nº 3 : 1 contrôle, en échec : Tests de performance : /healthz (p95 4000 ms)",
      ]),
    );
    expect((await desk.rows("Environnements"))[0]).toMatch(/\|nº 2 \(0123456\)$/);
    expect(await desk.read()).toContain("**État global :** Bloqué");

    const back = release(4, { kind: "rollback", restored: 1, reason: "lent" });
    await desk.report({ test: { records: { ...records, releases: [...records.releases, back] } } });
    expect((await desk.rows("Environnements"))[0]).toMatch(/\|nº 4 \(retour au nº 1\)$/);
  });

  it("shows the production server, its firewall and its keys", async () => {
    const desk = await Desk.open();
    const told = outputs("technicia.exemple.fr");
    const firewall = told.deploymentStatus.firewall.map((row) =>
      row.service === "SSH" ? { ...row, port: "2222/tcp" } : row,
    );
    await desk.report({
      prod: { outputs: { ...told, deploymentStatus: { ...told.deploymentStatus, firewall } } },
    });

    expect(await desk.rows("Informations du Serveur de Production")).toEqual([
      ...["Type de serveur|VPS", "Modèle|vps-2027-model2", "CPU|4 vCores", "RAM|8 GB", "Stockage|75 GB"],
      ...["OS|Debian 12", "Localisation|Region OpenStack: os-gra7", "IP|203.0.113.10 ; 2001:db8:113::10"],
      "Nom de domaine|technicia.exemple.fr",
    ]);
    expect((await desk.rows("Firewall Configuration"))[0]).toBe("2222/tcp|SSH|Accès administrateur");
    expect(await desk.rows("Configuration des Clés API")).toEqual(
      expect.arrayContaining([
        "VoyageAI|Production|Configuré|-",
        "VoyageAI|Test|Non configuré|-",
        "Anthropic (Claude)|Production|Non configuré|Facultatif",
        "n8n Encryption Key|Production|Configuré|Clé nécessaire pour le chiffrement des credentials n8n",
      ]),
    );
    await expectFormatted(await desk.read());
  });

  it("lists the steps of staging and production once they are there, and keeps them after", async () => {
    const desk = await Desk.open();
    await desk.report({ staging: {} });
    expect(await desk.rows(STAGING_STEPS)).toHaveLength(27);

    await desk.report({});
    const rows = await desk.rows(STAGING_STEPS);
    expect(rows).toHaveLength(27);
    expect(rows.every((row) => row.includes("|Non commencé|-|-|"))).toBe(true);
    expect(await desk.rows("Environnements")).toContain("Staging|Non déployé|N/A|N/A|-");
  });
});

describe("a second report", () => {
  it("changes no byte when nothing changed, a day later too", async () => {
    const desk = await Desk.open();
    const stacks = { test: { records: { ...noRecords, releases: [release(1)] } } };
    await desk.report(stacks);
    const first = await desk.read();

    expect((await desk.report(stacks, tomorrow)).text).toBe(`${desk.tracking} is up to date`);
    expect(await desk.read()).toBe(first);
    await desk.report({}, tomorrow);
    expect(await desk.read()).toContain("**Date de dernière mise à jour :** 24 novembre 2026");
  });

  it("keeps what people wrote: people, remarks, notes, rows and paragraphs", async () => {
    const desk = await Desk.open();
    await desk.report({ test: {} });
    await desk.edit((text) =>
      text
        .replace(
          /^(\| - Installation OS +\|.*\|) -( +)\| Debian 12[^|]*\|$/m,
          "$1 Ada *L.* | vu par `Ada` \\| ok |",
        )
        .replace(/^(\| - Import des workflows.*)\|$/m, "$1|\n| - Café | En cours | - | - | Bob | chaud |")
        .replace(
          /^\| - +\| - +\| - +\| - +\| - +\| - +\|$/m,
          "| 1 décembre 2026 | Mise à jour | Test | n8n 2.42 | Ada | Planifié |",
        )
        .replace("## Problèmes Rencontrés", "Un paragraphe à nous.\n\n## Problèmes Rencontrés")
        .replace("- Les quotas d'API", "- Une note à nous\n- Les quotas d'API"),
    );
    await desk.report({ test: { records: { ...noRecords, releases: [release(1)] } } }, tomorrow);

    const rows = await desk.rows(TEST_STEPS);
    expect(rows).toContain(
      "- Installation OS|Complété|21 novembre 2026|21 novembre 2026|Ada _L._|vu par `Ada` \\| ok",
    );
    expect(rows[rows.findIndex((row) => row.startsWith("- Import des workflows")) + 1]).toBe(
      "- Café|En cours|-|-|Bob|chaud",
    );
    expect(await desk.rows("Maintenance et Mises à Jour Planifiées")).toEqual([
      "1 décembre 2026|Mise à jour|Test|n8n 2.42|Ada|Planifié",
    ]);
    const text = await desk.read();
    expect(text).toContain("Un paragraphe à nous.\n\n## Problèmes Rencontrés");
    expect(text).toContain("- Une note à nous\n- Les quotas d'API");
    await expectFormatted(text);
    await desk.report({ test: { records: { ...noRecords, releases: [release(1)] } } }, tomorrow);
    expect(await desk.read()).toBe(text);
  });

  it("renews a remark of its own, and leaves one that a person touched", async () => {
    const desk = await Desk.open();
    await desk.report({ test: {} });
    await desk.edit((text) =>
      text.replace("docker.io 20.10 ; swarm actif", "docker.io 20.10 ; swarm actif (à suivre)"),
    );
    const told = outputs();
    const phases = told.deploymentStatus.phases.map((phase) => ({
      ...phase,
      steps: phase.steps.map((step) => ({
        ...step,
        proof: step.proof.replace("Debian 12", "Debian 13").replace("20.10", "29"),
      })),
    }));
    await desk.report({
      test: { outputs: { ...told, deploymentStatus: { ...told.deploymentStatus, phases } } },
    });

    const text = await desk.read();
    expect(text).toContain("Debian 13, clé SHA256:abc");
    expect(text).not.toContain("Debian 12, clé");
    expect(text).toContain("docker.io 20.10 ; swarm actif (à suivre)");
  });

  it("takes back what no longer is: a destroyed environment has no server, no version, no dates", async () => {
    const desk = await Desk.open();
    await desk.report({});
    const before = await desk.read();
    await desk.report({ test: { records: { ...noRecords, releases: [release(1)] } } });
    await desk.report({});

    expect(await desk.read()).toBe(before);
  });

  it("starts from the user's own document, whose placeholders stay until a fact replaces them", async () => {
    const desk = await Desk.open();
    await desk.report({});
    await desk.edit((text) =>
      text
        .replace(
          /^\| Test +\| Non déployé.*$/m,
          "| Test | Non déployé | https://test-technicia.exemple.fr | VPS-TEST-XYZ | - |",
        )
        .replace(/^\| Modèle.*$/m, "| Modèle | VPS-SSD-4 |")
        .replace(/^<!-- empreintes.*$/m, "")
        .replace(
          /^\| (- |\*\*)(Configuration de n8n|Génération|Import|Configuration (variables|HTTPS pour|des cred)|Tests des workflows).*\n/gm,
          "",
        ),
    );
    await desk.report({}, tomorrow);
    expect((await desk.rows("Environnements"))[0]).toBe(
      "Test|Non déployé|https://test-technicia.exemple.fr|VPS-TEST-XYZ|-",
    );
    expect(await desk.rows("Informations du Serveur de Production")).toContain("Modèle|VPS-SSD-4");
    expect(await desk.rows(TEST_STEPS)).toHaveLength(27);

    await desk.report({ test: {} }, tomorrow);
    expect((await desk.rows("Environnements"))[0]).toMatch(/^Test\|Déployé\|https:\/\/test\.technicia/);
  });
});

describe("a stack that cannot be read", () => {
  const locked = "PULUMI_CONFIG_PASSPHRASE: expected the passphrase of stack prod, got none or another";

  it("is told in its cells and by the command, and people's cells stay", async () => {
    const desk = await Desk.open();
    await desk.report({ test: {} });
    await desk.edit((text) =>
      text.replace(/^(\| - Installation OS +\|.*\|) -( +)\| Debian/m, "$1 Ada | Debian"),
    );

    const { gaps } = await desk.report({ test: { failure: locked } });

    expect(gaps).toEqual([`test: could not be read: ${locked}`]);
    expect((await desk.rows("Environnements"))[0]).toBe(
      "Test|Inconnu (état illisible)|https://test.technicia.exemple.fr|vps-1a2b3c4d.vps.ovh.net|-",
    );
    expect(await desk.rows(TEST_STEPS)).toContain(
      "- Installation OS|Inconnu|-|-|Ada|Debian 12, clé SHA256:abc",
    );
    expect(await desk.rows("Configuration des Clés API")).toContain("VoyageAI|Test|Inconnu|-");
    expect(await desk.read()).toContain("**État global :** Inconnu (état illisible : Test)");
    await expectFormatted(await desk.read());
  });

  it("is one whose outputs another version wrote, too", async () => {
    const desk = await Desk.open();
    const { gaps } = await desk.report({ prod: { outputs: { deploymentStatus: "[secret]" } } });

    expect(gaps.join("\n")).toMatch(/^prod: could not be read: prod: expected the outputs of this version/);
  });

  it("is not one whose server does not answer: the state still proves the steps", async () => {
    const desk = await Desk.open();
    const records = new UserError("debian@203.0.113.10:22: expected an answer, got none");
    const { gaps } = await desk.report({ test: { records } });

    expect(gaps).toEqual([
      "test: releases and history could not be read: debian@203.0.113.10:22: expected an answer, got none",
    ]);
    expect(await desk.rows(TEST_STEPS)).toContain(
      "- Installation OS|Complété|21 novembre 2026|21 novembre 2026|-|Debian 12, clé SHA256:abc",
    );
  });

  it("keeps the version that was seen when only its server stopped answering", async () => {
    const desk = await Desk.open();
    await desk.report({ test: { records: { ...noRecords, releases: [release(1)] } } });
    await desk.report({ test: { records: new UserError("no answer") } });

    expect((await desk.rows("Environnements"))[0]).toMatch(/\|nº 1 \(0123456\)$/);
  });

  it("has records that cannot be read named one by one", async () => {
    const desk = await Desk.open();
    const records = {
      ...noRecords,
      corrupt: ["/var/lib/technicia/releases/000002.json: expected a release"],
    };

    expect((await desk.report({ test: { records } })).gaps).toEqual([
      "test: /var/lib/technicia/releases/000002.json: expected a release",
    ]);
  });
});

describe("incidents in the tracking document", () => {
  it("are listed as their own document has them, and people's words stay", async () => {
    const desk = await Desk.open();
    const incident: NewIncident = {
      stack: "prod",
      title: "Délai | dépassé",
      category: "Réseau",
      priority: "Haute",
      impact: "x",
      description: "x",
      symptoms: ["x"],
      diagnostics: [],
    };
    await openIncident(incident, { path: desk.issues, now });
    await desk.report({});
    expect(await desk.rows("Problèmes Rencontrés")).toEqual([
      "DEPLOY-001|Production|Délai \\| dépassé|Ouvert|23 novembre 2026|-|-",
    ]);

    await desk.edit((text) => text.replace("Délai \\| dépassé", "Trop lent"));
    const found = { cause: "x", solution: "Câble changé.", prevention: ["x"], lessons: ["x"] };
    await resolveIncident("DEPLOY-001", found, { path: desk.issues, now: tomorrow });
    await desk.report({});
    expect(await desk.rows("Problèmes Rencontrés")).toEqual([
      "DEPLOY-001|Production|Trop lent|Résolu|23 novembre 2026|24 novembre 2026|Câble changé.",
    ]);
  });
});

describe("a document broken by hand", () => {
  it.each([
    ["a column lost", /^\| Étape( +)\| Statut /m, "| Étape ", /:\d+: expected a row of the table/],
    [
      "a column renamed",
      "| Étape ",
      "| Etape ",
      /expected the columns Étape \| Statut \| .*, got Etape \| Statut/,
    ],
    [
      "a row with a cell too many",
      /^(\| - Installation OS.*)$/m,
      "$1 et | plus |",
      /expected 6 cells, got 8/,
    ],
    [
      "a row with a cell too few",
      /^\| - Installation OS.*$/m,
      "| - Installation OS | Complété |",
      /expected 6 cells, got 2/,
    ],
    ["an empty line inside", /^(\| - Installation OS)/m, "\n$1", /expected a row of the table of "Processus/],
    ["text right below", /^(\| 6333.*)$/m, "$1\nSuite", /expected 3 cells, got 1/],
    [
      "a row twice",
      /^(\| - Installation OS.*)$/m,
      "$1\n$1",
      /expected one row "Installation OS" in the table/,
    ],
    [
      "a heading gone",
      "## Environnements",
      "## Environnement",
      /expected a heading "Environnements", got none/,
    ],
    [
      "a heading twice",
      "## Notes",
      "## Environnements\n\n## Notes",
      /expected one heading "Environnements", got another/,
    ],
    ["a table gone", /^\| Date +\|[^]*?\n\n/m, "", /expected a table \(Date \| Type/],
    ["a field gone", /^\*\*État global.*$/m, "État global", /expected \*\*État global :\*\*/],
  ])("fails with its line, and is not touched: %s", async (_, from, to, told) => {
    const desk = await Desk.open();
    await desk.report({});
    await desk.edit((text) => text.replace(from, to));
    const broken = await desk.read();

    const report = desk.report({ test: {} });
    await expect(report).rejects.toThrow(told);
    await expect(report).rejects.toThrow(/^.*deployment-tracking\.md:\d+: /);
    await expect(report).rejects.toBeInstanceOf(UserError);
    expect(await desk.read()).toBe(broken);
    expect(await readdir(desk.folder)).toEqual(["deployment-tracking.md"]);
  });

  it("is told before anything is asked of a stack", async () => {
    const desk = await Desk.open();
    await desk.report({});
    await desk.edit((text) => text.replace("## Environnements", "## X"));
    const pulumi = () => Promise.reject(new Error("asked"));

    const request = { tracking: desk.tracking, issues: desk.issues, now };
    await expect(
      writeReport(request, { pulumi, readRecords: () => Promise.reject(new Error("asked")) }),
    ).rejects.toThrow(/expected a heading "Environnements"/);
  });

  it("fails with every problem at once", async () => {
    const desk = await Desk.open();
    await desk.report({});
    await desk.edit((text) => text.replace("## Environnements", "## X").replace("| Port ", "| Porte "));

    await expect(desk.report({})).rejects.toThrow(/"Environnements"[^]*\n[^]*expected the columns Port/);
  });
});

describe("describePhases", () => {
  it("knows the same phases and steps as the outputs", () => {
    const told = outputs().deploymentStatus.phases;
    const known = describePhases({ stack: "test", name: "Test", state: "absent" });

    expect(known.map(({ name, steps }) => [name, steps.map((step) => step.name)])).toEqual(
      told.map(({ name, steps }) => [name, steps.map((step) => step.name)]),
    );
  });
});
