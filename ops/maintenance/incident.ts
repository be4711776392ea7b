import type { Check } from "../../common/check.ts";
import type { NewIncident } from "../../reports/incidents/book.ts";

/** The entry of a maintenance that failed, in the team's issues document. */
export function describeFailure(failure: {
  readonly stack: string;
  readonly description: string;
  readonly checks: readonly Check[];
}): NewIncident {
  const { stack, description, checks } = failure;
  const failed = checks.filter(({ outcome }) => outcome === "failed");
  return {
    ...{ stack, description },
    title: "Maintenance du serveur en échec",
    category: "Configuration",
    priority: "Haute",
    impact: "les mises à jour du serveur ne sont pas terminées, ou le service ne passe plus sa vérification",
    symptoms: failed.map(({ title, detail }) => `${title} : ${detail}`),
    diagnostics: [`npm run maintain -- ${stack} reprend là où la maintenance s'est arrêtée`],
  };
}
