/** Adds each check and each repair to the audit on the server, where it can be reached. */
import { appendHistory } from "../deploy/history.ts";
import { UserError } from "../user-error.ts";
import type { Checked } from "./check.ts";

export interface Auditor {
  readonly who: string;
  readonly now: () => Date;
  readonly say: (line: string) => void;
}

/** `repaired`: what a repair did, in French; undefined for a check. */
export async function audit(
  { report, server }: Checked,
  { who, now, say }: Auditor,
  repaired?: string,
): Promise<void> {
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
      // 0 would say that all is well.
      ...(gaps.length > 0 && findings.length === 0 ? {} : { findings: findings.length }),
    });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    say(`the check could not be added to the audit: ${error.message}`);
  }
}
