/** The team's metrics in the French documents: names of the keys of `npm run metrics`, and values with their unit. */
import { formatNumber } from "./labels-fr.ts";

export const METRICS_FR: Readonly<Record<string, string>> = {
  availability: "disponibilité",
  errors: "demandes en échec",
  p50: "p50",
  p95: "p95",
  p99: "p99",
  requests: "demandes",
  cpu: "processeurs",
  memory: "mémoire",
  disk: "disque",
  restarts: "démarrages de services",
  backupHours: "âge de la dernière sauvegarde",
  drillDays: "âge du dernier essai de restauration",
};

const UNITS: Readonly<Record<string, string>> = { "/s": "/s", "": "", d: " jours" };

/** Such as `1,2 s`, `99,95 %`, `3 jours`. */
export function formatMetric(value: number, unit: string): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  // All digits of what is nearly whole.
  const rounded = unit === "%" && value > 99 && value < 100 ? floor(value, 3) : Number(value.toFixed(digits));
  return `${formatNumber(rounded, 3)}${UNITS[unit] ?? ` ${unit}`}`;
}

/** 99.9996 is not 100. */
function floor(value: number, digits: number): number {
  return Math.floor(value * 10 ** digits) / 10 ** digits;
}
