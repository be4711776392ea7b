/**
 * One check: asks the engine, the program, the server and the vendor of the DNS records at the same time, then judges what they say.
 *
 * See docs/decisions/0010-drift-against-the-program.md for what is compared with what.
 */
import { UserError } from "../../common/user-error.ts";
import { layers } from "../../stacks/resource-kinds.ts";
import { readNewest, readPlace } from "../backup/read-back.ts";
import { isBackedUp, readBackupStatus } from "../backup/status.ts";
import type { Effects } from "../effects.ts";
import { environmentIn, readConfiguration, type Configuration } from "../engine/settings.ts";
import type { StateResource } from "../engine/state.ts";
import type { FolderRequest } from "../../stacks/workflows/folder.ts";
import { readFolderSet, readKeptSet } from "../workflows/released.ts";
import { otherMembers, readPatchesOf, type PatchesOf } from "../fleet/pending.ts";
import { readPatches, type Patches } from "../server/patches.ts";
import type { Server } from "../server/connection.ts";
import { openDnsZone } from "../../provider/dns/records.ts";
import { causesAmong, ranksOf, readUnchecked, type FindCause } from "./causes.ts";
import { compareWithDeclared, readDeclared, type Declared } from "./declared.ts";
import { deployedSettings, type DeployedSettings, type RestoredWorkflows } from "./deployed-settings.ts";
import { effectOf, readDifferences, readSince, type Difference } from "./differences.ts";
import { describeForeignRecord, findForeignRecords, type ForeignRecord } from "./foreign-records.ts";
import { attempt, reach, type Attempt, type Reached } from "./reach.ts";
import { refresh, type Refreshed } from "./refresh.ts";
import { backupFindings } from "./backups.ts";
import { maintenanceFindings } from "./maintenance.ts";
import { outcomeOf, type DriftReport, type Finding } from "./report.ts";
import { isOnServer, readDeployedState, type DeployedState } from "./state.ts";

/** What a check and a repair reach. */
export interface World extends Pick<Effects, "pulumi" | "openServer" | "now"> {
  readonly fetch: typeof fetch;

  /** Text of `Pulumi.<stack>.yaml`. */
  readonly readSettingsFile: (stack: string) => Promise<string>;

  /** Folder of the project. @default this one */
  readonly project?: string | undefined;
}

export interface Checked {
  readonly report: DriftReport;
  readonly state: DeployedState;

  /** Undefined when it cannot be reached. */
  readonly server: Server | undefined;

  /** Whether something is being deployed at the moment. */
  readonly isBusy: boolean;

  readonly differences: readonly Difference[];

  /** URNs of what could not be read. */
  readonly unreadable: readonly string[];

  readonly causeOf: FindCause;

  /** DNS records that nobody declared. */
  readonly foreignRecords: readonly ForeignRecord[];

  /** Undefined when they cannot be read. */
  readonly settings: DeployedSettings | undefined;
  close(): void;
}

/** Longest that the storage may take to say which sets it has. */
const STORAGE_MS = 60_000;

/** Also for a server of several that is away. */
const PATCHES_SECONDS = 60;

const RECORDS = "DNS records that nobody declared";

/** What everybody said. */
interface Answers {
  readonly reached: Reached;
  readonly refreshed: Refreshed;
  readonly declared: Attempt<Declared>;
  readonly records: Attempt<readonly ForeignRecord[]>;

  /** Undefined where nobody was asked. */
  readonly patches: Attempt<Patches | undefined>;

  /** Of several servers those of the others. */
  readonly others: readonly PatchesOf[];
  readonly backups: Attempt<readonly Finding[]>;
}

/** A server that answers stays open until the result is closed. `holdsLock`: whether this command holds the deployment's lock. */
export async function checkDrift(
  stack: string,
  world: World,
  { holdsLock = false }: { readonly holdsLock?: boolean } = {},
): Promise<Checked> {
  const began = world.now();
  const [state, configuration] = await Promise.all([
    readDeployedState(stack, world.pulumi),
    attempt("the settings", () => readConfiguration({ stack, showSecrets: true }, world.pulumi)),
  ]);
  const { promise: server, resolve: onServer } = Promise.withResolvers<Server | undefined>();
  const settings = settingsOf({ stack, state, configuration, server }, world);
  const answers = await ask({ stack, state, settings, holdsLock, onServer }, world);
  const { reached, records } = answers;
  try {
    const { report, ...judged } = await judge({ stack, state }, answers);
    const seconds = Math.round((world.now().getTime() - began.getTime()) / 100) / 10;
    return {
      ...judged,
      report: {
        ...report,
        ...{ stack, at: began.toISOString(), seconds },
        pending: [...(settings.value?.pending ?? []), ...(answers.declared.value?.pending ?? [])],
      },
      state,
      server: reached.value,
      isBusy: reached.isBusy === true,
      foreignRecords: records.value ?? [],
      settings: settings.value,
      close: () => reached.value?.close(),
    };
  } catch (error) {
    reached.value?.close();
    throw error;
  }
}

