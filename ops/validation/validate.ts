/** `npm run validate -- <stack>`: how the first day and the first week of each release were, recorded on the server and in the tracking document. */
import { UserError } from "../../common/user-error.ts";
import type { AuditEvent, Release } from "../../common/release.ts";
import { ENVIRONMENTS } from "../../reports/labels-fr.ts";
import type { Records } from "../../reports/facts.ts";
import {
  describeResult,
  dueWindows,
  verdictOf,
  type Finding,
  type Window,
} from "../../reports/validation/validation.ts";
import type { Outcome } from "../command.ts";
import { recordsOn } from "../documents/facts.ts";
import { readDeployedEnvironment, onMonitored, orReason } from "../monitoring/deployed.ts";
import { clean } from "../monitoring/alerts.ts";
import { readFaults } from "../monitoring/faults.ts";
import { availability } from "../monitoring/metric-catalog.ts";
import { neighbourSelector } from "../monitoring/metrics.ts";
import { readValues } from "../monitoring/metric-values.ts";
import { openStores, type Stores } from "../monitoring/stores.ts";
import type { MonitoringWorld } from "../monitoring/world.ts";
import { onServer } from "../on-server.ts";
import type { Server } from "../server/connection.ts";
import { appendHistory } from "../server/records.ts";
import type { Environment } from "../../stacks/environment.ts";
import { judge, type View } from "./judge.ts";
import { readMeasures } from "./measure.ts";

export interface ValidationWorld extends MonitoringWorld {
  /** Writes the rows of the stack into the tracking document, and says where. */
  readonly writeRows: (stack: string, records: Records) => Promise<string>;
}

/** Whoever waits for it learns that a release is worse than the one before. */
const WORSE = 1;

export async function validate(
  { stack, json }: { readonly stack: string; readonly json: boolean },
  world: ValidationWorld,
): Promise<Outcome> {
  return await onServer(stack, world, async (server) => {
    const environment = await readDeployedEnvironment(stack, world.pulumi);
    const records = await recordsOn(server);
    const stores = openStores(server, world.addresses);
    const results: Result[] = [];
    for (const window of dueWindows(records, world.now())) {
      const findings = await findingsOf({ stack, environment, window, records, stores }, world);
      const result = { window, findings };
      // Recorded one by one: what has been looked at stays known when the next one fails.
      await appendHistory(server, eventOf(result, world));
      results.push(result);
    }
    const written = await writeRows({ stack, server, results, records }, world);
    const text = json ? asJson(stack, results) : render(stack, results, written);
    const isWorse = results.some(({ window, findings }) => verdictOf(findings, window) === "worse");
    return { text, exitCode: isWorse ? WORSE : 0 };
  });
}

interface Result {
  readonly window: Window;
  readonly findings: readonly Finding[];
}

function eventOf(
  { window, findings }: Result,
  { now, identity }: Pick<MonitoringWorld, "now" | "identity">,
): AuditEvent {
  return {
    ...{ at: now().toISOString(), who: identity.who, action: "validation", reason: "" },
    detail: describeResult(window, findings),
    release: window.release.number,
  };
}

async function writeRows(
  {
    stack,
    server,
    results,
    records,
  }: {
    readonly stack: string;
    readonly server: Server;
    readonly results: readonly Result[];
    readonly records: Records;
  },
  { writeRows: write }: ValidationWorld,
): Promise<string> {
  // The document names three environments.
  if (!ENVIRONMENTS.some((known) => known.stack === stack)) return "";
  return await write(stack, results.length === 0 ? records : await recordsOn(server));
}

interface Looked {
  readonly stack: string;
  readonly environment: Environment;
  readonly window: Window;
  readonly records: Records;
  readonly stores: Stores;
}

async function findingsOf(looked: Looked, world: MonitoringWorld): Promise<readonly Finding[]> {
  const { environment, window, records, stores } = looked;
  if (!environment.monitoring.enabled)
    return [
      { what: "surveillance", verdict: "not-measured", text: "désactivée (technicia:monitoring.enabled)" },
    ];
  const evaluationSeconds = environment.monitoring.scrapeSeconds;
  const now = await readMeasures(stores, { environment, period: window });
  const before = window.before && (await readMeasures(stores, { environment, period: window.before }));
  const { from, until } = window;
  const faults = await readFaults(stores, { from, until, evaluationSeconds });
  const key = "availabilityFromTheServer";
  const inside: View = {
    from: "vue du serveur",
    value: now.values.get(key),
    before: before?.values.get(key),
  };
  const views = [...(await readOutside(looked, world)), inside];
  return judge({ window, environment, now, before, views, faults, backups: records.backups });
}

/** What each neighbour has seen. */
async function readOutside(
  { stack, environment, window }: Looked,
  world: MonitoringWorld,
): Promise<readonly View[]> {
  const views: View[] = [];
  for (const { stack: neighbour } of environment.monitoring.neighbours) {
    const from = `vue de ${neighbour}`;
    const found = await orReason(
      onMonitored(neighbour, world, async ({ stores, environment: theirs }) => {
        const { over } = availability(neighbourSelector(stack), theirs.monitoring.scrapeSeconds);
        const valueIn = async (period: { readonly from: Date; readonly until: Date }) => {
          const seconds = Math.max(300, Math.round((period.until.getTime() - period.from.getTime()) / 1000));
          const query = over({ text: `${seconds}s`, seconds });
          return (await readValues(stores, { queries: [query], at: period.until }))[0];
        };
        return { value: await valueIn(window), before: window.before && (await valueIn(window.before)) };
      }),
    );
    const unknown = { from, value: undefined, before: undefined };
    views.push(
      found instanceof UserError
        ? { ...unknown, why: `illisible (${clean(found.message)})` }
        : { from, ...found },
    );
  }
  return views;
}

function render(stack: string, results: readonly Result[], written: string): string {
  const texts = results.map(({ window, findings }) =>
    [
      `release ${window.release.number}, J+${window.day}: ${verdictOf(findings, window)}`,
      ...(window.replacedBy === undefined ? [] : [`    replaced by ${window.replacedBy.number}`]),
      ...findings.map(({ what, verdict, text }) => `    ${verdict.padEnd(13)}${what}: ${text}`),
    ].join("\n"),
  );
  const none = `${stack}: no first day and no first week of a release has ended since the last time`;
  return [...(texts.length === 0 ? [none] : texts), ...(written === "" ? [] : [written])].join("\n");
}

function asJson(stack: string, results: readonly Result[]): string {
  const validations = results.map(({ window, findings }) => ({
    ...{ release: numberOf(window.release), day: window.day, verdict: verdictOf(findings, window) },
    ...{ from: window.from.toISOString(), until: window.until.toISOString() },
    replacedBy: window.replacedBy === undefined ? null : numberOf(window.replacedBy),
    findings,
  }));
  return JSON.stringify({ stack, validations }, null, 2);
}

function numberOf({ number }: Release): number {
  return number;
}
