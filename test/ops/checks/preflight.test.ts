import { describe, expect, it } from "vitest";

import { check } from "../../../common/check.ts";
import { preflight } from "../../../ops/checks/preflight.ts";
import {
  answeringServer,
  byId,
  contextWith,
  outputsOf,
  strong,
  secretsWithout,
  unreachableServer,
  effectsWith,
} from "./fixtures.ts";
import { environmentWith } from "../../support/fixtures.ts";

/** The user's own words, in the user's order. */
const CHECKLIST = [
  "Tous les tests automatisés passent avec succès",
  "Les tests de performance ont été exécutés et analysés",
  "Les vulnérabilités de sécurité ont été vérifiées (OWASP Top 10)",
  "Les configurations sont correctes pour l'environnement cible",
  "Les sauvegardes sont à jour et vérifiées",
  "Les clés API sont valides et ont les permissions nécessaires",
  "Les quotas API sont suffisants pour la charge attendue",
  "Les ports requis sont ouverts dans le pare-feu",
  "Le service vector-store peut communiquer avec Qdrant",
  "Les workflows n8n sont correctement configurés",
  "Les certificats SSL sont valides et installés",
];

describe("preflight", () => {
  it("gives every item of the checklist in its order and words, even when nothing can be reached", async () => {
    const checks = await preflight(contextWith(), effectsWith());

    for (const one of checks) expect(check.parse(one)).toEqual(one);
    expect(checks.map(({ title }) => title).filter((title) => CHECKLIST.includes(title))).toEqual(CHECKLIST);
    expect(checks.map(({ id }) => id)).toEqual([...new Set(checks.map(({ id }) => id))]);
    expect(checks.filter(({ outcome }) => outcome === "ok")).toEqual([]);
    expect(checks.every(({ detail }) => detail !== "")).toBe(true);
  });

  it("fails nothing before the first deployment when the settings are complete", async () => {
    const secrets = secretsWithout();
    const pulumi = () => Promise.resolve(JSON.stringify({ "technicia:voyageApiKey": { secret: true } }));
    // The fixture's Google key is not a real one, and the check would notice.
    const environment = environmentWith({
      "services.documentProcessor.enabled": false,
      "services.visionClassifier.enabled": false,
    });
    const checks = await preflight(contextWith({ environment, secrets, pulumi }), effectsWith());

    expect(checks.filter(({ outcome }) => outcome === "failed")).toEqual([]);
    expect(byId(checks, "configuration").outcome).toBe("ok");
    expect(byId(checks, "secrets-encrypted").outcome).toBe("ok");
    for (const id of [
      "server",
      "dns",
      "firewall-ports",
      "certificates",
      "workflows",
      "versions",
      "room",
      "backups",
    ]) {
      expect(byId(checks, id).outcome, id).toBe("not-checked");
    }
    for (const secret of Object.values(strong)) expect(JSON.stringify(checks)).not.toContain(secret);
  });

  it("fails once for an unreachable server, and names the gap in every other check of it", async () => {
    const environment = environmentWith();
    const context = contextWith({ environment, outputs: outputsOf(environment), server: unreachableServer });
    const checks = await preflight(context, effectsWith({ ports: { http: 9, https: 9 } }));

    expect(byId(checks, "server").outcome).toBe("failed");
    for (const id of ["vector-store-qdrant", "logs", "room", "performance-tests"]) {
      expect(byId(checks, id), id).toMatchObject({
        outcome: "not-checked",
        detail: "le serveur n'est pas joignable par ssh",
      });
    }
  });

  it("ends at once when it is aborted", async () => {
    const stop = new AbortController();
    stop.abort();
    const server = answeringServer("");
    const began = performance.now();
    const checks = await preflight(contextWith({ server, signal: stop.signal }), effectsWith());

    expect(checks.filter(({ outcome }) => outcome !== "not-checked")).toEqual([]);
    expect(performance.now() - began).toBeLessThan(2000);
  });
});
