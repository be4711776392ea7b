/** What the servers of an environment are to the rest of the program. */
import type * as pulumi from "@pulumi/pulumi";

import type { EdgeFirewall } from "../../infra/edge-firewall.ts";
import type { Host } from "../../infra/host.ts";
import type { Vps } from "../../infra/vps.ts";
import type * as technicia from "../../provider/resources.ts";
import type { Server } from "../environment.ts";

/** A server that is rented. */
export interface Rented {
  readonly server: Server;
  readonly vps: Vps;

  /** Name of a resource that each server has: the first one's are those of an only server. */
  readonly named: (name: string) => string;
}

/** A server that is protected by OVH, and ready. */
export interface Machine extends Rented {
  readonly edgeFirewall: EdgeFirewall;
  readonly host: Host;
}

/** All servers of an environment, and what they are together. */
export interface Servers {
  readonly all: readonly [Machine, ...Machine[]];

  /** Where the data is, and the programs that read it. */
  readonly home: Machine;

  /** Where visitors arrive; the first one orders the certificate. */
  readonly gateways: readonly [Machine, ...Machine[]];

  readonly swarm: technicia.State;

  /** What waits for the Swarm waits for these. */
  readonly ready: readonly pulumi.Resource[];
}
