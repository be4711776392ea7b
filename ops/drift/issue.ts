/** One issue per stack, in the form of the team's own `DEPLOY-XXX` entries; closed when the stack is clean again. */
import type { Github, Written } from "../vendors/github.ts";
import type { Layer } from "../../stacks/resource-kinds.ts";
import { isHostile } from "./extra-lines.ts";
import type { DriftReport, Finding, Unchecked } from "./report.ts";

const LAYERS: Readonly<Record<Layer, string>> = {
  cloud: "OVH",
  dns: "DNS",
  host: "serveur",
  containers: "conteneurs",
  data: "données",
  certificate: "certificat",
  checks: "contrôles",
  other: "autre",
};

const ENVIRONMENTS: Readonly<Record<string, string>> = {
  test: "Test",
  staging: "Staging",
  prod: "Production",
};

/** GitHub refuses longer texts. */
const MOST_CHARACTERS = 60_000;

export type IssueTracker = Pick<Github, "upsertIssue" | "closeIssue">;

export function driftMarker(stack: string): string {
  return `<!-- technicia-drift:${stack} -->`;
}

/** Undefined when there is nothing to report and no issue to close. */
export async function reportToIssue(
  report: DriftReport,
  tracker: IssueTracker,
): Promise<Written | undefined> {
  const marker = driftMarker(report.stack);
  if (report.outcome === "clean") {
    return tracker.closeIssue({
      marker,
      note: `Vérification du ${minute(report.at)} : plus aucun écart entre ce qui a été déployé et ce qui existe.`,
    });
  }
  return tracker.upsertIssue({
    marker,
    title: titleOf(report),
    body: renderIssue(report),
    labels: ["drift", report.stack],
  });
}

/** The check itself failed: nothing is known, and an open issue stays open. */
export function reportFailure(
  stack: string,
  at: Date,
  problem: string,
  tracker: IssueTracker,
): Promise<Written | undefined> {
  const gaps = [{ what: "toute la vérification", reason: problem }];
  return reportToIssue(
    { stack, at: at.toISOString(), seconds: 0, outcome: "failed", findings: [], pending: [], gaps },
    tracker,
  );
}

function titleOf({ stack, findings, gaps }: DriftReport): string {
  const environment = ENVIRONMENTS[stack] ?? stack;
  if (findings.length === 0) return `Dérive ${environment} : la vérification a échoué`;
  return `Dérive ${environment} : ${findings.length} écart(s)${gaps.length > 0 ? ", vérification incomplète" : ""}`;
}

export function renderIssue(report: DriftReport): string {
  const { stack, at, findings, gaps } = report;
  const command = `npm run drift -- ${stack}`;
  const whole = [
    `### DEPLOY-XXX: ${titleOf(report)}`,
    "",
    `**Environnement**: ${ENVIRONMENTS[stack] ?? stack}  `,
    `**Date d'identification**: ${at.slice(0, 10)}  `,
    "**Date de résolution**:  ",
    "**Statut**: Ouvert  ",
    `**Priorité**: ${priorityOf(report)}  `,
    `**Impact**: ${impactOf(findings)}  `,
    "",
    "**Description**:  ",
    `La vérification du ${minute(at)} compare ce qui a été déployé avec ce qui existe. ` +
      `${findings.length} écart(s) trouvé(s) ; ${gaps.length === 0 ? "tout a été vérifié" : `${gaps.length} partie(s) non vérifiée(s) : cela ne veut pas dire que tout y va bien`}.`,
    "",
    "**Symptômes**:",
    ...(findings.length === 0 ? ["- aucun écart dans ce qui a pu être vérifié"] : findings.flatMap(symptom)),
    ...gaps.map(missing),
    "",
    "**Étapes de diagnostic**:",
    `1. \`${command}\` montre chaque écart : attendu, trouvé, depuis quand, et ce que fait la réparation`,
    `2. \`npm run history -- ${stack}\` montre qui a déployé, réparé ou changé un secret`,
    "",
    "**Cause racine**:  ",
    "À compléter",
    "",
    "**Solution**:  ",
    findings.length === 0
      ? "Rétablir l'accès à ce qui n'a pas pu être vérifié, puis vérifier à nouveau :"
      : "Si l'écart n'est pas voulu, remettre ce qui a été déployé ; s'il est voulu, le mettre dans les réglages et déployer :",
    "",
    "```bash",
    findings.length === 0 ? command : `${command} --repair`,
    "```",
    "",
    "**Mesures préventives**:",
    "- À compléter",
    "",
    "**Leçons apprises**:",
    "- À compléter",
  ].join("\n");
  return whole.length <= MOST_CHARACTERS
    ? whole
    : `${whole.slice(0, MOST_CHARACTERS)}\n\n… la suite est dans le journal de l'exécution`;
}

function symptom({ layer, resource, what, expected, found, since }: Finding): string[] {
  return [
    `- **${LAYERS[layer]}** — ${code(resource)} : ${code(what)}${since === undefined ? "" : `, depuis le ${minute(since)}`}`,
    `  - attendu : ${expected.map(code).join(", ")}`,
    `  - trouvé : ${found.map(code).join(", ")}`,
  ];
}

function missing({ what, reason, because }: Unchecked): string {
  const cause = because === undefined ? "" : `, à cause de ${code(because)}`;
  return `- **non vérifié** — ${code(what)}${cause} : ${code(reason.replaceAll("\n", " "))}`;
}

function priorityOf({ findings, outcome }: DriftReport): string {
  if (findings.some(({ what }) => isHostile(what))) return "Critique";
  if (findings.some(({ interruption }) => interruption !== undefined)) return "Haute";
  return outcome === "failed" ? "Haute" : "Moyenne";
}

function impactOf(findings: readonly Finding[]): string {
  const touched = [...new Set(findings.map(({ layer }) => LAYERS[layer]))];
  return touched.length === 0
    ? "Inconnu : l'état réel n'a pas pu être vérifié"
    : `Touche : ${touched.join(", ")}`;
}

/** A text from the server must not be read as Markdown or mention people. */
function code(text: string): string {
  const ticks = text.match(/`+/g) ?? [];
  const fence = "`".repeat(Math.max(0, ...ticks.map((run) => run.length)) + 1);
  return fence.length === 1 ? `\`${text}\`` : `${fence} ${text} ${fence}`;
}

function minute(at: string): string {
  return `${at.slice(0, 16).replace("T", " ")} UTC`;
}
