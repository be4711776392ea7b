/** `npm run report`: the user's documents, brought up to date. */
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";

import { readArguments, type Command } from "../command.ts";
import { pulumiOnPath } from "../pulumi.ts";
import { gapsOf, readAllFacts, type FactSources } from "./facts.ts";
import { listIncidents } from "./incident-book.ts";
import { writeWhole } from "./markdown.ts";
import { renderPage } from "./page.ts";
import { readRecords } from "./records.ts";
import { checkTracking, emptyTracking, renderTracking } from "./tracking.ts";

export const TRACKING_FILE = new URL("../../docs/deployment-tracking.md", import.meta.url).pathname;

export interface ReportRequest {
  /** @default docs/deployment-tracking.md */
  readonly tracking?: string;
  /** @default docs/deployment-issues.md */
  readonly issues?: string;
  /** Page to write too. */
  readonly html?: string | undefined;
  readonly now: Date;
}

export interface Report {
  /** What was written, or was as it should be already. */
  readonly text: string;
  /** What could not be read; the documents say so too. */
  readonly gaps: readonly string[];
}

/** Writes the tracking document, and the page when one is asked for; nothing is written when a document is broken. */
export async function writeReport(request: ReportRequest, sources: FactSources): Promise<Report> {
  const { tracking = TRACKING_FILE, now } = request;
  const text = await readFile(tracking, "utf8").catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return emptyTracking();
    throw error;
  });
  const incidents = await listIncidents(request.issues);
  // A broken document is told before anything slow or remote is asked.
  checkTracking(tracking, text);

  const environments = await readAllFacts(sources);
  const facts = { environments, incidents, now };
  const updated = await renderTracking(tracking, text, facts);
  const isNew = updated !== text;
  if (isNew) await writeWhole(tracking, updated);
  const written = [isNew ? `wrote ${tracking}` : `${tracking} is up to date`];
  if (request.html !== undefined) {
    await writeWhole(request.html, renderPage(facts));
    written.push(`wrote ${request.html}`);
  }
  return { text: written.join("\n"), gaps: gapsOf(environments) };
}

export const report: Command = {
  usage: "npm run report [-- --html <file>]",
  async run(args) {
    const { values } = readArguments(this.usage, () =>
      parseArgs({ args: [...args], options: { html: { type: "string" } } }),
    );
    const request = { html: values.html, now: new Date() };
    const { text, gaps } = await writeReport(request, { pulumi: pulumiOnPath, readRecords });
    return { text: [text, ...gaps].join("\n"), exitCode: gaps.length === 0 ? 0 : 1 };
  },
};
