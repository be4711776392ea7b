import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

/** Addresses of all networks of the system, and of nothing else. */
export const NETWORKS_RANGE = "172.31.0.0/16";

/** Of a packet in a network between servers: WireGuard's 1420 less 50 for VXLAN, and some for what else there is on the way. */
const TUNNEL_MTU = 1350;

/**
 * First of the third numbers of the networks between servers. They have names and addresses of their own, because a network that is in use cannot
 * change: where servers are added, the services move from the ones to the others.
 */
const FIRST_OF_SEVERAL = 128;

export interface NetworksArgs {
  readonly isMonitored: boolean;

  /** Whether they are between servers. @default false */
  readonly areSeveral?: boolean;
}

/** The networks of the system, each with the services that have to meet on it and no others. */
export class Networks extends pulumi.ComponentResource {
  /** Gateway and what it forwards to. */
  readonly edge: docker.Network;

  /** n8n and the services that it calls. */
  readonly app: docker.Network;

  /** Databases and their callers; nothing on it reaches the internet. */
  readonly data: docker.Network;

  /** n8n and what runs its workflows' code; nothing on it reaches the internet. */
  readonly runners: docker.Network;

  /** The programs of the monitoring, and where each of them is; undefined without monitoring. */
  readonly monitoring:
    | {
        /** Nothing on it reaches the internet. */
        readonly inside: docker.Network;

        /** For mail, webhooks, and probes of public addresses. */
        readonly outside: docker.Network;
      }
    | undefined;

  constructor(
    name: string,
    { isMonitored, areSeveral = false }: NetworksArgs,
    opts: pulumi.ComponentResourceOptions,
  ) {
    super("technicia:components:Networks", name, {}, opts);

    const network = (role: string, number: number, internal: boolean) => ({
      ...{ role, internal, areSeveral },
      subnet: `172.31.${number + (areSeveral ? FIRST_OF_SEVERAL : 0)}.0/24`,
    });
    this.edge = createNetwork(network("edge", 0, false), { parent: this });
    // The first call to Docker opens the shared ssh connection. The other networks wait for it, or they would race to open it too.
    const next = { parent: this, dependsOn: [this.edge] };
    this.app = createNetwork(network("app", 1, false), next);
    this.data = createNetwork(network("data", 2, true), next);
    this.runners = createNetwork(network("runners", 3, true), next);
    this.monitoring = isMonitored
      ? {
          inside: createNetwork(network("monitoring", 4, true), next),
          outside: createNetwork(network("outside", 5, false), next),
        }
      : undefined;
    this.registerOutputs({});
  }
}

interface NetworkArgs {
  readonly role: string;
  readonly subnet: string;
  readonly internal: boolean;
  readonly areSeveral: boolean;
}

function createNetwork(
  { role, subnet, internal, areSeveral }: NetworkArgs,
  opts: pulumi.CustomResourceOptions,
): docker.Network {
  const name = `technicia-${role}`;
  return new docker.Network(
    name,
    {
      name: areSeveral ? `${name}-tunnel` : name,
      driver: "overlay",
      attachable: true,
      internal,
      ...(areSeveral ? { options: { "com.docker.network.driver.mtu": String(TUNNEL_MTU) } } : {}),
      // Fixed: a changed subnet replaces the network and everything on it.
      ipamConfigs: [{ subnet, gateway: subnet.replace(/0\/24$/, "1") }],
    },
    // Docker adds one of its own (`vxlanid_list`), which the next refresh finds, and another option replaces a network. None can change in place.
    areSeveral ? { ...opts, ignoreChanges: ["options"] } : opts,
  );
}
