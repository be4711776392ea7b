/** The record of a scan for known vulnerabilities: `npm run scan` writes it, the checks before a deployment read it. */
import { z } from "zod";

const vulnerability = z.strictObject({
  /** Such as CVE-2026-1234 or GHSA-…. */
  id: z.string(),
  severity: z.string(),
  package: z.string(),
  version: z.string(),
  /** Versions without it; empty where there is none yet. */
  fixedIn: z.array(z.string()),
});

export const scan = z.strictObject({
  format: z.literal(1),
  at: z.iso.datetime(),
  scanner: z.string(),
  subjects: z.array(
    z.strictObject({
      /** The file, or the key of the setting `images`. */
      name: z.string(),
      /** What was scanned: the file, or the image as the settings name it. */
      reference: z.string(),
      /** Why it could not be scanned. */
      problem: z.string().optional(),
      vulnerabilities: z.array(vulnerability),
    }),
  ),
});

export type Scan = z.output<typeof scan>;
export type Vulnerability = z.output<typeof vulnerability>;

/** Place of a stack's record, from the project's folder. Git ignores it. */
export function scanFile(stack: string): string {
  return `scans/${stack}.json`;
}

/** Critical, and there is a version without it. */
export function isUrgent({ severity, fixedIn }: Vulnerability): boolean {
  return severity === "Critical" && fixedIn.length > 0;
}
