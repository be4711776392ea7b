/** Takes out of the state what was on a server's disk before it was reinstalled. */
import { nameOf } from "../../common/urn.ts";
import { UserError } from "../../common/user-error.ts";
import { askFingerprint } from "../../provider/ssh/host.ts";
import { serverOf } from "../../stacks/inventory-servers.ts";
import type { Pulumi } from "./cli.ts";
import { FIRST } from "./deployed-servers.ts";
import { readState, type State, type StateResource } from "./state.ts";

/** OVH knows the installation that the state knows, so nothing of it is lost. */
export class NotReinstalled extends UserError {
  override readonly name = "NotReinstalled";
}

export interface ReinstalledOptions {
  /**
   * Fingerprint of the new installation's host key, which a person has read on the server's own console: for a reinstallation that OVH no longer
   * lists.
   */
  readonly hostKey?: string | undefined;

  /** Fingerprint of the key with which a host answers. */
  readonly askHostKey?: typeof askFingerprint;
}

/**
 * After the server was reinstalled or replaced: everything on its disk is gone, and the state does not know.
 *
 * A refresh cannot find out: the server no longer has the host key that the state requires, and that may as well be an attack.
 * So OVH is asked, or a person who has read the new key. If OVH's installation number is not the one under which the host was set up, everything
 * on the host leaves the state, and the next `up` sets up a new host. Returns the names of what left the state; fails, and changes nothing, when
 * neither knows of another installation.
 */
export async function forgetReinstalled(
  stack: string,
  pulumi: Pulumi,
  { hostKey, askHostKey = askFingerprint }: ReinstalledOptions = {},
): Promise<readonly string[]> {
  const targets = findServers((await readState(stack, pulumi)).resources, stack).flatMap(({ urn }) => [
    "--target",
    urn,
  ]);
  await pulumi({ args: ["refresh", "--yes", "--skip-preview", "--stack", stack, ...targets] });

  const state = await readState(stack, pulumi);
  const { resources } = state;
  const isOutdated =
    hostKey === undefined
      ? outdatedForOvh(resources, stack)
      : await outdatedForKey(resources, { stack, hostKey, askHostKey });
  return await forget(state, isOutdated);
}

/** Bound to the address of a server, and gone at OVH with it. */
const OF_ADDRESS: readonly string[] = [
  "technicia:ovh:EdgeFirewall",
  "technicia:ovh:ReverseName",
  "ovh:Ip/reverse:Reverse",
];

/** A server that is lost: its name in the resources of several, `FIRST` for the first one and for an only one. */
interface LostServer {
  readonly server: string;
}

/**
 * Another server takes the place of one that is lost: the server leaves the state with everything on it, and protection does not hold that up.
 * With `isGone` the same goes for what OVH kept for its address; otherwise the next update deletes that there.
 */
export async function forgetServer(
  stack: string,
  pulumi: Pulumi,
  { isGone, server }: LostServer & { readonly isGone: boolean },
): Promise<readonly string[]> {
  const state = await readState(stack, pulumi);
  return await forget(
    state,
    (one) =>
      keyOfResource(one) === server &&
      (isTiedToHost(one) || one.type === "technicia:ovh:Vps" || (isGone && OF_ADDRESS.includes(one.type))),
  );
}

/**
 * A server that still has its entry in the state's list of OVH's servers is down for good: everything that was on it leaves the state, because
 * nobody can change or delete it there. What OVH and the DNS vendor keep for it stays.
 */
export async function forgetHost(
  stack: string,
  pulumi: Pulumi,
  { server }: LostServer,
): Promise<readonly string[]> {
  const state = await readState(stack, pulumi);
  return await forget(state, (one) => isTiedToHost(one) && keyOfResource(one) === server);
}

type Judge = (one: StateResource) => boolean;

/** Removes these resources, what their connections created, and what was in their Docker. Gives the names. */
async function forget(state: State, isOutdated: Judge): Promise<readonly string[]> {
  const { resources } = state;
  const outdated = new Set(resources.filter(isOutdated).map(({ urn: name, id }) => `${name}::${id}`));
  const isInDocker = dockerOf(resources, isOutdated);
  const isLost = (one: StateResource) =>
    isOutdated(one) || outdated.has(one.provider ?? "") || isInDocker(one);
  const left = resources.filter((one) => !isLost(one));
  const names = new Set(left.map((one) => one.urn));
  await state.replace({ ...state, resources: left.map((one) => withDependencies(one, names)) });
  return resources.filter(isLost).map((one) => nameOf(one.urn));
}

