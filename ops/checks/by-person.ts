/** Items of the users' checklists that no program can answer, or that nothing exists for yet. */
import type { Check } from "../../common/check.ts";
import { notChecked } from "./finding.ts";

const PERSON = "à faire par une personne ; aucun programme ne peut en juger";
const NO_MONITORING = "la surveillance n'existe pas encore dans ce projet";

function item(id: string, title: string, reason: string): Check {
  return { id, title, ...notChecked(reason) };
}

export const SECURITY_REVIEW = item(
  "security-review",
  "Les vulnérabilités de sécurité ont été vérifiées (OWASP Top 10)",
  PERSON,
);

export const BACKUPS = item(
  "backups",
  "Les sauvegardes sont à jour et vérifiées",
  "aucune sauvegarde n'existe encore dans ce projet",
);

export const BY_PERSON: readonly Check[] = [
  item("code-review", "Code review : Validation par au moins 2 développeurs seniors", PERSON),
  item(
    "staging-identical",
    "Environnement staging : Identique à la production",
    "npm run promote ne prend que des empreintes vérifiées en staging ; le reste des réglages est à comparer par une personne",
  ),
  item("migrations", "Base de données : Migrations testées et validées", PERSON),
  item("alert-thresholds", "Seuils d'alerte configurés", NO_MONITORING),
  item("dashboard", "Dashboard de monitoring en place", NO_MONITORING),
  item("notifications", "Système de notification configuré", NO_MONITORING),
];
