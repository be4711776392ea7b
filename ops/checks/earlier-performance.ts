import { readReleases } from "../server/releases.ts";
import type { Server } from "../server/connection.ts";
import { failed, type Finding, notChecked, ok } from "./finding.ts";

/** The load that followed the last release: the tests that the checklist asks for, with the thresholds as their analysis. */
export async function checkEarlierPerformance(server: Server): Promise<Finding> {
  const { releases } = await readReleases(server);
  // What was put back was measured after it; the release that failed no longer runs.
  const measured = releases
    .map((release) =>
      release.kind === "deploy" && release.restored !== undefined
        ? { ...release, verify: release.restoredVerify }
        : release,
    )
    .findLast(({ verify }) => verify.some(isLoad));
  if (!measured)
    return notChecked("aucune livraison n'a encore été mesurée ; la vérification qui suit le fera");
  const loads = measured.verify.filter(isLoad);
  const told = `livraison ${measured.number} du ${measured.startedAt.slice(0, 10)} : ${loads.map(({ detail }) => detail).join(" ; ")}`;
  if (loads.some(({ outcome }) => outcome === "failed")) return failed(told);
  return loads.every(({ outcome }) => outcome === "ok") ? ok(told) : notChecked(told);
}

function isLoad({ id }: { readonly id: string }): boolean {
  return id.startsWith("performance-");
}
