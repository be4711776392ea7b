/** The team's "Suivi de Déploiement": statuses and dates come from facts, remarks and names from people. */
import { readFile } from "node:fs/promises";

import { isBlank, Fingerprints, mergeTable, type Cell, type Cells } from "../kept-cells.ts";
import { currentRelease } from "../../common/release.ts";
import { recordsOf, type EnvironmentFacts } from "../facts.ts";
import { ENVIRONMENTS, formatDay } from "../labels-fr.ts";
import type { Incident } from "../incidents/incidents.ts";
import { endOf, MarkdownFile, plainText, startOf } from "../markdown.ts";
import { backupRows } from "./backups.ts";
import { goneTaskRows, taskRows } from "./tasks.ts";
import { isGoneValidation, validationRows } from "./validations.ts";
import { describePhases, describeRelease, type TrackedPhase, type TrackedStep } from "./steps.ts";

const TEMPLATE = new URL("deployment-tracking.template.md", import.meta.url);

const UNKNOWN_STATUS = "Inconnu";

/** API in the team's table → service in the outputs. */
const APIS = [
  ["Google Cloud (Document AI)", "Google Document AI"],
  ["Google Cloud (Vision AI)", "Google Vision AI"],
  ["VoyageAI", "VoyageAI"],
  ["Anthropic (Claude)", "Anthropic"],
] as const;

/** Everything but our own rows in it is people's. */
const MAINTENANCE = {
  title: "Maintenance et Mises à Jour Planifiées",
  columns: ["Date", "Type", "Environnement", "Description", "Responsable", "Statut"],
  key: ["Type", "Environnement"],
  repeats: true,
} as const;

export interface TrackingFacts {
  readonly environments: readonly EnvironmentFacts[];
  readonly incidents: readonly Incident[];
  readonly now: Date;
}

/** The document before the first deployment. */
export function emptyTracking(): Promise<string> {
  return readFile(TEMPLATE, "utf8");
}

export interface TrackingDocument {
  readonly path: string;
  readonly text: string;
}

/** The updated document. What people wrote stays; without news so does every byte. */
export async function renderTracking(document: TrackingDocument, facts: TrackingFacts): Promise<string> {
  const unchanged = await writeFacts(document, { ...facts, updated: undefined }).render();
  return unchanged === document.text
    ? document.text
    : await writeFacts(document, { ...facts, updated: facts.now }).render();
}

/** The document with the validations of one environment's releases; nothing else in it changes. */
export async function renderValidations(
  { path, text }: TrackingDocument,
  facts: EnvironmentFacts,
): Promise<string> {
  const file = new MarkdownFile(path, text);
  // The fingerprints of other cells stay as they are.
  mergeTable(file, new Fingerprints(text), {
    ...MAINTENANCE,
    rows: validationRows(facts),
    isGone: (row) => isGoneValidation(row, facts),
  });
  return await file.render();
}

/** Throws every place where the document no longer has its form, with the lines. */
export function checkTracking(document: TrackingDocument): void {
  const environments = ENVIRONMENTS.map(({ stack, name }): EnvironmentFacts => ({
    stack,
    name,
    state: "unreadable",
    why: "",
  }));
  writeFacts(document, { environments, incidents: [], updated: undefined }).refuseProblems();
}

interface WrittenFacts extends Omit<TrackingFacts, "now"> {
  /** Date of the last change; undefined leaves the one in the document. */
  readonly updated: Date | undefined;
}

function writeFacts({ path, text }: TrackingDocument, facts: WrittenFacts): MarkdownFile {
  const file = new MarkdownFile(path, text);
  const marks = new Fingerprints(text);
  const phases = facts.environments.map(describePhases);

  writeOverallState(file, facts, phases);
  mergeTable(file, marks, {
    title: "Environnements",
    columns: ["Environnement", "Statut", "URL", "Serveur", "Version"],
    key: ["Environnement"],
    rows: facts.environments.map(environmentRow),
  });
  mergeTable(file, marks, {
    title: "Informations du Serveur de Production",
    columns: ["Paramètre", "Valeur"],
    key: ["Paramètre"],
    rows: serverRows(facts.environments.find(({ stack }) => stack === "prod")),
  });
  mergeTable(file, marks, {
    title: "Firewall Configuration",
    columns: ["Port", "Service", "Commentaire"],
    key: ["Service"],
    rows: firewallRows(facts.environments),
  });
  for (const [index, environment] of facts.environments.entries()) {
    const title = `Processus de Déploiement - Environnement de ${environment.name}`;
    mergeTable(file, marks, {
      title,
      columns: ["Étape", "Statut", "Date début", "Date fin", "Responsable", "Commentaires"],
      key: ["Étape"],
      rows: stepRows(phases[index] ?? [], showsSteps(file, title, environment)),
    });
  }
  mergeTable(file, marks, {
    title: "Configuration des Clés API",
    columns: ["Service", "Environnement", "Statut", "Commentaires"],
    key: ["Service", "Environnement"],
    rows: keyRows(facts.environments),
  });
  mergeTable(file, marks, {
    title: "Problèmes Rencontrés",
    columns: [
      ...["ID", "Environnement", "Description", "Statut"],
      ...["Date identification", "Date résolution", "Solution"],
    ],
    key: ["ID"],
    rows: facts.incidents.map(incidentRow),
  });
  mergeTable(file, marks, {
    ...MAINTENANCE,
    rows: facts.environments.flatMap((environment) => [
      ...backupRows(environment),
      ...taskRows(environment),
      ...validationRows(environment),
    ]),
    gone: facts.environments.flatMap(goneTaskRows),
    isGone: (row) => facts.environments.some((environment) => isGoneValidation(row, environment)),
  });
  marks.writeTo(file);
  return file;
}

