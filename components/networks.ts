import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

/** The networks of the system, each with the services that have to meet on it and no others. */
export class Networks extends pulumi.ComponentResource {
  /** Gateway and what it forwards to. */
  readonly edge: docker.Network;

  /** n8n and the services that it calls. */
  readonly app: docker.Network;

  /** Databases and their callers; it leads nowhere else. */
  readonly data: docker.Network;

  constructor(name: string, opts: pulumi.ComponentResourceOptions) {
    super("technicia:components:Networks", name, {}, opts);

    this.edge = createNetwork("technicia-edge", "172.31.0.0/24", false, { parent: this });
    // The first call to Docker opens the shared ssh connection; what follows finds it open instead of racing for it.
    const next = { parent: this, dependsOn: [this.edge] };
    this.app = createNetwork("technicia-app", "172.31.1.0/24", false, next);
    this.data = createNetwork("technicia-data", "172.31.2.0/24", true, next);
    this.registerOutputs({});
  }
}

function createNetwork(
  name: string,
  subnet: string,
  internal: boolean,
  opts: pulumi.CustomResourceOptions,
): docker.Network {
  return new docker.Network(
    name,
    {
      name,
      driver: "overlay",
      attachable: true,
      internal,
      // Fixed, because a changed subnet replaces the network and all that is on it.
      ipamConfigs: [{ subnet, gateway: subnet.replace(/0\/24$/, "1") }],
    },
    opts,
  );
}
