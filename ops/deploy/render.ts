/** What a deployment prints, and the incident that a failed one opens. */
import type { Check } from "../../common/check.ts";
import type { Release } from "../../common/release.ts";
import type { NewIncident } from "../../reports/incidents/book.ts";
import { LockLost } from "../server/lock.ts";

/** Counts, then every check that is not ok. */
export function renderChecks(part: string, checks: readonly Check[]): string[] {
  const of = (outcome: Check["outcome"]) => checks.filter((check) => check.outcome === outcome);
  const counts = `${of("ok").length} ok, ${of("failed").length} failed, ${of("not-checked").length} not checked`;
  return [
    `${part}: ${counts}`,
    ...of("failed").map(({ title, detail }) => `  failed       ${title}: ${detail}`),
    ...of("not-checked").map(({ title, detail }) => `  not checked  ${title}: ${detail}`),
  ];
}

export function renderSeconds(seconds: Readonly<Record<string, number>>): string {
  return Object.entries(seconds)
    .map(([part, value]) => `${part} ${value.toFixed(1)} s`)
    .join(", ");
}

export function renderLate(seconds: number, limitSeconds: number): string[] {
  if (seconds <= limitSeconds) return [];
  return [
    `the rollback took ${seconds.toFixed(0)} s, longer than monitoring.thresholds.release.rollbackSeconds (${limitSeconds} s)`,
  ];
}

/** Why a command stopped before its end, in French, for the records. */
export function describeStop(reason: unknown): string {
  return reason instanceof LockLost
    ? "arrêtée : quelqu'un a pris le verrou de ce déploiement"
    : "interrompue par l'opérateur";
}

/** The images that changed, `vectorStore 1.0.0 → 1.0.1`. */
export function renderImageChanges(
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
): string {
  const changed = Object.entries(after).filter(([name, image]) => before[name] !== image);
  if (changed.length === 0) return "mêmes images";
  return changed
    .map(([name, image]) => {
      const [from, to] = [shortImage(before[name]), shortImage(image)];
      return `${name} ${from === "" ? to : `${from} → ${to}`}`;
    })
    .join(", ");
}

/** The same with the workflows, where those of both are known. */
export function renderChanges(
  before: Pick<Release, "images" | "workflows"> | undefined,
  after: Pick<Release, "images" | "workflows">,
): string {
  const images = renderImageChanges(before?.images ?? {}, after.images);
  const [from, to] = [before?.workflows, after.workflows];
  return from === undefined || to === undefined || from === to ? images : `${images}, workflows modifiés`;
}

export function renderRelease({ number, images, revision, workflows }: Release): string {
  const parts = Object.entries(images).map(([name, image]) => `${name} ${shortImage(image)}`);
  const flows = workflows === undefined ? "" : `, workflows ${workflows.slice(0, 12)}`;
  return `release ${number} (${revision.slice(0, 12)}): ${parts.join(", ") || "images unknown"}${flows}`;
}

/** `1.0.1@sha256:0123456789ab` of a whole reference. */
function shortImage(image = ""): string {
  const [name = "", digest] = image.split("@");
  const tag = /:(?<tag>[^:/]+)$/.exec(name)?.groups?.["tag"] ?? name;
  return digest === undefined ? tag : `${tag}@${digest.slice(0, 19)}`;
}

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
