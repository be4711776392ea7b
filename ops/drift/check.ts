/** One check: asks the engine, the server and the vendor of the DNS records at the same time, then judges what they say. */
import { NOTHING_EXTRA } from "../../common/nothing-extra.ts";
import { UserError } from "../../common/user-error.ts";
import { editorName } from "../../stacks/environment.ts";
import { layers } from "../../stacks/resource-kinds.ts";
import type { Effects } from "../effects.ts";
import { readSettings, type Settings } from "../engine/settings.ts";
import type { StateResource } from "../engine/state.ts";
import type { Server } from "../server/connection.ts";
import { describeLock, readLock } from "../server/lock.ts";
import { openDnsZone, type DnsRecord } from "../vendors/dns-records.ts";
import { effectOf, readDifferences, readSince, type Difference } from "./differences.ts";
import { readUnchecked, refresh, type Refreshed } from "./refresh.ts";
import { outcomeOf, type DriftReport, type Finding, type Unchecked } from "./report.ts";
import { isOnServer, readDeployedState, type DeployedState } from "./state.ts";

/** What a check and a repair reach. */
export interface World extends Pick<Effects, "pulumi" | "openServer" | "now"> {
  readonly fetch: typeof fetch;
}

export interface Checked {
  readonly report: DriftReport;
  readonly state: DeployedState;

  /** Undefined when it cannot be reached. */
  readonly server: Server | undefined;

  readonly differences: readonly Difference[];

  /** Whether everything that could not be checked is read through a provider that fails, such as Docker's while dockerd is down. */
  readonly onlyProvidersFail: boolean;

  /** DNS records under our names that nobody declared. */
  readonly extraRecords: readonly DnsRecord[];
  close(): void;
}

/** An answer, or why there is none. */
type Attempt<T> =
  | { readonly value: T; readonly unchecked?: undefined }
  | { readonly value?: undefined; readonly unchecked: Unchecked };

const REACH_SECONDS = 20;

const RECORDS = "DNS records that nobody declared";

/** At the top of a zone these belong to the zone: its servers, its mail, its proofs of ownership. */
const OF_THE_ZONE = /^(NS|SOA|MX|TXT|DNSKEY|DS|CDS|CDNSKEY)$/;

/** A server that answers stays open until the result is closed. `holdsLock`: whether this command holds the deployment's lock. */
export async function checkDrift(
  stack: string,
  world: World,
  { holdsLock = false }: { readonly holdsLock?: boolean } = {},
): Promise<Checked> {
  const began = world.now();
  const [state, settings] = await Promise.all([
    readDeployedState(stack, world.pulumi),
    attempt(RECORDS, () => readSettings(stack, world.pulumi)),
  ]);
  const { promise: answered, resolve: onAnswer } = Promise.withResolvers<undefined>();
  const reaching = reach(world, { state, holdsLock, onAnswer: () => onAnswer(undefined) });
  // The engine starts its plugins while we log in, but only once the server answers: each plugin would wait for one that does not.
  const outcome = await Promise.race([answered, reaching]);
  const onServer = state.resources.filter(isOnServer);
  const without = outcome?.unchecked === undefined ? [] : onServer;
  try {
    const [server, refreshed, records] = await Promise.all([
      reaching,
      refresh({ stack, resources: state.resources, without }, world.pulumi),
      readExtraRecords(settings, state, world.fetch),
    ]);
    const { steps, unreadable } = server.unchecked ? leaveOut(refreshed, onServer) : refreshed;
    const differences = readDifferences(steps);
    // Without dates, the differences are still known.
    const dates = await attempt("since when", async () =>
      server.value ? await readSince(differences, server.value) : [],
    );
    const extraRecords = records.value ?? [];
    const findings = [
      ...differences.map((difference, index) => findingOf(difference, dates.value?.[index])),
      ...extraRecords.map(describeExtraRecord),
    ];
    const gaps = [
      state.incomplete && { what: "the rest of the deployment", reason: state.incomplete },
      server.unchecked,
      ...readUnchecked({ unreadable, differences, resources: state.all }),
      ...[records.unchecked, dates.unchecked],
    ].filter((gap) => typeof gap === "object");
    const report = {
      stack,
      at: began.toISOString(),
      seconds: Math.round((world.now().getTime() - began.getTime()) / 100) / 10,
      outcome: outcomeOf({ findings, gaps }),
      findings: layers.flatMap((layer) => findings.filter((finding) => finding.layer === layer)),
      gaps,
    };
    const onlyProvidersFail = !state.incomplete && !server.unchecked && !records.unchecked;
    const close = () => server.value?.close();
    return { report, state, server: server.value, differences, onlyProvidersFail, extraRecords, close };
  } catch (error) {
    (await reaching).value?.close();
    throw error;
  }
}

