import { describe, expect, it } from "vitest";

import type { AuditEvent } from "../../../common/release.ts";
import { openIncident, resolveIncident, type NewIncident } from "../../../reports/incidents/book.ts";
import { UserError } from "../../../common/user-error.ts";
import { Documents, now, TEST_STEPS, tomorrow } from "../tracking-file.ts";
import { expectFormatted } from "../temporary-folder.ts";
import { noRecords, outputs, release } from "../facts.ts";

describe("a second report", () => {
  it("changes no byte when nothing changed, a day later too", async () => {
    const documents = await Documents.open();
    const stacks = { test: { records: { ...noRecords, releases: [release(1)] } } };
    await documents.report(stacks);
    const first = await documents.read();

    expect((await documents.report(stacks, tomorrow)).text).toBe(`${documents.tracking} is up to date`);
    expect(await documents.read()).toBe(first);
    await documents.report({}, tomorrow);
    expect(await documents.read()).toContain("**Date de dernière mise à jour :** 24 novembre 2026");
  });

  it("keeps what people wrote: people, remarks, notes, rows and paragraphs", async () => {
    const documents = await Documents.open();
    await documents.report({ test: {} });
    await documents.edit((text) =>
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
    await documents.report({ test: { records: { ...noRecords, releases: [release(1)] } } }, tomorrow);

    const rows = await documents.rows(TEST_STEPS);
    expect(rows).toContain(
      "- Installation OS|Complété|21 novembre 2026|21 novembre 2026|Ada _L._|vu par `Ada` \\| ok",
    );
    expect(rows[rows.findIndex((row) => row.startsWith("- Import des workflows")) + 1]).toBe(
      "- Café|En cours|-|-|Bob|chaud",
    );
    expect(await documents.rows("Maintenance et Mises à Jour Planifiées")).toContain(
      "1 décembre 2026|Mise à jour|Test|n8n 2.42|Ada|Planifié",
    );
    const text = await documents.read();
    expect(text).toContain("Un paragraphe à nous.\n\n## Problèmes Rencontrés");
    expect(text).toContain("- Une note à nous\n- Les quotas d'API");
    await expectFormatted(text);
    await documents.report({ test: { records: { ...noRecords, releases: [release(1)] } } }, tomorrow);
    expect(await documents.read()).toBe(text);
  });

  it("keeps people's rows among those about backups, also two of one kind", async () => {
    const documents = await Documents.open();
    const drill = { set: "0123456789abcdef", at: "2026-11-22T02:30:00Z", took: 110, findings: [] };
    const backups = { last: { time: "2026-11-23T09:00:00Z" }, drills: [{ ...drill, passed: true }] };
    await documents.report({ test: { records: { ...noRecords, backups } } });
    const title = "Maintenance et Mises à Jour Planifiées";
    const ours = [
      "23 novembre 2026|Sauvegarde|Test|dernier jeu, hors du serveur|-|Complété",
      "22 novembre 2026|Test de reprise|Test|jeu 01234567 restauré à l'essai en 1 min 50 s, comptes égaux|-|Complété",
    ];
    expect(await documents.rows(title)).toEqual(ours);
    const theirs = [1, 2].map(
      (day) => `| ${day} décembre 2026 | Mise à jour | Test | n8n | Ada | Planifié |`,
    );
    await documents.edit((text) =>
      text
        .replace(/^(\| 23 novembre 2026 .*)\| - +(\| Complété.*)$/m, "$1| Bob $2")
        .replace(/^(\| 22 novembre 2026 +\| Test de reprise.*)$/m, `$1\n${theirs.join("\n")}`),
    );

    const failed = { ...drill, passed: false, findings: ["qdrant : 9 points"], at: "2026-11-24T02:30:00Z" };
    const failure = { at: "2026-11-24T10:00:00Z", text: "pas de place" };
    const records = { ...noRecords, backups: { ...backups, failure, drills: [failed] } };
    await documents.report({ test: { records } }, tomorrow);

    expect(await documents.rows(title)).toEqual([
      "23 novembre 2026|Sauvegarde|Test|dernier essai échoué : pas de place|Bob|Bloqué",
      "24 novembre 2026|Test de reprise|Test|jeu 01234567 restauré à l'essai en 1 min 50 s, échoué : qdrant : 9 points|-|Bloqué",
      "1 décembre 2026|Mise à jour|Test|n8n|Ada|Planifié",
      "2 décembre 2026|Mise à jour|Test|n8n|Ada|Planifié",
    ]);
    await expectFormatted(await documents.read());
  });

  it("says what has not been done yet of backups that are set up", async () => {
    const documents = await Documents.open();
    await documents.report({ test: { records: { ...noRecords, backups: { drills: [] } } } });

    expect(await documents.rows("Maintenance et Mises à Jour Planifiées")).toEqual([
      "-|Sauvegarde|Test|-|-|Non commencé",
      "-|Test de reprise|Test|-|-|Non commencé",
    ]);
  });

  it("plans the recurring tasks from the first release on, and keeps who is responsible", async () => {
    const documents = await Documents.open();
    const title = "Maintenance et Mises à Jour Planifiées";
    const first = release(1, { startedAt: "2026-11-20T08:00:00.000Z" });
    await documents.report({ test: { records: { ...noRecords, releases: [first] } } });

    const rows = await documents.rows(title);
    expect(rows).toHaveLength(11);
    expect(rows[0]).toBe(
      "21 novembre 2026|Tâche quotidienne : vérification des logs|Test|chaque jour ; jamais faite ; npm run tasks -- test|-|Planifié",
    );
    expect(rows.map((row) => row.split("|")[1])).toContain("Tâche mensuelle : revue des seuils d'alerte");

    const theirs = "| 1 décembre 2026 | Mise à jour documentation | Test | n8n | Ada | Planifié |";
    await documents.edit((text) =>
      text.replace(
        /^(\| 21 novembre 2026 +\| Tâche quotidienne : vérification des logs .*)\| - +(\| Planifié.*)$/m,
        `$1| Bob $2\n${theirs}`,
      ),
    );
    const done: AuditEvent = {
      ...{ at: "2026-11-23T09:00:00.000Z", who: "bob@laptop", action: "task", reason: "" },
      detail: "tâche faite : vérification des logs (logs)",
    };
    await documents.report({ test: { records: { ...noRecords, releases: [first], history: [done] } } });

    expect((await documents.rows(title)).slice(0, 2)).toEqual([
      "24 novembre 2026|Tâche quotidienne : vérification des logs|Test|chaque jour ; dernière fois le 23 novembre 2026 ; npm run tasks -- test|Bob|Planifié",
      "1 décembre 2026|Mise à jour documentation|Test|n8n|Ada|Planifié",
    ]);
    await expectFormatted(await documents.read());

    // Once the environment is destroyed, only what people wrote into is left.
    await documents.report({});
    expect((await documents.rows(title)).map((row) => row.split("|").slice(1, 5).join("|"))).toEqual([
      "Tâche quotidienne : vérification des logs|Test|chaque jour ; dernière fois le 23 novembre 2026 ; npm run tasks -- test|Bob",
      "Mise à jour documentation|Test|n8n|Ada",
    ]);
  });

  it("updates a remark of its own, and leaves one that a person edited", async () => {
    const documents = await Documents.open();
    await documents.report({ test: {} });
    await documents.edit((text) =>
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
    await documents.report({
      test: { outputs: { ...told, deploymentStatus: { ...told.deploymentStatus, phases } } },
    });

    const text = await documents.read();
    expect(text).toContain("Debian 13, clé SHA256:abc");
    expect(text).not.toContain("Debian 12, clé");
    expect(text).toContain("docker.io 20.10 ; swarm actif (à suivre)");
  });

  it("removes server, version and dates of a destroyed environment", async () => {
    const documents = await Documents.open();
    await documents.report({});
    const before = await documents.read();
    await documents.report({ test: { records: { ...noRecords, releases: [release(1)] } } });
    await documents.report({});

    expect(await documents.read()).toBe(before);
  });

  it("starts from the user's own document, whose placeholders stay until a fact replaces them", async () => {
    const documents = await Documents.open();
    await documents.report({});
    await documents.edit((text) =>
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
    await documents.report({}, tomorrow);
    expect((await documents.rows("Environnements"))[0]).toBe(
      "Test|Non déployé|https://test-technicia.exemple.fr|VPS-TEST-XYZ|-",
    );
    expect(await documents.rows("Informations du Serveur de Production")).toContain("Modèle|VPS-SSD-4");
    expect(await documents.rows(TEST_STEPS)).toHaveLength(27);

    await documents.report({ test: {} }, tomorrow);
    expect((await documents.rows("Environnements"))[0]).toMatch(/^Test\|Déployé\|https:\/\/test\.technicia/);
  });
});

describe("a stack that cannot be read", () => {
  const locked =
    "PULUMI_CONFIG_PASSPHRASE: not the passphrase of stack test; export the right one, then run this again";

  it("is reported in its cells and by the command, and people's cells stay", async () => {
    const documents = await Documents.open();
    await documents.report({ test: {} });
    await documents.edit((text) =>
      text.replace(/^(\| - Installation OS +\|.*\|) -( +)\| Debian/m, "$1 Ada | Debian"),
    );

    const { gaps } = await documents.report({ test: { failure: "error: passphrase must be set" } });

    expect(gaps).toEqual([`test: could not be read: ${locked}`]);
    expect((await documents.rows("Environnements"))[0]).toBe(
      "Test|Inconnu (état illisible)|https://test.technicia.exemple.fr|vps-1a2b3c4d.vps.ovh.net|-",
    );
    expect(await documents.rows(TEST_STEPS)).toContain(
      "- Installation OS|Inconnu|-|-|Ada|Debian 12, clé SHA256:abc",
    );
    expect(await documents.rows("Configuration des Clés API")).toContain("VoyageAI|Test|Inconnu|-");
    expect(await documents.read()).toContain("**État global :** Inconnu (état illisible : Test)");
    await expectFormatted(await documents.read());
  });

  it("includes a stack whose outputs another version wrote", async () => {
    const documents = await Documents.open();
    const { gaps } = await documents.report({ prod: { outputs: { deploymentStatus: "[secret]" } } });

    expect(gaps.join("\n")).toMatch(
      /^prod: could not be read: prod: another version of the program wrote the outputs/,
    );
  });

  it("does not include a stack whose server does not answer: its state still proves the steps", async () => {
    const documents = await Documents.open();
    const records = new UserError("debian@203.0.113.10:22: expected an answer, got none");
    const { gaps } = await documents.report({ test: { records } });

    expect(gaps).toEqual([
      "test: releases and history could not be read: debian@203.0.113.10:22: expected an answer, got none",
    ]);
    expect(await documents.rows(TEST_STEPS)).toContain(
      "- Installation OS|Complété|21 novembre 2026|21 novembre 2026|-|Debian 12, clé SHA256:abc",
    );
  });

  it("keeps the last known version when only its server does not answer", async () => {
    const documents = await Documents.open();
    await documents.report({ test: { records: { ...noRecords, releases: [release(1)] } } });
    await documents.report({ test: { records: new UserError("no answer") } });

    expect((await documents.rows("Environnements"))[0]).toMatch(/\|nº 1 \(0123456\)$/);
  });

  it("lists its unreadable records one by one", async () => {
    const documents = await Documents.open();
    const records = {
      ...noRecords,
      corrupt: ["/var/lib/technicia/releases/000002.json: expected a release"],
    };

    expect((await documents.report({ test: { records } })).gaps).toEqual([
      "test: /var/lib/technicia/releases/000002.json: expected a release",
    ]);
  });
});

describe("incidents in the tracking document", () => {
  it("are listed as their own document has them, and people's words stay", async () => {
    const documents = await Documents.open();
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
    await openIncident(incident, { path: documents.issues, now });
    await documents.report({});
    expect(await documents.rows("Problèmes Rencontrés")).toEqual([
      "DEPLOY-001|Production|Délai \\| dépassé|Ouvert|23 novembre 2026|-|-",
    ]);

    await documents.edit((text) => text.replace("Délai \\| dépassé", "Trop lent"));
    const found = { cause: "x", solution: "Câble changé.", prevention: ["x"], lessons: ["x"] };
    await resolveIncident("DEPLOY-001", found, { path: documents.issues, now: tomorrow });
    await documents.report({});
    expect(await documents.rows("Problèmes Rencontrés")).toEqual([
      "DEPLOY-001|Production|Trop lent|Résolu|23 novembre 2026|24 novembre 2026|Câble changé.",
    ]);
  });
});