/** On the disk of the server that created them. */
const ON_DISK: readonly string[] = ["docker:index/volume:Volume", "docker:index/container:Container"];

/** Of several servers the others keep what the Swarm knows; of an only one all of it is lost. */
function dockerOf(resources: readonly StateResource[], isOutdated: Judge): Judge {
  const hosts = new Set(resources.filter(isTiedToHost).map(keyOfResource));
  if (hosts.size < 2) return ({ type }) => type.startsWith("docker:");
  const lost = new Set(resources.filter(isOutdated).map(keyOfResource));
  return ({ type, provider = "" }) =>
    ON_DISK.includes(type) && lost.has(keyOfResource({ urn: provider.split("::").slice(0, -1).join("::") }));
}

/** Name of the server in a resource that each server has. */
function keyOfResource({ urn }: Pick<StateResource, "urn">): string {
  return serverOf(nameOf(urn)) ?? FIRST;
}

/** What was set up under another installation than the one that OVH knows now. */
function outdatedForOvh(resources: readonly StateResource[], stack: string): Judge {
  const installations = new Map(
    findServers(resources, stack).map((server) => [keyOfResource(server), server.outputs?.["serverId"]]),
  );
  const isOutdated = (one: StateResource) => {
    const installation = installations.get(keyOfResource(one));
    return isTiedToHost(one) && typeof installation === "string" && one.inputs?.["serverId"] !== installation;
  };
  if (resources.some(isOutdated)) return isOutdated;
  const known = [...installations.values()].map(String).join(", ");
  throw new NotReinstalled(
    `${stack}: OVH has not reinstalled the server: it has the installation that the state knows (${known}); nothing was removed from the state. ` +
      "If another host key answers all the same, somebody changed it on the server, or another machine answers in its place. " +
      "If you know that it was reinstalled and OVH no longer lists that, open the server's console in OVH's customer area, read the fingerprint there " +
      `(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), and run npm run resume -- ${stack} --reinstalled --host-key SHA256:…`,
  );
}

/** Everything on the host, if it answers with the key that a person has read there and that the state does not know. */
async function outdatedForKey(
  resources: readonly StateResource[],
  { stack, hostKey, askHostKey }: Required<ReinstalledOptions> & { readonly stack: string },
): Promise<Judge> {
  const keys = resources.filter(({ type }) => type === "technicia:host:HostKey");
  const places = keys.flatMap((known) => {
    const { address, port } = known.inputs ?? {};
    return typeof address === "string" && typeof port === "number" ? [{ known, address, port }] : [];
  });
  if (places.length === 0)
    throw new UserError(
      `${stack}: there is no host key in the state, so nothing holds the next pulumi up back`,
    );
  if (keys.some(({ outputs }) => outputs?.["fingerprint"] === hostKey))
    throw new UserError(
      `--host-key: expected the key of a new installation, got ${hostKey}, which the state knows already; nothing was removed from the state`,
    );
  const answers: string[] = [];
  for (const { known, address, port } of places) {
    const answer = await orReason(places.length > 1, askHostKey({ address, port }));
    if (answer === hostKey) return (one) => isTiedToHost(one) && keyOfResource(one) === keyOfResource(known);
    answers.push(`${address}:${port} to answer with ${hostKey}, got ${answer}`);
  }
  throw new UserError(
    `--host-key: expected ${answers.join("; or ")}; nothing was removed from the state. ` +
      "Read the fingerprint on the server's own console again; if it differs, another machine answers in its place",
  );
}

/** Of several servers, one that does not answer does not keep the others from being asked. */
async function orReason(isSeveral: boolean, answer: Promise<string>): Promise<string> {
  try {
    return await answer;
  } catch (error) {
    if (isSeveral && error instanceof UserError) return "no answer";
    throw error;
  }
}

/** The connection to OVH's API is of the same type as the one to the host, and stays. */
function isTiedToHost({ type, inputs }: StateResource): boolean {
  const isOfHost = type === "technicia:host:HostKey" || type === "pulumi:providers:technicia";
  return isOfHost && inputs?.["serverId"] !== undefined;
}

function findServers(resources: readonly StateResource[], stack: string): readonly StateResource[] {
  const servers = resources.filter(({ type }) => type === "technicia:ovh:Vps");
  if (servers.length === 0) throw new UserError(`${stack}: there is no server in the state; run pulumi up`);
  return servers;
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
