/** Writes the validations of one environment's releases into the tracking document. */
import type { EnvironmentFacts, Records } from "../../reports/facts.ts";
import { ENVIRONMENTS } from "../../reports/labels-fr.ts";
import { shownPath, writeWhole } from "../../reports/markdown.ts";
import { renderValidations } from "../../reports/tracking/tracking.ts";
import { readTracking, TRACKING_FILE } from "./tracking-file.ts";

/** Says what was written. */
export async function writeValidations(
  stack: string,
  records: Records,
  path = TRACKING_FILE,
): Promise<string> {
  const { name } = ENVIRONMENTS.find((known) => known.stack === stack)!;
  const facts: EnvironmentFacts = { stack, name, state: "present", made: [], outputs: undefined, records };
  const document = await readTracking(path);
  const updated = await renderValidations(document, facts);
  if (updated === document.text) return `${shownPath(path)} is up to date`;
  await writeWhole(path, updated);
  return `wrote ${shownPath(path)}`;
}