interface Asked {
  readonly stack: string;
  readonly state: DeployedState;
  readonly settings: Attempt<DeployedSettings>;
  readonly holdsLock: boolean;

  /** Called with the server, or without one where it cannot be reached. */
  readonly onServer: (server: Server | undefined) => void;
}

async function ask({ stack, state, settings, holdsLock, onServer }: Asked, world: World): Promise<Answers> {
  const { promise: answered, resolve: onAnswer } = Promise.withResolvers<undefined>();
  const reaching = reach(world, { state, holdsLock, onAnswer: () => onAnswer(undefined) });
  void reaching.then(
    ({ value }) => onServer(value),
    () => onServer(undefined),
  );
  const { record } = state;
  const declaring = settings.unchecked
    ? Promise.resolve(settings)
    : attempt("what the program declares", () =>
        readDeclared({ stack, record, settings: settings.value }, world.pulumi),
      );
  const listing = readForeignRecords(settings, state, world.fetch);
  try {
    // The engine starts its plugins while we log in, but only once the server answers: each plugin would wait for one that does not.
    const outcome = await Promise.race([answered, reaching]);
    const without = outcome?.unchecked === undefined ? [] : state.resources.filter(isOnServer);
    const [reached, refreshed, declared, records, patches, others, backups] = await Promise.all([
      reaching,
      refresh({ stack, resources: state.resources, without }, world.pulumi),
      declaring,
      listing,
      reaching.then(({ value: server }) =>
        attempt("pending upgrades", async () => server && (await readPatches(server))),
      ),
      reaching.then(({ isBusy }) => (isBusy === true ? [] : readOthers({ stack, state }, world))),
      reaching.then(({ value: server }) =>
        attempt("the age of the backups", () => lookAtBackups(server, settings, world)),
      ),
    ]);
    return { reached, refreshed, declared, records, patches, others, backups };
  } catch (error) {
    (await reaching).value?.close();
    throw error;
  }
}

async function readOthers(
  { stack, state }: Pick<Asked, "stack" | "state">,
  world: World,
): Promise<readonly PatchesOf[]> {
  return await readPatchesOf(otherMembers(stack, state.all), world, { timeoutSeconds: PATCHES_SECONDS });
}

async function lookAtBackups(
  server: Server | undefined,
  settings: Attempt<DeployedSettings>,
  { now, pulumi, fetch }: World,
): Promise<readonly Finding[]> {
  // Without settings there is a gap already.
  if (server === undefined || settings.unchecked) return [];
  const { environment } = settings.value;
  if (!isBackedUp(environment)) return [];
  const place = await readPlace(settings.value, pulumi);
  const limit = new AbortController();
  const silent = new UserError(`${place.bucket.address}: expected an answer within ${STORAGE_MS / 1000} s`);
  const timer = setTimeout(() => limit.abort(silent), STORAGE_MS);
  const reading = readNewest(place, { fetch, signal: limit.signal }).finally(() => clearTimeout(timer));
  const [status, stored] = await Promise.all([readBackupStatus(server), reading]);
  return backupFindings({ status, stored }, { environment, now: now().getTime() });
}

function settingsOf(
  about: {
    readonly stack: string;
    readonly state: DeployedState;
    readonly configuration: Attempt<Configuration>;
    readonly server: Promise<Server | undefined>;
  },
  { readSettingsFile: readFile, project }: World,
): Attempt<DeployedSettings> {
  const { stack, state, configuration, server } = about;
  if (configuration.unchecked) return configuration;
  const { record } = state;
  const request = { stack, configuration: configuration.value, record, readFile };
  const restoredWorkflows = (digest: string) =>
    readRestored(digest, { server, environment: environmentIn(stack, request.configuration), project });
  return { value: deployedSettings({ ...request, restoredWorkflows }) };
}

