/** The servers of a deployed stack, as its settings name them and as its state reaches them. */
import { UserError } from "../../common/user-error.ts";
import type { StackOutputs } from "../../stacks/deployment-status.ts";
import type { Environment, Server as ServerSettings } from "../../stacks/environment.ts";
import { areSeveral, homeOf, tunnelAddress } from "../../stacks/servers.ts";
import type { Effects } from "../effects.ts";
import { connectionsIn, deployedEnvironment, keyOf } from "../engine/deployed-servers.ts";
import { environmentIn, readConfiguration, type Configuration } from "../engine/settings.ts";
import { readState, type StateResource } from "../engine/state.ts";
import type { Server } from "../server/connection.ts";

/** One of the servers that are deployed. */
export interface Member extends Pick<ServerSettings, "name" | "role" | "labels"> {
  /** In the tunnel; of an only server empty. */
  readonly address: string;

  /** Undefined where no deployment has come as far. */
  readonly ssh: StackOutputs["ssh"] | undefined;
}

export interface Fleet {
  readonly stack: string;

  /** As it is deployed; as the settings have it where the deployment is older than its record. */
  readonly environment: Environment;

  /** What the settings file has now, without the secrets. */
  readonly configuration: Configuration;

  /** In the order of the settings. */
  readonly members: readonly Member[];

  /** The server of the data. */
  readonly home: Member;

  readonly isSeveral: boolean;
  readonly resources: readonly StateResource[];
}

export async function readFleet(stack: string, { pulumi }: Pick<Effects, "pulumi">): Promise<Fleet> {
  const [{ resources }, configuration] = await Promise.all([
    readState(stack, pulumi),
    readConfiguration({ stack }, pulumi),
  ]);
  if (connectionsIn(resources).size === 0)
    throw new UserError(`${stack} is not deployed; deploy it with npm run deploy -- ${stack}`);
  const environment = deployedEnvironment(stack, resources) ?? environmentIn(stack, configuration);
  const found = membersIn(environment, resources);
  return { stack, environment, configuration, resources, ...found };
}

/** Of an environment as it is deployed. */
export function membersIn(
  environment: Environment,
  resources: readonly StateResource[],
): Pick<Fleet, "members" | "home" | "isSeveral"> {
  const connections = connectionsIn(resources);
  const isSeveral = areSeveral(environment);
  const members = environment.servers.map(({ name, role, labels }): Member => ({
    ...{ name, role, labels },
    address: isSeveral ? tunnelAddress(environment.wireguard, name) : "",
    ssh: connections.get(keyOf(environment, name)),
  }));
  const home = members.find(({ name }) => name === homeOf(environment).name)!;
  return { members, home, isSeveral };
}

/** @throws UserError that names the servers there are */
export function memberOf({ members, stack }: Fleet, name: string): Member {
  const found = members.find((member) => member.name === name);
  if (found !== undefined) return found;
  const names = members.map((member) => member.name).join(", ");
  throw new UserError(
    `server: expected one that is deployed (${names}), got ${JSON.stringify(name)}; npm run servers -- ${stack} lists them`,
  );
}

/** Connections to the servers, each opened when it is first asked for. */
export class Connections {
  readonly #open = new Map<string, Server>();
  readonly #lent = new Map<string, Server>();
  readonly #openServer: Effects["openServer"];

  constructor({ openServer }: Pick<Effects, "openServer">) {
    this.#openServer = openServer;
  }

  /** Opens them for the work, and closes them after it. */
  static async during<T>(
    effects: Pick<Effects, "openServer">,
    work: (connections: Connections) => Promise<T>,
  ): Promise<T> {
    const connections = new Connections(effects);
    try {
      return await work(connections);
    } finally {
      connections.close();
    }
  }

  /** One that is open already, and that its owner closes. */
  lend({ name }: Pick<Member, "name">, server: Server): void {
    this.#lent.set(name, server);
  }

  /** @throws UserError where no deployment has got to it */
  to({ name, ssh }: Member): Server {
    const lent = this.#lent.get(name);
    if (lent !== undefined) return lent;
    if (ssh === undefined)
      throw new UserError(`${name}: no deployment has got to this server yet, so nobody can log in to it`);
    const server = this.#open.get(name) ?? this.#openServer({ ssh });
    this.#open.set(name, server);
    return server;
  }

  close(): void {
    for (const server of this.#open.values()) server.close();
    this.#open.clear();
    this.#lent.clear();
  }
}