/** Writes the bold fields of the overall state. */
function writeOverallState(
  file: MarkdownFile,
  { environments, updated }: WrittenFacts,
  phases: readonly (readonly TrackedPhase[])[],
): void {
  const title = "État Global du Déploiement";
  const section = file.section(title);
  if (!section) return;
  const current = currentEnvironment(environments, phases);
  const values: Readonly<Record<string, string | undefined>> = {
    "Date de dernière mise à jour :": updated && formatDay(updated),
    "État global :": overallState(environments, phases),
    "Environnement en cours :": current?.facts.name ?? "N/A",
    "Prochaine étape :": nextStep(environments, current),
  };
  const labels = section.nodes.flatMap((node) =>
    node.type === "paragraph" ? node.children.filter((child) => child.type === "strong") : [],
  );
  for (const [label, value] of Object.entries(values)) {
    const strong = labels.find((node) => plainText(node) === label);
    if (!strong) {
      file.complain(
        section.heading.position?.start.line ?? 1,
        `expected **${label}** under ${JSON.stringify(title)}, got none; put it back on a line of its own`,
      );
    } else if (value !== undefined) {
      const [line = ""] = /^[^\n]*/.exec(file.text.slice(endOf(strong))) ?? [];
      file.replace(endOf(strong), endOf(strong) + line.trimEnd().length, ` ${value}`);
    }
  }
}

interface Current {
  readonly facts: EnvironmentFacts;
  readonly open: TrackedStep;
}

/** The last environment that is deployed and has an open step. */
function currentEnvironment(
  environments: readonly EnvironmentFacts[],
  phases: readonly (readonly TrackedPhase[])[],
): Current | undefined {
  const begun = environments.flatMap((facts, index) => {
    const steps = (phases[index] ?? []).flatMap((phase) => phase.steps);
    const open = steps.find(({ status }) => status !== "Complété");
    return facts.state === "present" && open ? [{ facts, open }] : [];
  });
  return begun.at(-1);
}

function overallState(
  environments: readonly EnvironmentFacts[],
  phases: readonly (readonly TrackedPhase[])[],
): string {
  const unreadable = environments.filter(({ state }) => state === "unreadable");
  const gap =
    unreadable.length === 0 ? "" : ` (état illisible : ${unreadable.map(({ name }) => name).join(", ")})`;
  if (environments.every(({ state }) => state !== "present")) {
    return unreadable.length === 0 ? "Planifié" : `${UNKNOWN_STATUS}${gap}`;
  }
  const statuses = phases.flat().map(({ status }) => status);
  if (statuses.includes("Bloqué")) return `Bloqué${gap}`;
  return statuses.every((status) => status === "Complété") ? "Complété" : `En cours${gap}`;
}

function nextStep(environments: readonly EnvironmentFacts[], current: Current | undefined): string {
  if (current) return `${current.open.name} (${current.facts.name})`;
  const absent = environments.find(({ state }) => state === "absent");
  if (absent) return `Déploiement sur environnement de ${absent.name.toLowerCase()}`;
  const unreadable = environments.find(({ state }) => state === "unreadable");
  return unreadable ? `Lire l'état de ${unreadable.name}` : "Exploitation et maintenance";
}

function environmentRow(facts: EnvironmentFacts): Cells {
  const row = { Environnement: facts.name, Statut: environmentStatus(facts) };
  if (facts.state === "unreadable") return row;
  if (facts.state === "absent" || !facts.outputs) {
    return { ...row, URL: proposal("N/A"), Serveur: proposal("N/A"), Version: proposal("-") };
  }
  const { outputs } = facts;
  const serving = currentRelease(recordsOf(facts)?.releases ?? []);
  return {
    ...row,
    URL: { fact: outputs.url },
    Serveur: { fact: outputs.deploymentStatus.server.serviceName },
    // Without releases the version is unknown, so what a person wrote stays.
    Version: serving
      ? { fact: describeRelease(serving) }
      : "why" in facts.records
        ? undefined
        : proposal("-"),
  };
}

