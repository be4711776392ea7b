/** Everything that a check asks, at the same time: the engine, the server, the vendor of the DNS records. */
import { UserError } from "../../common/user-error.ts";
import type { StackOutputs } from "../../stacks/deployment-status.ts";
import { editorName } from "../../stacks/environment.ts";
import type { Pulumi } from "../engine/cli.ts";
import { readSettings, type Settings } from "../engine/settings.ts";
import type { StateResource } from "../engine/state.ts";
import type { Server } from "../server/connection.ts";
import { describeLock, readLock } from "../server/lock.ts";
import { openDnsZone, type DnsRecord } from "../vendors/dns-records.ts";
import { readDifferences, type Difference } from "./differences.ts";
import { findExtraRecords } from "./extra-records.ts";
import type { Unchecked } from "./finding.ts";
import { refresh, type Refreshed } from "./refresh.ts";
import { readSince } from "./since.ts";
import { isOnServer, readDeployedState, type DeployedState } from "./state.ts";

/** What a check and a repair reach. */
export interface World {
  readonly pulumi: Pulumi;
  readonly openServer: (outputs: Pick<StackOutputs, "ssh">) => Server;
  readonly fetch: typeof fetch;
  readonly now: () => Date;
}

export interface LookRequest {
  readonly stack: string;

  /** Whether this command holds the deployment's lock on the server. */
  readonly holdsLock: boolean;
}

/** An answer, or why there is none. */
export type Attempt<T> =
  | { readonly value: T; readonly unchecked?: undefined }
  | { readonly value?: undefined; readonly unchecked: Unchecked };

export interface Seen {
  readonly state: DeployedState;

  /** Stays open. */
  readonly server: Attempt<Server>;

  readonly differences: readonly Difference[];

  /** In the order of the differences. */
  readonly dates: Attempt<readonly (Date | undefined)[]>;

  /** URN of what the engine could not read → why. */
  readonly unreadable: ReadonlyMap<string, string>;

  /** DNS records under our names that nobody declared. */
  readonly extraRecords: Attempt<readonly DnsRecord[]>;
}

const REACH_SECONDS = 20;

export async function look({ stack, holdsLock }: LookRequest, world: World): Promise<Seen> {
  const [state, settings] = await Promise.all([
    readDeployedState(stack, world.pulumi),
    attempt(RECORDS, () => readSettings(stack, world.pulumi)),
  ]);
  const { promise: answered, resolve: onAnswer } = Promise.withResolvers<undefined>();
  const reaching = reach({ state, holdsLock, onAnswer: () => onAnswer(undefined) }, world);
  // The engine starts its plugins while we log in, but only once the server answers: each plugin would wait for one that does not.
  const outcome = await Promise.race([answered, reaching]);
  const onServer = state.resources.filter(isOnServer);
  const without = outcome?.unchecked === undefined ? [] : onServer;
  try {
    const [server, refreshed, extraRecords] = await Promise.all([
      reaching,
      refresh({ stack, resources: state.resources, without }, world.pulumi),
      readExtraRecords({ settings, state }, world.fetch),
    ]);
    const { steps, unreadable } = server.unchecked ? leaveOut(refreshed, onServer) : refreshed;
    const differences = readDifferences(steps);
    // Without dates, the differences are still known.
    const dates = await attempt("since when", async () =>
      server.value ? await readSince(differences, server.value) : [],
    );
    return { state, server, differences, dates, unreadable, extraRecords };
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

interface Reaching {
  readonly state: DeployedState;
  readonly holdsLock: boolean;

  /** Called as soon as the server answers, before it is known whether it lets us in. */
  readonly onAnswer: () => void;
}

/** Logs in to the server, unless a deployment runs on it. */
async function reach({ state, holdsLock, onAnswer }: Reaching, world: World): Promise<Attempt<Server>> {
  const what = "the server and everything on it";
  if (state.ssh === undefined)
    return { unchecked: { what, reason: "the deployment has not got to the server yet" } };
  const server = world.openServer({ ssh: state.ssh });
  const reached = await attempt(what, async () => {
    const options = {
      timeoutSeconds: REACH_SECONDS,
      onAnswer() {
        void server.logInForDocker();
        onAnswer();
      },
    };
    if (!holdsLock) await refuseLocked(server, options);
    else await server.run({ ...options, purpose: "log in", script: "true" });
    return server;
  });
  if (reached.unchecked) server.close();
  return reached;
}

async function refuseLocked(server: Server, options: Parameters<typeof readLock>[1]): Promise<void> {
  const held = await readLock(server, options);
  if (held === undefined || held.dead) return;
  throw new UserError(
    `something is being deployed, so what is there is not what will be: ${describeLock(held)}; check again when it has ended`,
  );
}

const RECORDS = "DNS records that nobody declared";

async function readExtraRecords(
  { settings, state }: { readonly settings: Attempt<Settings>; readonly state: DeployedState },
  send: typeof fetch,
): Promise<Attempt<readonly DnsRecord[]>> {
  if (settings.unchecked) return settings;
  const { environment, secrets } = settings.value;
  return await attempt(RECORDS, () =>
    findExtraRecords({
      names: [environment.domain, editorName(environment)],
      zone: environment.dns.zone,
      dns: openDnsZone({ environment, secrets, fetch: send }),
      declared: state.resources,
    }),
  );
}

async function attempt<T>(what: string, work: () => Promise<T>): Promise<Attempt<T>> {
  try {
    return { value: await work() };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { unchecked: { what, reason: error.message } };
  }
}
