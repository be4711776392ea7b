/**
 * After the server was reinstalled or replaced: everything on its disk is gone, and the state does not know.
 *
 * A refresh cannot find out: the server no longer has the host key that the state requires, and that may as well be an attack.
 * So OVH is asked. If its installation number is not the one under which the host was set up, everything on the host leaves the state, and
 * the next `up` sets up a new host.
 */
import { nameOf } from "../../common/urn.ts";
import { UserError } from "../../common/user-error.ts";
import type { Pulumi } from "./cli.ts";
import { readState, type StateResource } from "./state.ts";

const VPS = "technicia:ovh:Vps";
const HOST_KEY = "technicia:host:HostKey";
const CONNECTION = "pulumi:providers:technicia";
const DOCKER = "docker:";

/** Returns the names of what left the state. Fails, and changes nothing, when OVH knows of no other installation. */
export async function forgetReinstalled(stack: string, pulumi: Pulumi): Promise<readonly string[]> {
  const { urn } = findServer((await readState(stack, pulumi)).resources, stack);
  await pulumi({ args: ["refresh", "--yes", "--skip-preview", "--stack", stack, "--target", urn] });

  const state = await readState(stack, pulumi);
  const { resources } = state;
  const installation = findServer(resources, stack).outputs?.["serverId"];
  const isOutdated = ({ type, inputs: { serverId } = {} }: StateResource) =>
    (type === HOST_KEY || type === CONNECTION) && serverId !== undefined && serverId !== installation;
  if (typeof installation !== "string" || !resources.some(isOutdated)) {
    throw new UserError(
      `${stack}: OVH has not reinstalled the server: it has the installation that the state knows (${String(installation)}); nothing was removed from the state. If another host key answers all the same, somebody changed it on the server, or another machine answers in its place`,
    );
  }
  const outdated = new Set(resources.filter(isOutdated).map(({ urn: name, id }) => `${name}::${id}`));
  const isLost = (one: StateResource) =>
    isOutdated(one) || outdated.has(one.provider ?? "") || one.type.startsWith(DOCKER);
  const left = resources.filter((one) => !isLost(one));
  const names = new Set(left.map((one) => one.urn));
  await state.replace({ ...state, resources: left.map((one) => withDependencies(one, names)) });
  return resources.filter(isLost).map((one) => nameOf(one.urn));
}

function findServer(resources: readonly StateResource[], stack: string): StateResource {
  const server = resources.find(({ type }) => type === VPS);
  if (!server) {
    throw new UserError(`${stack}: there is no server in the state; run pulumi up`);
  }
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
