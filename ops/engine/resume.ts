/** Brings the state up to date after a run that was killed, or after the server was reinstalled. */
import { z } from "zod";

import { runOpenssh, SSH_FAILED } from "../server/connection.ts";
import { openDnsZone } from "../vendors/dns-records.ts";
import { nameOf } from "../../common/urn.ts";
import { UserError } from "../../common/user-error.ts";
import { onlyStack, readArguments, type Commands } from "../command.ts";
import { pulumiOnPath, type Pulumi } from "./cli.ts";
import { readSettings } from "./settings.ts";
import { readState, type StateResource } from "./state.ts";

export const commands: Commands = {
  resume: {
    usage: "npm run resume -- <stack> [--reinstalled]",
    summary: "resolves what a killed run left pending, or removes a lost installation from the state",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, { reinstalled: { type: "boolean" } });
      const stack = onlyStack(this.usage, positionals);
      if (values.reinstalled === true) {
        const names = await forgetReinstalled(stack, pulumiOnPath);
        const text = `removed ${names.length} resources of the lost installation from the state: ${names.join(", ")}
now set the server up again: npx pulumi up --stack ${stack}`;
        return { text, exitCode: 0 };
      }
      const { adopted, forgotten, refreshed } = await resume(stack, pulumiOnPath);
      const lines = [
        ...adopted.map((name) => `added to the state: ${name}`),
        ...forgotten.map((name) => `was not created, or can safely be created again: ${name}`),
        ...refreshed.map((name) => `refreshed: ${name}`),
      ];
      return { text: lines.length === 0 ? "nothing was left pending" : lines.join("\n"), exitCode: 0 };
    },
  },
};

/** Docker's command that prints the id of what a resource type names. */
const DOCKER: Readonly<Record<string, string>> = {
  "docker:index/network:Network": "docker network inspect --format '{{.Id}}'",
  "docker:index/volume:Volume": "docker volume inspect --format '{{.Name}}'",
  "docker:index/secret:Secret": "docker secret inspect --format '{{.ID}}'",
  "docker:index/service:Service": "docker service inspect --format '{{.ID}}'",
  "docker:index/container:Container": "docker container inspect --format '{{.Id}}'",
};

type Properties = NonNullable<StateResource["inputs"]>;

type Wanted = Readonly<Record<"name" | "type" | "content", string>>;

/** What a DNS record of the state asks for, in the words of its vendor. */
const DNS: Readonly<Record<string, (inputs: Properties) => Wanted>> = {
  "cloudflare:index/dnsRecord:DnsRecord": (inputs) => {
    const { name, type, content, data } = cloudflareRecord.parse(inputs);
    return { name, type, content: content ?? (data ? `${data.flags} ${data.tag} "${data.value}"` : "") };
  },
  "ovh:Domain/zoneRecord:ZoneRecord": (inputs) => {
    const { zone, subdomain, fieldtype, target } = ovhRecord.parse(inputs);
    return { name: subdomain === "" ? zone : `${subdomain}.${zone}`, type: fieldtype, content: target };
  },
};
const cloudflareRecord = z.object({
  name: z.string(),
  type: z.string(),
  content: z.string().optional(),
  data: z.object({ flags: z.number(), tag: z.string(), value: z.string() }).optional(),
});
const ovhRecord = z.object({
  zone: z.string(),
  subdomain: z.string().default(""),
  fieldtype: z.string(),
  target: z.string(),
});

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
    if (id) adopted.push({ ...made, id, outputs: made.inputs });
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
  if (made.type in DNS) return findRecord(made);
  const command = DOCKER[made.type];
  const { name } = made.inputs ?? {};
  const provider = resources.find(({ urn }) => made.provider?.startsWith(`${urn}::`) === true);
  if (command === undefined || provider === undefined || typeof name !== "string") return undefined;
  return (await onServer(provider, `${command} '${name}'`))?.trim();
}

async function findDnsRecord(
  made: StateResource,
  stack: string,
  pulumi: Pulumi,
): Promise<string | undefined> {
  const wanted = DNS[made.type]?.(made.inputs ?? {});
  if (wanted === undefined) return undefined;
  const zone = openDnsZone(await readSettings(stack, pulumi));
  const records = await zone.list(wanted.name);
  return records.find(({ type, content }) => type === wanted.type && content === wanted.content)?.id;
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

/**
 * After the server was reinstalled or replaced: everything on its disk is gone, and the state does not know.
 *
 * A refresh cannot find out: the server no longer has the host key that the state requires, and that may as well be an attack.
 * So OVH is asked. If its installation number is not the one under which the host was set up, everything on the host leaves the state, and
 * the next `up` sets up a new host. Returns the names of what left the state; fails, and changes nothing, when OVH knows of no other installation.
 */
export async function forgetReinstalled(stack: string, pulumi: Pulumi): Promise<readonly string[]> {
  const { urn } = findServer((await readState(stack, pulumi)).resources, stack);
  await pulumi({ args: ["refresh", "--yes", "--skip-preview", "--stack", stack, "--target", urn] });

  const state = await readState(stack, pulumi);
  const { resources } = state;
  const installation = findServer(resources, stack).outputs?.["serverId"];
  const isOutdated = ({ type, inputs: { serverId } = {} }: StateResource) =>
    (type === "technicia:host:HostKey" || type === "pulumi:providers:technicia") &&
    serverId !== undefined &&
    serverId !== installation;
  if (typeof installation !== "string" || !resources.some(isOutdated)) {
    throw new UserError(
      `${stack}: OVH has not reinstalled the server: it has the installation that the state knows (${String(installation)}); nothing was removed from the state. If another host key answers all the same, somebody changed it on the server, or another machine answers in its place`,
    );
  }
  const outdated = new Set(resources.filter(isOutdated).map(({ urn: name, id }) => `${name}::${id}`));
  const isLost = (one: StateResource) =>
    isOutdated(one) || outdated.has(one.provider ?? "") || one.type.startsWith("docker:");
  const left = resources.filter((one) => !isLost(one));
  const names = new Set(left.map((one) => one.urn));
  await state.replace({ ...state, resources: left.map((one) => withDependencies(one, names)) });
  return resources.filter(isLost).map((one) => nameOf(one.urn));
}

function findServer(resources: readonly StateResource[], stack: string): StateResource {
  const server = resources.find(({ type }) => type === "technicia:ovh:Vps");
  if (!server) throw new UserError(`${stack}: there is no server in the state; run pulumi up`);
  return server;
}

/** The engine refuses a state with dependencies on missing resources. */
function withDependencies(one: StateResource, names: ReadonlySet<string>): StateResource {
  const { dependencies, propertyDependencies } = one;
  const still = (list: readonly string[] | null) => (list ?? []).filter((name) => names.has(name));
  return {
    ...one,
    ...(dependencies && { dependencies: still(dependencies) }),
    ...(propertyDependencies && {
      propertyDependencies: Object.fromEntries(
        Object.entries(propertyDependencies).map(([property, list]) => [property, still(list)]),
      ),
    }),
  };
}