export function environmentStatus(facts: EnvironmentFacts): string {
  if (facts.state === "unreadable") return `${UNKNOWN_STATUS} (état illisible)`;
  if (facts.state === "absent") return "Non déployé";
  if (!facts.outputs) return "En cours";
  return recordsOf(facts)?.copy === undefined ? "Déployé" : "Déployé (serveur injoignable)";
}

function serverRows(production: EnvironmentFacts | undefined): Cells[] {
  const outputs = production?.state === "present" ? production.outputs : undefined;
  const server = outputs?.deploymentStatus.server;
  const values = {
    "Type de serveur": "VPS",
    Modèle: server?.model,
    CPU: server && `${server.vcores} vCores`,
    RAM: server && `${Math.round(server.memoryMib / 1024)} GB`,
    Stockage: server && `${server.diskGib} GB`,
    OS: server?.os,
    Localisation: server?.place,
    IP: server && `${server.ipv4} ; ${server.ipv6}`,
    "Nom de domaine": outputs && new URL(outputs.url).host,
  };
  return Object.entries(values).map(([name, value]) => ({
    Paramètre: name,
    Valeur:
      value !== undefined
        ? { fact: value }
        : production?.state === "unreadable"
          ? undefined
          : proposal("À compléter"),
  }));
}

function firewallRows(environments: readonly EnvironmentFacts[]): Cells[] {
  const furthest = environments.findLast((facts) => facts.state === "present" && facts.outputs);
  const ports = furthest?.state === "present" ? (furthest.outputs?.deploymentStatus.firewall ?? []) : [];
  // Before any deployment the rows are those of the template.
  return ports.map(({ port, service, comment }) => ({
    Port: port,
    Service: service,
    Commentaire: proposal(comment),
  }));
}

/** The template lists only the steps of the test environment; those of another appear once it is deployed, and stay. */
function showsSteps(file: MarkdownFile, title: string, facts: EnvironmentFacts): boolean {
  if (facts.stack === "test" || facts.state === "present") return true;
  const section = file.root.children.findIndex(
    (node) => node.type === "heading" && plainText(node) === title,
  );
  const table = file.root.children.slice(section).find((node) => node.type === "table");
  return (
    table !== undefined && section !== -1 && /^\| - /m.test(file.text.slice(startOf(table), endOf(table)))
  );
}

function stepRows(phases: readonly TrackedPhase[], withSteps: boolean): Cells[] {
  return phases.flatMap((phase) => [
    stepRow(`**${phase.name}**`, phase),
    ...(withSteps ? phase.steps.map((step) => stepRow(`- ${step.name}`, step)) : []),
  ]);
}

function stepRow(name: string, { status, from, to, proof }: TrackedStep): Cells {
  return {
    Étape: name,
    Statut: status ?? UNKNOWN_STATUS,
    "Date début": from ? formatDay(from) : "-",
    "Date fin": to ? formatDay(to) : "-",
    Commentaires: status === undefined ? undefined : proposal(proof),
  };
}

function keyRows(environments: readonly EnvironmentFacts[]): Cells[] {
  const rows = APIS.flatMap(([api, service]) =>
    environments.map((facts): Cells => {
      const row = { Service: api, Environnement: facts.name };
      if (facts.state === "unreadable") return { ...row, Statut: UNKNOWN_STATUS };
      const keys = facts.state === "present" ? facts.outputs?.deploymentStatus.apiKeys : undefined;
      const key = keys?.find((candidate) => candidate.service === service);
      return {
        ...row,
        Statut: key?.configured === true ? "Configuré" : "Non configuré",
        Commentaires: proposal(key && !key.required && !key.configured ? "Facultatif" : "-"),
      };
    }),
  );
  const encryption = environments.map((facts, index): Cells => {
    const steps = describePhases(facts).flatMap((phase) => phase.steps);
    const made = steps.find(({ name }) => name === "Génération clé de chiffrement");
    return {
      Service: "n8n Encryption Key",
      Environnement: ENVIRONMENTS[index]?.name ?? facts.name,
      Statut:
        made?.status === undefined
          ? UNKNOWN_STATUS
          : made.status === "Complété"
            ? "Configuré"
            : "Non configuré",
      Commentaires: proposal("Clé nécessaire pour le chiffrement des credentials n8n"),
    };
  });
  return [...rows, ...encryption];
}

function incidentRow(incident: Incident): Cells {
  return {
    ID: incident.id,
    Environnement: incident.environment,
    Description: proposal(incident.title),
    Statut: incident.status,
    "Date identification": formatDay(new Date(incident.identified)),
    "Date résolution": incident.resolved === undefined ? "-" : formatDay(new Date(incident.resolved)),
    Solution: proposal(isBlank(incident.solution) ? "-" : incident.solution),
  };
}

function proposal(text: string): Cell {
  return { proposal: text };
}
