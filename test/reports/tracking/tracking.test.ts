import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { describe, expect, it } from "vitest";

import type { AuditEvent } from "../../../common/release.ts";
import { listIncidents } from "../../../reports/incidents/book.ts";
import { describePhases } from "../../../reports/tracking/steps.ts";
import { checkTracking } from "../../../reports/tracking/tracking.ts";
import { Documents, STAGING_STEPS, TEST_STEPS } from "../tracking-file.ts";
import { expectFormatted } from "../temporary-folder.ts";
import { check, noRecords, outputs, recordedState, release, wellVerified } from "../facts.ts";

describe("the tracking document before any deployment", () => {
  it("asserts nothing", async () => {
    const documents = await Documents.open();
    expect(await documents.report({})).toEqual({ text: `wrote ${documents.tracking}`, gaps: [] });

    const text = await documents.read();
    expect(text).toContain(
      "**Date de dernière mise à jour :** 23 novembre 2026  \n**État global :** Planifié  \n**Environnement en cours :** N/A  \n**Prochaine étape :** Déploiement sur environnement de test\n",
    );
    expect(await documents.rows("Environnements")).toEqual([
      "Test|Non déployé|N/A|N/A|-",
      "Staging|Non déployé|N/A|N/A|-",
      "Production|Non déployé|N/A|N/A|-",
    ]);
    expect(new Set((await documents.rows(TEST_STEPS)).map((row) => row.slice(row.indexOf("|"))))).toEqual(
      new Set(["|Non commencé|-|-|-|-"]),
    );
    await expectFormatted(text);
  });

  it("has the headings, tables and rows of the user's document, in its order", async () => {
    const documents = await Documents.open();
    await documents.report({});

    const text = await documents.read();
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
    expect((await documents.rows(TEST_STEPS)).map((row) => row.split("|")[0])).toEqual([
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
    expect((await documents.rows(STAGING_STEPS)).map((row) => row.split("|")[0])).toEqual([
      ...["**Préparation du serveur**", "**Déploiement des services**", "**Configuration de n8n**"],
      ...["**Configuration HTTPS**", "**Tests post-déploiement**", "**Configuration monitoring**"],
    ]);
    expect(
      (await documents.rows("Configuration des Clés API")).map((row) => row.split("|").slice(0, 3).join("|")),
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

    checkTracking({ path: "docs/deployment-tracking.md", text: tracking });
    await expectFormatted(tracking);
    await expect(listIncidents()).resolves.toBeInstanceOf(Array);
    await expectFormatted(await readFile(join(folder, "deployment-issues.md"), "utf8"));
  });
});

describe("the tracking document of a deployed environment", () => {
  it("takes dates from the creation of resources, and statuses from what proves them", async () => {
    const documents = await Documents.open();
    await documents.report({ test: {} });

    const rows = await documents.rows(TEST_STEPS);
    const day = "21 novembre 2026";
    expect(rows).toEqual(
      expect.arrayContaining([
        `**Préparation du serveur**|Complété|${day}|${day}|-|-`,
        `- Installation OS|Complété|${day}|${day}|-|Debian 12, clé SHA256:abc`,
        `- Configuration Firewall|Complété|${day}|${day}|-|OVH : ok ; serveur : table chargée conforme au fichier`,
        `- Obtention certificats SSL|Complété|${day}|${day}|-|valable pour technicia.exemple.fr, ecdsa, émis par https://acme-v02.api.letsencrypt.org/directory`,
        `**Déploiement des services**|En cours|${day}|-|-|-`,
        `- Clonage du repository|Non commencé|-|-|-|-`,
        `- Configuration des clés API|En cours|${day}|-|-|Google Document AI, Google Vision AI, VoyageAI ; reste Anthropic`,
        `- Exécution du script de déploiement|Complété|${day}|${day}|-|technicia-n8n, technicia-qdrant`,
        `- Import des workflows|Non commencé|-|-|-|-`,
        `- Tests fonctionnels|En cours|-|-|-|https://technicia.exemple.fr/healthz`,
        `- Tests de performance|Non commencé|-|-|-|-`,
      ]),
    );
    expect(await documents.rows("Environnements")).toEqual([
      "Test|Déployé|https://test.technicia.exemple.fr|vps-1a2b3c4d.vps.ovh.net|-",
      "Staging|Non déployé|N/A|N/A|-",
      "Production|Non déployé|N/A|N/A|-",
    ]);
    expect(await documents.read()).toContain("**Environnement en cours :** Test");
    expect(await documents.read()).toContain("**Prochaine étape :** Clonage du repository (Test)");
    await expectFormatted(await documents.read());
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
    const documents = await Documents.open();
    await documents.report({ test: { state: { deployment: { resources } } } });

    // The team's evening is past midnight in Paris.
    expect(await documents.rows(TEST_STEPS)).toContain(
      "- Installation Docker|Complété|21 novembre 2026|2 décembre 2026|-|docker.io 20.10 ; swarm actif",
    );
  });

  it("shows the progress of an unfinished first run from the resources alone", async () => {
    const at = recordedState.deployment.resources.findIndex(({ urn }) => urn.endsWith("host-docker"));
    const state = { deployment: { resources: recordedState.deployment.resources.slice(0, at) } };
    const documents = await Documents.open();
    await documents.report({ test: { state, outputs: {} } });

    expect(await documents.rows("Environnements")).toContain("Test|En cours|N/A|N/A|-");
    expect(await documents.rows(TEST_STEPS)).toEqual(
      expect.arrayContaining([
        "- Installation OS|Complété|21 novembre 2026|21 novembre 2026|-|-",
        "- Installation Docker|En cours|21 novembre 2026|-|-|-",
        "- Obtention certificats SSL|Non commencé|-|-|-|-",
      ]),
    );
  });

  it("takes the test of the alerts from the audit: the last one, whether everything arrived or not", async () => {
    const event = (day: number, action: "alert-test" | "alert", detail: string) => ({
      ...{ at: `2026-11-${day}T09:00:00.000Z`, who: "Ada", action, reason: "", detail },
    });
    const passed = event(20, "alert-test", "test des alertes : team reçu, slack reçu");
    const lost = event(21, "alert", "test des alertes : team reçu, slack non reçu");
    const other = event(22, "alert", "alerte DiskLow prise en charge");
    const rowWith = async (history: readonly AuditEvent[]) => {
      const documents = await Documents.open();
      await documents.report({ test: { records: { ...noRecords, history } } });
      return (await documents.rows(TEST_STEPS)).find((row) => row.startsWith("- Tests des alertes"));
    };

    expect(await rowWith([other])).toBe("- Tests des alertes|Non commencé|-|-|-|-");
    expect(await rowWith([passed, other])).toBe(
      "- Tests des alertes|Complété|20 novembre 2026|20 novembre 2026|-|team reçu, slack reçu",
    );
    expect(await rowWith([passed, lost, other])).toBe(
      "- Tests des alertes|Bloqué|21 novembre 2026|-|-|team reçu, slack non reçu",
    );
  });

  it("ignores outputs whose resources are gone", async () => {
    const resources = recordedState.deployment.resources.filter(({ urn }) => !/certificate/.test(urn));
    const documents = await Documents.open();
    await documents.report({ test: { state: { deployment: { resources } } } });

    expect(await documents.rows(TEST_STEPS)).toContain("- Obtention certificats SSL|Non commencé|-|-|-|-");
  });

  describe("after a release whose verification failed", () => {
    const failing = [
      check("functional-https"),
      check("performance-health", {
        title: "Tests de performance : /healthz",
        outcome: "failed",
        detail: "p95 4000 ms",
      }),
      check("security-tls"),
    ];

    it("shows the failed checks when no rollback restored another release", async () => {
      const failed = release(3, { outcome: "failed", verify: failing });
      const documents = await Documents.open();
      const records = { ...noRecords, releases: [release(1), release(2), failed] };
      await documents.report({ test: { records } });

      expect(await documents.rows(TEST_STEPS)).toEqual(
        expect.arrayContaining([
          "- Clonage du repository|Complété|22 novembre 2026|22 novembre 2026|-|révision 0123456",
          "**Tests post-déploiement**|Bloqué|22 novembre 2026|-|-|-",
          "- Tests fonctionnels|Complété|22 novembre 2026|22 novembre 2026|-|mise en production nº 3 : 1 contrôle, sans échec",
          "- Tests des workflows n8n|En cours|22 novembre 2026|-|-|mise en production nº 2 : 1 contrôle, dont 1 non vérifié",
          "- Tests de performance|Bloqué|22 novembre 2026|-|-|mise en production nº 3 : 1 contrôle, en échec : Tests de performance : /healthz (p95 4000 ms)",
        ]),
      );
      expect(await documents.read()).toContain("**État global :** Bloqué");
    });

    it("shows the checks of the release that an automatic rollback restored", async () => {
      const rolledBack = release(3, {
        outcome: "rolled-back",
        restored: 2,
        verify: failing,
        restoredVerify: [...wellVerified, check("rollback-time", { outcome: "failed" })],
      });
      const documents = await Documents.open();
      const records = { ...noRecords, releases: [release(1), release(2), rolledBack] };
      await documents.report({ test: { records } });

      expect(await documents.rows(TEST_STEPS)).toEqual(
        expect.arrayContaining([
          "**Tests post-déploiement**|En cours|22 novembre 2026|-|-|-",
          "- Tests fonctionnels|Complété|22 novembre 2026|22 novembre 2026|-|mise en production nº 2 : 1 contrôle, sans échec",
          "- Tests des workflows n8n|En cours|22 novembre 2026|-|-|mise en production nº 2 : 1 contrôle, dont 1 non vérifié",
          "- Tests de performance|Complété|22 novembre 2026|22 novembre 2026|-|mise en production nº 2 : 1 contrôle, sans échec",
        ]),
      );
      expect(await documents.read()).toContain("**État global :** En cours");
    });
  });

  it("names the release that runs", async () => {
    const documents = await Documents.open();
    const failed = release(3, { outcome: "rolled-back", restored: 2 });
    const records = { ...noRecords, releases: [release(1), release(2), failed] };
    await documents.report({ test: { records } });
    expect((await documents.rows("Environnements"))[0]).toMatch(/\|nº 2 \(0123456\)$/);

    const back = release(4, { kind: "rollback", restored: 1, reason: "lent" });
    await documents.report({ test: { records: { ...records, releases: [...records.releases, back] } } });
    expect((await documents.rows("Environnements"))[0]).toMatch(/\|nº 4 \(retour au nº 1\)$/);
  });

  it("shows the production server, its firewall and its keys", async () => {
    const documents = await Documents.open();
    const told = outputs("technicia.exemple.fr");
    const firewall = told.deploymentStatus.firewall.map((row) =>
      row.service === "SSH" ? { ...row, port: "2222/tcp" } : row,
    );
    await documents.report({
      prod: { outputs: { ...told, deploymentStatus: { ...told.deploymentStatus, firewall } } },
    });

    expect(await documents.rows("Informations du Serveur de Production")).toEqual([
      ...["Type de serveur|VPS", "Modèle|vps-2027-model2", "CPU|4 vCores", "RAM|8 GB", "Stockage|75 GB"],
      ...["OS|Debian 12", "Localisation|Region OpenStack: os-gra7", "IP|203.0.113.10 ; 2001:db8:113::10"],
      "Nom de domaine|technicia.exemple.fr",
    ]);
    expect((await documents.rows("Firewall Configuration"))[0]).toBe("2222/tcp|SSH|Accès administrateur");
    expect(await documents.rows("Configuration des Clés API")).toEqual(
      expect.arrayContaining([
        "VoyageAI|Production|Configuré|-",
        "VoyageAI|Test|Non configuré|-",
        "Anthropic (Claude)|Production|Non configuré|Facultatif",
        "n8n Encryption Key|Production|Configuré|Clé nécessaire pour le chiffrement des credentials n8n",
      ]),
    );
    await expectFormatted(await documents.read());
  });

  it("lists the steps of staging and production once they are deployed, and keeps them", async () => {
    const documents = await Documents.open();
    await documents.report({ staging: {} });
    expect(await documents.rows(STAGING_STEPS)).toHaveLength(27);

    await documents.report({});
    const rows = await documents.rows(STAGING_STEPS);
    expect(rows).toHaveLength(27);
    expect(rows.every((row) => row.includes("|Non commencé|-|-|"))).toBe(true);
    expect(await documents.rows("Environnements")).toContain("Staging|Non déployé|N/A|N/A|-");
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
