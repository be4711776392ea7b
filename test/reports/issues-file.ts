import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { NewIncident, Resolution } from "../../reports/incidents/book.ts";
import { newFolder } from "./temporary-folder.ts";

export const now = new Date("2026-11-21T08:30:00Z");
export const later = new Date("2026-11-21T11:00:00Z");

export function newIncident(): NewIncident {
  return {
    stack: "staging",
    title: "Mise en production annulée : contrôle Adresse publique",
    category: "Réseau",
    priority: "Haute",
    impact: "Aucune interruption",
    description: "La version 1.0.1 répondait 500.\nElle a été retirée.\n\nLa précédente sert.",
    symptoms: ["GET https://staging-technicia.exemple.fr/healthz : 500", "10 requêtes | 3 en échec"],
    diagnostics: ["journal de technicia-n8n lu : `ECONNREFUSED`", "mémoire : 40 %"],
  };
}

export async function newIssuesFile(text?: string): Promise<string> {
  const path = join(await newFolder(), "deployment-issues.md");
  if (text !== undefined) await writeFile(path, text);
  return path;
}

export const read = (path: string) => readFile(path, "utf8");

export function resolution(): Resolution {
  return {
    cause: "La clé de Qdrant manquait.",
    solution: "Clé remise.",
    command: "pulumi up --stack staging",
    prevention: ["Vérifier la clé avant la mise en production"],
    lessons: ["Les clés d'abord"],
  };
}
