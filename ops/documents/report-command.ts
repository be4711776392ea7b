/** `npm run report`: updates the team's documents. */
import { systemFetch } from "../../common/system-trust.ts";
import { gapsOf, type Gap } from "../../reports/facts.ts";
import { listIncidents } from "../../reports/incidents/book.ts";
import { shownPath, writeWhole } from "../../reports/markdown.ts";
import { checkTracking, renderTracking } from "../../reports/tracking/tracking.ts";
import { readArguments, type Outcome } from "../command.ts";
import { pulumiOnPath } from "../engine/cli.ts";
import { copyReader } from "../backup/copied-records.ts";
import { LOOPBACK } from "../monitoring/stores.ts";
import { openServer } from "../server/connection.ts";
import { monitoringReader } from "./monitored.ts";
import { costReader, readAllFacts, readRecordsAnywhere, type FactSources } from "./facts.ts";
import { readTracking } from "./tracking-file.ts";

interface ReportRequest {
  /** @default docs/deployment-tracking.md */
  readonly tracking?: string;
  /** @default docs/deployment-issues.md */
  readonly issues?: string;
  /** Page to write too. */
  readonly html?: string | undefined;
  readonly now: Date;
}

export interface Report {
  /** What was written, or was already up to date. */
  readonly text: string;
  /** What could not be read, which the documents say too. */
  readonly gaps: readonly string[];
}

/** Writes the tracking document, and the page when one is asked for; nothing is written when a document is broken. */
export async function writeReport(request: ReportRequest, sources: FactSources): Promise<Report> {
  const { now } = request;
  const document = await readTracking(request.tracking);
  const incidents = await listIncidents(request.issues);
  // A broken document is reported before anything slow or remote is asked.
  checkTracking(document);

  // The page alone shows the costs and what was measured.
  const isPage = request.html !== undefined;
  const readCost = isPage ? sources.readCost : undefined;
  const readMonitoring = isPage ? sources.readMonitoring : undefined;
  const environments = await readAllFacts({ ...sources, readCost, readMonitoring });
  const facts = { environments, incidents, now };
  const updated = await renderTracking(document, facts);
  const isNew = updated !== document.text;
  if (isNew) await writeWhole(document.path, updated);
  const shown = shownPath(document.path);
  const written = [isNew ? `wrote ${shown}` : `${shown} is up to date`];
  if (request.html !== undefined) {
    const { renderPage } = await import("../../reports/page/page.ts");
    await writeWhole(request.html, renderPage(facts));
    written.push(`wrote ${request.html}`);
  }
  return { text: written.join("\n"), gaps: gapsOf(environments).map(renderGap) };
}

function renderGap({ stack, what, why }: Gap): string {
  if (what === "record" || what === "copy") return `${stack}: ${why}`;
  if (what === "monitoring") return `${stack}: the monitoring could not be read: ${why}`;
  return what === "state"
    ? `${stack}: could not be read: ${why}`
    : `${stack}: releases and history could not be read: ${why}`;
}

export async function report({
  usage,
  args,
  request = { now: new Date() },
  sources = realSources(request.now),
}: {
  readonly usage: string;
  readonly args: readonly string[];
  readonly request?: ReportRequest;
  readonly sources?: FactSources;
}): Promise<Outcome> {
  const { values } = readArguments(usage, args, { html: { type: "string" } }, false);
  const { text, gaps } = await writeReport({ ...request, html: values.html }, sources);
  return { text: [text, ...gaps].join("\n"), exitCode: gaps.length === 0 ? 0 : 1 };
}

function realSources(now: Date): FactSources {
  // Ctrl-C ends the whole process: nothing is changed by then.
  const { signal } = new AbortController();
  const readCopy = copyReader({ pulumi: pulumiOnPath, signal });
  return {
    pulumi: pulumiOnPath,
    readRecords: readRecordsAnywhere({ readCopy, now }),
    readCost: costReader(pulumiOnPath, { fetch: systemFetch, now: () => now }),
    readMonitoring: monitoringReader({
      ...{ pulumi: pulumiOnPath, openServer, addresses: LOOPBACK },
      now: () => now,
    }),
  };
}
