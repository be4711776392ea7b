/** Brings the state up to date after a run that was killed. */
import { runOpenssh, SSH_FAILED } from "../server/connection.ts";
import { isWanted, openDnsZone, wantedRecord } from "../../provider/dns/records.ts";
import { nameOf } from "../../common/urn.ts";
import { UserError } from "../../common/user-error.ts";
import type { Pulumi } from "./cli.ts";
import { readSettings } from "./settings.ts";
import { readState, type StateResource } from "./state.ts";

/** Docker's command that prints the id of what a resource type names. */
const DOCKER: Readonly<Record<string, string>> = {
  "docker:index/network:Network": "docker network inspect --format '{{.Id}}'",
  "docker:index/volume:Volume": "docker volume inspect --format '{{.Name}}'",
  "docker:index/secret:Secret": "docker secret inspect --format '{{.ID}}'",
  "docker:index/service:Service": "docker service inspect --format '{{.ID}}'",
  "docker:index/container:Container": "docker container inspect --format '{{.Id}}'",
};

/** Runs a command on the server that a docker provider of the state names; undefined when it fails there. */
export type OnServer = (provider: StateResource, command: string) => Promise<string | undefined>;

/** Gives the id under which a DNS record exists; undefined when it does not. */
export type FindRecord = (record: StateResource) => Promise<string | undefined>;

export interface Resumed {
  readonly adopted: readonly string[];
  readonly forgotten: readonly string[];
  /** Half changed or half removed. */
  readonly refreshed: readonly string[];
}

/**
 * After a run that was killed: the state lists what was being created; the server and the vendors know what was created.
 *
 * What Docker or the name servers made and the state has not would make the next `up` fail for its name; its id is looked up and the resource is
 * put into the state, where a refresh completes it. What was not created is forgotten. Our own provider's resources can be created again
 * safely and need none of this. (`pulumi refresh --import-pending-creates` only marks the operation; it brings nothing into the state.)
 */
export async function resume(
  stack: string,
  pulumi: Pulumi,
  onServer: OnServer = overSsh,
  findRecord: FindRecord = (record) => findDnsRecord(record, stack, pulumi),
): Promise<Resumed> {
  const state = await readState(stack, pulumi);
  const { resources, pending } = state;
  if (pending.length === 0) return { adopted: [], forgotten: [], refreshed: [] };

  const known = new Set(resources.map(({ urn }) => urn));
  const adopted: StateResource[] = [];
  const creating = pending.filter(({ type, resource: { urn } }) => type === "creating" && !known.has(urn));
  for (const { resource: made } of creating) {
    const id = await lookUp(made, resources, onServer, findRecord);
    // The refresh below reads the real outputs.
    // Cloudflare's plugin takes the id from the outputs.
    if (id) adopted.push({ ...made, id, outputs: { ...made.inputs, ...(isRecord(made) && { id }) } });
  }
  await state.replace({ resources: [...resources, ...adopted], pending: [] });

  const halfway = pending.map(({ resource: { urn } }) => urn).filter((urn) => known.has(urn));
  const targets = [...adopted.map(({ urn }) => urn), ...halfway].flatMap((urn) => ["--target", urn]);
  if (targets.length > 0) {
    await pulumi({ args: ["refresh", "--yes", "--skip-preview", "--stack", stack, ...targets] });
  }
  const isAdopted = new Set(adopted.map(({ urn }) => urn));
  return {
    adopted: [...isAdopted].map(nameOf),
    forgotten: creating
      .map(({ resource: { urn } }) => urn)
      .filter((urn) => !isAdopted.has(urn))
      .map(nameOf),
    refreshed: halfway.map(nameOf),
  };
}

async function lookUp(
  made: StateResource,
  resources: readonly StateResource[],
  onServer: OnServer,
  findRecord: FindRecord,
): Promise<string | undefined> {
  if (isRecord(made)) return findRecord(made);
  const command = DOCKER[made.type];
  const { name } = made.inputs ?? {};
  const provider = resources.find(({ urn }) => made.provider?.startsWith(`${urn}::`) === true);
  if (command === undefined || provider === undefined || typeof name !== "string") return undefined;
  return (await onServer(provider, `${command} '${name}'`))?.trim();
}

function isRecord({ type, inputs }: StateResource): boolean {
  return wantedRecord(type, inputs) !== undefined;
}

async function findDnsRecord(
  made: StateResource,
  stack: string,
  pulumi: Pulumi,
): Promise<string | undefined> {
  const wanted = wantedRecord(made.type, made.inputs);
  if (wanted === undefined) return undefined;
  const zone = openDnsZone(await readSettings(stack, pulumi));
  const records = await zone.list(wanted.name);
  return records.find((record) => isWanted(record, wanted))?.id;
}

/** Uses the address and the ssh options of the provider itself. */
async function overSsh(provider: StateResource, command: string): Promise<string | undefined> {
  const { host, sshOpts } = provider.inputs ?? {};
  const url = typeof host === "string" ? URL.parse(host) : null;
  // In the state a provider's inputs are text; lists are JSON.
  const options: unknown = typeof sshOpts === "string" ? JSON.parse(sshOpts) : sshOpts;
  if (url === null || !Array.isArray(options)) {
    throw new UserError(
      "the state: expected a docker provider with an ssh address, got another; run pulumi refresh by hand",
    );
  }
  const target = { address: url.hostname, port: Number(url.port || 22), user: url.username };
  const { code, stdout, stderr } = await runOpenssh({ ...target, options: options.map(String) }, command);
  // Nothing is known then about what exists, so nothing may be forgotten.
  if (code === SSH_FAILED) {
    throw new UserError(
      `ssh to ${target.address} failed: ${stderr.trim()}; fix this and run the command again`,
    );
  }
  return code === 0 ? stdout : undefined;
}