/** The workflows that a rollback has restored are on the server only; their credentials are those of today's folder. */
async function readRestored(
  digest: string,
  about: Pick<FolderRequest, "environment" | "project"> & { readonly server: Promise<Server | undefined> },
): Promise<RestoredWorkflows> {
  const server = await about.server;
  if (server === undefined)
    throw new UserError("the workflows that a rollback has restored are on the server, which was not read");
  const { signal } = new AbortController();
  const set = await readKeptSet(server, digest);
  const { credentials, problem = "technicia:workflows.enabled is false" } = await readFolderSet({
    ...about,
    signal,
    say: () => undefined,
  });
  if (credentials === undefined)
    throw new UserError(
      `the credentials of the workflows that a rollback has restored cannot be read: ${problem}`,
    );
  return { set, credentials };
}

/** `differences` are those of the engine's resources; the report has those of the DNS vendor's zone as well. */
async function judge(
  { stack, state }: { readonly stack: string; readonly state: DeployedState },
  { reached, refreshed, declared, records, patches, others, backups }: Answers,
) {
  const onServer = state.resources.filter(isOnServer);
  const { steps, unreadable } = reached.unchecked ? leaveOut(refreshed, onServer) : refreshed;
  const altered = (declared.value?.altered ?? []).filter((step) => !reached.unchecked || !isOnServer(step));
  const rankOf = ranksOf(state.all);
  // Of what hangs together the cause comes first.
  const differences = readDifferences(compareWithDeclared(steps, altered)).sort(
    (a, b) => rankOf(a.urn) - rankOf(b.urn),
  );
  const causeOf = causesAmong(differences, state.all);
  // Without dates, the differences are still known.
  const dates = await attempt("since when", async () =>
    reached.value ? await readSince(differences, reached.value) : [],
  );
  const findings = [
    ...differences.map((difference, index) =>
      findingOf(difference, { since: dates.value?.[index], because: causeOf(difference.urn) }),
    ),
    ...(records.value ?? []).map(describeForeignRecord),
    ...(patches.value === undefined ? [] : maintenanceFindings({ stack }, patches.value)),
    ...others.flatMap(({ name: server, patches: own }) =>
      "why" in own ? [] : maintenanceFindings({ stack, server }, own),
    ),
    ...(backups.value ?? []),
  ];
  const gaps = [
    state.incomplete && { what: "the rest of the deployment", reason: state.incomplete },
    reached.unchecked,
    ...readUnchecked(unreadable, causeOf),
    ...(state.incomplete ? [] : [declared.unchecked ?? declared.value?.gap]),
    ...[records.unchecked, dates.unchecked, patches.unchecked, backups.unchecked],
    ...others.flatMap(({ name, patches: own }) =>
      "why" in own ? [{ what: `pending upgrades of ${name}`, reason: own.why }] : [],
    ),
  ].filter((gap) => typeof gap === "object");
  const report = {
    outcome: outcomeOf({ findings, gaps }),
    findings: layers.flatMap((layer) => findings.filter((finding) => finding.layer === layer)),
    gaps,
  };
  return { report, differences, causeOf, unreadable: [...unreadable.keys()] };
}

/** What the engine saw of a server that did not let us in, or on which a deployment runs, counts for nothing. */
function leaveOut({ steps, unreadable }: Refreshed, resources: readonly StateResource[]): Refreshed {
  const urns = new Set(resources.map(({ urn }) => urn));
  return {
    steps: steps.filter(({ urn }) => !urns.has(urn)),
    unreadable: new Map([...unreadable].filter(([urn]) => !urns.has(urn))),
  };
}

async function readForeignRecords(
  settings: Attempt<DeployedSettings>,
  { resources }: DeployedState,
  send: typeof fetch,
): Promise<Attempt<readonly ForeignRecord[]>> {
  if (settings.unchecked) return { unchecked: { ...settings.unchecked, what: RECORDS } };
  const records = resources.filter(({ type }) => /DnsRecord$|ZoneRecord$/.test(type));
  const declared = new Set(records.map(({ id = "" }) => id));
  return await attempt(RECORDS, async () => {
    const { environment, secrets } = settings.value;
    const zone = openDnsZone({ environment, secrets, fetch: send });
    return await findForeignRecords({ environment, declared }, zone);
  });
}

function findingOf(
  difference: Difference,
  { since, because }: { readonly since: Date | undefined; readonly because: string | undefined },
): Finding {
  const { layer, resource, what, expected, found } = difference;
  const { repair, interruption } = effectOf(difference);
  return {
    layer,
    resource,
    what,
    expected: [...expected],
    found: [...found],
    ...(since === undefined ? {} : { since: since.toISOString() }),
    ...(because === undefined || because === resource ? {} : { because }),
    repair,
    ...(interruption === undefined ? {} : { interruption }),
  };
}
