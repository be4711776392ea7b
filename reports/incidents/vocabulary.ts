/** The words that the team's issues document allows. */

export const statuses = ["Ouvert", "Résolu", "Contourné"] as const;
export const priorities = ["Basse", "Moyenne", "Haute", "Critique"] as const;
export const categories = [
  "Configuration",
  "Réseau",
  "Sécurité",
  "Performance",
  "Compatibilité",
  "Autres",
] as const;

export type Status = (typeof statuses)[number];
export type Priority = (typeof priorities)[number];
export type Category = (typeof categories)[number];
