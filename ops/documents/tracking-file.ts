/** The team's tracking document on this machine. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { emptyTracking, type TrackingDocument } from "../../reports/tracking/tracking.ts";

export const TRACKING_FILE = fileURLToPath(new URL("../../docs/deployment-tracking.md", import.meta.url));

/** The template where there is none yet. */
export async function readTracking(path = TRACKING_FILE): Promise<TrackingDocument> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return emptyTracking();
    throw error;
  });
  return { path, text };
}
