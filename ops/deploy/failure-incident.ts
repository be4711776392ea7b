/** A failed deployment opens an entry in the team's issues document. */
import type { Check } from "../../common/check.ts";
import type { NewIncident } from "../../reports/incidents/book.ts";
import type { Release } from "../../common/release.ts";

/** The entry of a failed release. */
export function describeFailure(release: Release): NewIncident {
  const failed = [...release.preflight, ...release.verify].filter(({ outcome }) => outcome === "failed");
  const wasPutBack = release.outcome === "rolled-back";
  return {
    stack: release.stack,
    // Without the release's number, so that the same failure of another release is the same incident.
    title: wasPutBack ? "Déploiement annulé et version précédente remise en service" : "Déploiement en échec",
    category: categoryOf(failed),
    priority: wasPutBack ? "Moyenne" : "Haute",
    impact: wasPutBack
      ? `la version ${release.restored ?? "précédente"} sert à nouveau ; la version ${release.number} n'est pas livrée`
      : `la version ${release.number} n'est pas livrée ; l'état du service est à vérifier`,
    description: release.failure ?? "cause inconnue",
    symptoms: failed.map(({ title, detail }) => `${title} : ${detail}`),
    diagnostics: [
      `version ${release.number}, révision ${release.revision}, par ${release.who}`,
      ...Object.entries(release.images).map(([service, image]) => `${service} : ${image}`),
      ...release.restoredVerify.map(
        ({ title, outcome, detail }) => `après retour, ${title} (${outcome}) : ${detail}`,
      ),
    ],
  };
}

function categoryOf(failed: readonly Check[]): NewIncident["category"] {
  if (failed.some(({ id }) => id.startsWith("security-"))) return "Sécurité";
  if (failed.some(({ id }) => id.startsWith("functional-"))) return "Compatibilité";
  return failed.some(({ id }) => id.startsWith("performance-")) ? "Performance" : "Configuration";
}
