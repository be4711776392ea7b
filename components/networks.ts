import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

/** Addresses of all networks of the system, and of nothing else. */
export const NETWORKS_RANGE = "172.31.0.0/16";

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
    { isMonitored }: { readonly isMonitored: boolean },
    opts: pulumi.ComponentResourceOptions,
  ) {
    super("technicia:components:Networks", name, {}, opts);

    this.edge = createNetwork(
      "technicia-edge",
      { subnet: "172.31.0.0/24", internal: false },
      { parent: this },
    );
    // The first call to Docker opens the shared ssh connection. The other networks wait for it, or they would race to open it too.
    const next = { parent: this, dependsOn: [this.edge] };
    this.app = createNetwork("technicia-app", { subnet: "172.31.1.0/24", internal: false }, next);
    this.data = createNetwork("technicia-data", { subnet: "172.31.2.0/24", internal: true }, next);
    this.runners = createNetwork("technicia-runners", { subnet: "172.31.3.0/24", internal: true }, next);
    this.monitoring = isMonitored
      ? {
          inside: createNetwork("technicia-monitoring", { subnet: "172.31.4.0/24", internal: true }, next),
          outside: createNetwork("technicia-outside", { subnet: "172.31.5.0/24", internal: false }, next),
        }
      : undefined;
    this.registerOutputs({});
  }
}

function createNetwork(
  name: string,
  { subnet, internal }: { readonly subnet: string; readonly internal: boolean },
  opts: pulumi.CustomResourceOptions,
): docker.Network {
  return new docker.Network(
    name,
    {
      name,
      driver: "overlay",
      attachable: true,
      internal,
      // Fixed: a changed subnet replaces the network and everything on it.
      ipamConfigs: [{ subnet, gateway: subnet.replace(/0\/24$/, "1") }],
    },
    opts,
  );
}
