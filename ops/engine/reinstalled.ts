/** Takes out of the state what was on a server's disk before it was reinstalled. */
import { nameOf } from "../../common/urn.ts";
import { UserError } from "../../common/user-error.ts";
import { askFingerprint } from "../../provider/ssh/host.ts";
import { serverOf } from "../../stacks/inventory-servers.ts";
import type { Pulumi } from "./cli.ts";
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
  const { urn } = findServer((await readState(stack, pulumi)).resources, stack);
  await pulumi({ args: ["refresh", "--yes", "--skip-preview", "--stack", stack, "--target", urn] });

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

/**
 * Another server takes the place of one that is lost: the server leaves the state with everything on it, and protection does not hold that up.
 * With `isGone` the same goes for what OVH kept for its address; otherwise the next update deletes that there.
 */
export async function forgetServer(
  stack: string,
  pulumi: Pulumi,
  { isGone }: { readonly isGone: boolean },
): Promise<readonly string[]> {
  const state = await readState(stack, pulumi);
  return await forget(
    state,
    (one) =>
      isTiedToHost(one) || one.type === "technicia:ovh:Vps" || (isGone && OF_ADDRESS.includes(one.type)),
  );
}

/**
 * Another than the first server is lost, and the settings are about to lose it: everything that was on it leaves the state, because nobody can
 * delete it there. What OVH and the DNS vendor keep for it stays, and the next update deletes that.
 */
export async function forgetHostOf(
  stack: string,
  pulumi: Pulumi,
  server: string,
): Promise<readonly string[]> {
  const state = await readState(stack, pulumi);
  const isOfServer: Judge = (one) => isTiedToHost(one) && serverOf(nameOf(one.urn)) === server;
  return await forget(state, isOfServer, { withDocker: false });
}

type Judge = (one: StateResource) => boolean;

/**
 * Removes these resources, what their connections created, and everything in Docker, which on an only server is lost as well. Gives the
 * names.
 */
async function forget(
  state: State,
  isOutdated: Judge,
  { withDocker }: { readonly withDocker: boolean } = { withDocker: true },
): Promise<readonly string[]> {
  const { resources } = state;
  const outdated = new Set(resources.filter(isOutdated).map(({ urn: name, id }) => `${name}::${id}`));
  const isLost = (one: StateResource) =>
    isOutdated(one) || outdated.has(one.provider ?? "") || (withDocker && one.type.startsWith("docker:"));
  const left = resources.filter((one) => !isLost(one));
  const names = new Set(left.map((one) => one.urn));
  await state.replace({ ...state, resources: left.map((one) => withDependencies(one, names)) });
  return resources.filter(isLost).map((one) => nameOf(one.urn));
}

/** What was set up under another installation than the one that OVH knows now. */
function outdatedForOvh(resources: readonly StateResource[], stack: string): Judge {
  const installation = findServer(resources, stack).outputs?.["serverId"];
  const isOutdated = (one: StateResource) => isTiedToHost(one) && one.inputs?.["serverId"] !== installation;
  if (typeof installation === "string" && resources.some(isOutdated)) return isOutdated;
  throw new NotReinstalled(
    `${stack}: OVH has not reinstalled the server: it has the installation that the state knows (${String(installation)}); nothing was removed from the state. ` +
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
  const known = resources.find(({ type }) => type === "technicia:host:HostKey");
  const { address, port } = known?.inputs ?? {};
  if (known === undefined || typeof address !== "string" || typeof port !== "number")
    throw new UserError(
      `${stack}: there is no host key in the state, so nothing holds the next pulumi up back`,
    );
  if (known.outputs?.["fingerprint"] === hostKey)
    throw new UserError(
      `--host-key: expected the key of a new installation, got ${hostKey}, which the state knows already; nothing was removed from the state`,
    );
  const answer = await askHostKey({ address, port });
  if (answer !== hostKey)
    throw new UserError(
      `--host-key: expected ${address}:${port} to answer with ${hostKey}, got ${answer}; nothing was removed from the state. ` +
        "Read the fingerprint on the server's own console again; if it differs, another machine answers in its place",
    );
  return isTiedToHost;
}

/** The connection to OVH's API is of the same type as the one to the host, and stays. */
function isTiedToHost({ type, inputs }: StateResource): boolean {
  const isOfHost = type === "technicia:host:HostKey" || type === "pulumi:providers:technicia";
  return isOfHost && inputs?.["serverId"] !== undefined;
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
