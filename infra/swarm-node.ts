import type * as pulumi from "@pulumi/pulumi";

import { scriptParts } from "../common/script.ts";
import * as technicia from "../provider/resources.ts";

/** The Swarm's only node, on which every service runs. */
export function createSwarmNode(name: string, opts: pulumi.CustomResourceOptions): technicia.State {
  return new technicia.State(
    name,
    {
      ...scriptParts(new URL("scripts/swarm-node.sh", import.meta.url), ["observe", "apply"]),
      desired: "active, manager, labels: none",
      timeoutSeconds: 180,
    },
    opts,
  );
}