/** What the engine saw of a server that did not let us in, or on which a deployment runs, counts for nothing. */
function leaveOut({ steps, unreadable }: Refreshed, resources: readonly StateResource[]): Refreshed {
  const urns = new Set(resources.map(({ urn }) => urn));
  return {
    steps: steps.filter(({ urn }) => !urns.has(urn)),
    unreadable: new Map([...unreadable].filter(([urn]) => !urns.has(urn))),
  };
}

/** Logs in to the server, unless a deployment runs on it. `onAnswer` is called before it is known whether the server lets us in. */
async function reach(
  world: World,
  request: { readonly state: DeployedState; readonly holdsLock: boolean; readonly onAnswer: () => void },
): Promise<Attempt<Server>> {
  const what = "the server and everything on it";
  const { ssh } = request.state;
  if (ssh === undefined)
    return { unchecked: { what, reason: "the deployment has not got to the server yet" } };
  const server = world.openServer({ ssh });
  const options = {
    timeoutSeconds: REACH_SECONDS,
    onAnswer() {
      void server.logInForDocker();
      request.onAnswer();
    },
  };
  const reached = await attempt(what, async () => {
    if (request.holdsLock) {
      await server.run({ ...options, purpose: "log in", script: "true" });
      return server;
    }
    const held = await readLock(server, options);
    if (held === undefined || held.dead) return server;
    throw new UserError(
      `something is being deployed, so what is there is not what will be: ${describeLock(held)}; check again when it has ended`,
    );
  });
  if (reached.unchecked) server.close();
  return reached;
}

async function readExtraRecords(
  settings: Attempt<Settings>,
  { resources }: DeployedState,
  send: typeof fetch,
): Promise<Attempt<readonly DnsRecord[]>> {
  if (settings.unchecked) return settings;
  const { environment, secrets } = settings.value;
  const declared = resources.filter(({ type }) => /DnsRecord$|ZoneRecord$/.test(type));
  const ids = new Set(declared.map(({ id = "" }) => id));
  return await attempt(RECORDS, async () => {
    const zone = openDnsZone({ environment, secrets, fetch: send });
    const records: DnsRecord[] = [];
    // Exactly these names: a host below them is not ours.
    for (const name of [environment.domain, editorName(environment)]) {
      const isTop = name === environment.dns.zone;
      const found = await zone.list(name);
      records.push(...found.filter(({ id, type }) => !ids.has(id) && !(isTop && OF_THE_ZONE.test(type))));
    }
    return records;
  });
}

async function attempt<T>(what: string, work: () => Promise<T>): Promise<Attempt<T>> {
  try {
    return { value: await work() };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { unchecked: { what, reason: error.message } };
  }
}

function findingOf(difference: Difference, since: Date | undefined): Finding {
  const { layer, resource, what, expected, found } = difference;
  return {
    layer,
    resource,
    what,
    expected: [...expected],
    found: [...found],
    ...(since === undefined ? {} : { since: since.toISOString() }),
    ...effectOf(difference),
  };
}

function describeExtraRecord({ name, type, content }: DnsRecord): Finding {
  return {
    layer: "dns",
    resource: name,
    what: `${type} record that nobody declared`,
    expected: [NOTHING_EXTRA],
    found: [`${type} ${content}`],
    repair: "it is deleted; resolvers keep the answer until its time to live ends",
  };
}
