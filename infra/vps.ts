import * as pulumi from "@pulumi/pulumi";

import * as technicia from "../provider/resources.ts";

/** What an environment decides about its server. */
export interface VpsArgs {
  /** Connection to OVH's API. */
  readonly cloud: technicia.Connection;

  /** A server to adopt, or the terms on which one is ordered. */
  readonly source:
    | { readonly kind: "adopt"; readonly serviceName: string }
    | {
        readonly kind: "order";
        readonly subsidiary: string;
        readonly maxMonthlyPriceEur: number;
        /** Name of an ordered server that is gone, in whose place another one is ordered. */
        readonly again?: string | undefined;
      };

  /** Name shown in OVH's console, and the mark by which the next run finds an interrupted order. */
  readonly displayName: string;

  /** Least number of vCores. */
  readonly vcores: number;

  /** Least memory, in GiB. */
  readonly memoryGib: number;

  /** OVH datacentre code, for example `GRA`. */
  readonly datacentre: string;

  /** OS label as OVH writes it; installed once, on an ordered server only. */
  readonly image: string;

  /** Public key that the OS image gives to its login user. */
  readonly publicKey: string;

  /** Whether `pulumi destroy` sets the contract to end at its expiry. */
  readonly deleteAtExpiry: boolean;

  /** Whether `pulumi destroy` must leave the server alone. */
  readonly protect: boolean;
}

/** The rented server. */
export class Vps extends pulumi.ComponentResource {
  /** The server as OVH describes it. */
  readonly server: technicia.Vps;

  readonly ipv4: pulumi.Output<string>;

  /** "" where OVHcloud lists none. */
  readonly ipv6: pulumi.Output<string>;
  readonly ipv6Gateway: pulumi.Output<string | undefined>;

  /** Changes whenever the disk is reinstalled. */
  readonly serverId: pulumi.Output<string>;

  constructor(name: string, args: VpsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("technicia:infra:Vps", name, {}, opts);

    this.server = new technicia.Vps(
      `${name}-server`,
      {
        ...(args.source.kind === "adopt"
          ? { serviceName: args.source.serviceName }
          : { order: termsOf(args.source) }),
        name: args.displayName,
        vcores: args.vcores,
        memoryGib: args.memoryGib,
        datacentre: args.datacentre,
        image: args.image,
        publicKey: args.publicKey,
        deleteAtExpiry: args.deleteAtExpiry,
      },
      { parent: this, provider: args.cloud, protect: args.protect },
    );

    this.ipv4 = this.server.ipv4;
    this.ipv6 = this.server.ipv6;
    this.ipv6Gateway = this.server.ipv6Gateway;
    this.serverId = this.server.serverId;
    this.registerOutputs({ ipv4: this.ipv4, ipv6: this.ipv6, serverId: this.serverId });
  }
}

function termsOf({
  subsidiary,
  maxMonthlyPriceEur,
  again,
}: Extract<VpsArgs["source"], { readonly kind: "order" }>) {
  return { subsidiary, maxMonthlyPriceEur, ...(again !== undefined && { again }) };
}
