/** One check: the engine's view, the vendor's records under our names, and since when. */
import { openDnsZone, type DnsRecord } from "../vendors/dns-records.ts";
import { describeLock, readLock } from "../server/lock.ts";
import type { Pulumi } from "../engine/cli.ts";
import type { Server } from "../server/connection.ts";
import { readSettings, type Settings } from "../engine/settings.ts";
import { UserError } from "../../common/user-error.ts";
import type { StackOutputs } from "../../stacks/deployment-status.ts";
import { editorName } from "../../stacks/environment.ts";
import { readDifferences, type Difference } from "./differences.ts";
import { layers } from "../../stacks/inventory.ts";
import { outcomeOf, type DriftReport, type Finding, type Gap } from "./finding.ts";
import { readGaps } from "./gaps.ts";
import { findExtraRecords, type ExtraRecords } from "./records.ts";
import { refresh, type Refreshed } from "./refresh.ts";
import { effectOf } from "./repairs.ts";
import { readSince } from "./since.ts";
import type { StateResource } from "../engine/state.ts";
import { isOnServer, readDeployedState, type DeployedState } from "./state.ts";

/** What a check and a repair reach. */
export interface World {
  readonly pulumi: Pulumi;
  readonly openServer: (outputs: Pick<StackOutputs, "ssh">) => Server;
  readonly fetch: typeof fetch;
  readonly now: () => Date;
}

export interface Checked {
  readonly report: DriftReport;
  readonly state: DeployedState;

  /** Undefined when it cannot be reached. */
  readonly server: Server | undefined;

  readonly differences: readonly Difference[];

  /** Whether all that could not be looked at are things whose providers fail, such as containers while dockerd is down. */
  readonly onlyProvidersFail: boolean;

  readonly extraRecords: readonly DnsRecord[];
  close(): void;
}

const REACH_SECONDS = 20;

/** A server that answers stays open until the result is closed. */
export async function checkDrift(
  stack: string,
  world: World,
  options: { readonly holdsLock?: boolean } = {},
): Promise<Checked> {
  const began = world.now();
  // Read while the state is: the engine's look at everything has both of a small machine's cores to itself.
  const settings = readSettings(stack, world.pulumi);
  settings.catch(() => undefined);
  const state = await readDeployedState(stack, world.pulumi);
  const { promise: answered, resolve: onAnswer } = Promise.withResolvers<undefined>();
  const reaching = reach(state, world, {
    holdsLock: options.holdsLock === true,
    onAnswer: () => onAnswer(undefined),
  });
  // Once the server answers, the engine may begin: its plugins start while we log in. Before, each of them would wait for one that does not.
  const early = await Promise.race([answered, reaching]);
  const onServer = state.things.filter(isOnServer);
  const without = early !== undefined && early.server === undefined ? onServer : [];
  try {
    const [{ server, gap: unreachable }, looked, extra] = await Promise.all([
      reaching,
      refresh({ stack, things: state.things, without }, world.pulumi),
      readExtraRecords(settings, state, world.fetch),
    ]);
    const refreshed = server === undefined ? leaveOut(looked, onServer) : looked;
    const differences = readDifferences(refreshed.steps);
    const since = await tellSince(differences, server);
    const findings = [
      ...differences.map((one, index) => findingOf(one, since.times[index])),
      ...extra.findings,
    ];
    const unread = readGaps(refreshed.unread, differences, state.all);
    const gaps: Gap[] = [
      ...(state.incomplete === undefined
        ? []
        : [{ what: "the rest of the deployment", reason: state.incomplete }]),
      ...(unreachable === undefined ? [] : [unreachable]),
      ...unread,
      ...extra.gaps,
      ...since.gaps,
    ];
    const ordered = layers.flatMap((layer) => findings.filter((one) => one.layer === layer));
    return {
      report: {
        stack,
        at: began.toISOString(),
        seconds: Math.round((world.now().getTime() - began.getTime()) / 100) / 10,
        outcome: outcomeOf({ findings, gaps }),
        findings: ordered,
        gaps,
      },
      state,
      server,
      differences,
      onlyProvidersFail: gaps.length === unread.length + since.gaps.length,
      extraRecords: extra.records,
      close: () => server?.close(),
    };
  } catch (error) {
    const { server } = await reaching;
    server?.close();
    throw error;
  }
}

/** What the engine saw of a server that then did not let us in, or on which somebody deploys, counts for nothing. */
function leaveOut({ steps, unread }: Refreshed, things: readonly StateResource[]): Refreshed {
  const urns = new Set(things.map(({ urn }) => urn));
  return {
    steps: steps.filter(({ urn }) => !urns.has(urn)),
    unread: new Map([...unread].filter(([urn]) => !urns.has(urn))),
  };
}

interface Reached {
  readonly server: Server | undefined;
  readonly gap: Gap | undefined;
}

/** Logs in to the server, unless somebody deploys on it. */
async function reach(
  state: DeployedState,
  world: World,
  { holdsLock, onAnswer }: { readonly holdsLock: boolean; readonly onAnswer: () => void },
): Promise<Reached> {
  const what = "the server and everything on it";
  if (state.ssh === undefined) {
    return { server: undefined, gap: { what, reason: "the deployment has not got to the server yet" } };
  }
  const server = world.openServer({ ssh: state.ssh });
  try {
    const patience = {
      timeoutSeconds: REACH_SECONDS,
      onAnswer() {
        void server.logInForDocker();
        onAnswer();
      },
    };
    if (holdsLock) {
      await server.run({ ...patience, purpose: "log in", script: "true" });
      return { server, gap: undefined };
    }
    const held = await readLock(server, patience);
    if (held === undefined || held.dead) return { server, gap: undefined };
    server.close();
    const reason = `something is being deployed, so what is there is not what will be: ${describeLock(held)}; check again when it has ended`;
    return { server: undefined, gap: { what, reason } };
  } catch (error) {
    server.close();
    if (!(error instanceof UserError)) throw error;
    return { server: undefined, gap: { what, reason: error.message } };
  }
}

async function readExtraRecords(
  settings: Promise<Settings>,
  { things }: DeployedState,
  send: typeof fetch,
): Promise<ExtraRecords & { readonly gaps: readonly Gap[] }> {
  try {
    const { environment, secrets } = await settings;
    const of = openDnsZone({ environment, secrets, fetch: send });
    const names = [environment.domain, editorName(environment)];
    const found = await findExtraRecords(names, { zone: environment.dns.zone, of }, things);
    return { ...found, gaps: [] };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const gap = { what: "DNS records that nobody declared", reason: error.message };
    return { records: [], findings: [], gaps: [gap] };
  }
}

async function tellSince(
  differences: readonly Difference[],
  server: Server | undefined,
): Promise<{ readonly times: readonly (Date | undefined)[]; readonly gaps: readonly Gap[] }> {
  if (server === undefined) return { times: [], gaps: [] };
  try {
    return { times: await readSince(differences, server), gaps: [] };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    // What differs is known all the same.
    return { times: [], gaps: [{ what: "since when", reason: error.message }] };
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
