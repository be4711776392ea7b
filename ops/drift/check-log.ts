/** Records each check and each repair in the audit log on the server, and opens an incident for what a check found. */
import type { NewIncident } from "../../reports/incidents/book.ts";
import { reportIncident, type Effects } from "../effects.ts";
import { appendHistory } from "../server/records.ts";
import { UserError } from "../../common/user-error.ts";
import type { Checked } from "./check.ts";
import type { DriftReport } from "./report.ts";

export type CheckLogEffects = Pick<Effects, "identity" | "now" | "say" | "openIncident">;

/** `repaired`: what a repair did, in French; undefined for a check. */
export async function logCheck(
  { report, server }: Checked,
  { identity: { who }, now, say, openIncident }: CheckLogEffects,
  repaired?: string,
): Promise<void> {
  if (repaired === undefined && report.findings.length > 0)
    await reportIncident(describeDrift(report), { say, openIncident });
  if (server === undefined) return;
  const { findings, gaps } = report;
  const names = [...new Set(findings.map(({ resource }) => resource))].join(", ");
  const found = findings.length === 0 ? "aucun écart" : `${findings.length} écart(s) : ${names}`;
  const rest = gaps.length === 0 ? "" : ` ; non vérifié : ${gaps.map(({ what }) => what).join(", ")}`;
  try {
    if (repaired !== undefined) {
      await appendHistory(server, {
        at: now().toISOString(),
        who,
        action: "repair",
        reason: "",
        detail: repaired,
      });
    }
    await appendHistory(server, {
      at: now().toISOString(),
      who,
      action: "drift",
      reason: "",
      detail: `${found}${rest}`,
      // 0 would mean that nothing differs.
      ...(gaps.length > 0 && findings.length === 0 ? {} : { findings: findings.length }),
    });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    say(`the check could not be recorded on the server: ${error.message}`);
  }
}

function describeDrift({ stack, at, findings, gaps }: DriftReport): NewIncident {
  const isOutside = findings.every(({ layer }) => layer === "cloud" || layer === "dns");
  const interruptions = [...new Set(findings.flatMap(({ interruption }) => interruption ?? []))];
  return {
    stack,
    title: "Dérive de la configuration",
    category: isOutside ? "Réseau" : "Configuration",
    priority: "Moyenne",
    impact:
      interruptions.length === 0
        ? "la réparation n'interrompt rien"
        : `la réparation interrompt : ${interruptions.join(" ; ")}`,
    description: `${findings.length} écart(s) entre ce qui a été déployé et ce qui existe, constaté(s) le ${at}`,
    symptoms: findings.map(
      ({ resource, what, expected, found }) =>
        `${resource}, ${what} : ${expected.join(" / ")} → ${found.join(" / ")}`,
    ),
    diagnostics: [
      `npm run drift -- ${stack}`,
      ...findings.flatMap(({ resource, since }) =>
        since === undefined ? [] : [`${resource} : depuis ${since}`],
      ),
      ...gaps.map(({ what, reason }) => `non vérifié : ${what} (${reason})`),
    ],
  };
}
