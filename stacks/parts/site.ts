/** What the parts of an environment are made from. */
import type * as docker from "@pulumi/docker";
import type * as pulumi from "@pulumi/pulumi";

import type { ServiceName } from "../../common/services.ts";
import { Networks } from "../../components/networks.ts";
import type { CommonServiceArgs } from "../../components/service.ts";
import type { Host } from "../../infra/host.ts";
import * as technicia from "../../provider/resources.ts";
import type { Secrets } from "../../secrets/resolve.ts";
import type { Cloud } from "../cloud.ts";
import type { Environment } from "../environment.ts";

export interface TechniciaArgs {
  readonly environment: Environment;
  readonly secrets: Secrets;
  readonly cloud: Cloud;
}

/** A server that is ready, and what its services have in common. */
export interface Site extends TechniciaArgs {
  readonly host: Host;
  readonly networks: Networks;

  /** For what is written to the server once Docker's engine runs. */
  readonly onHost: { readonly provider: technicia.Connection; readonly dependsOn: pulumi.Resource[] };

  /** For what Docker runs once the swarm is there. */
  readonly onSwarm: { readonly provider: docker.Provider; readonly dependsOn: pulumi.Resource[] };

  /** Has an image pulled on the server, the first time that it is asked for. */
  readonly pull: (image: keyof Environment["images"]) => pulumi.Output<string>;

  /** What the settings say of a service; its image is pulled. */
  readonly common: (service: ServiceName) => CommonServiceArgs;
}

export function createSite(args: TechniciaArgs, host: Host): Site {
  const { images, services, timeouts } = args.environment;
  const onHost = { provider: host.connection, dependsOn: [host.engine] };
  const onSwarm = { provider: host.docker, dependsOn: [host.swarm] };
  const networks = new Networks("networks", onSwarm);
  const { convergenceSeconds, observationSeconds } = timeouts;
  const pulled = new Map<string, pulumi.Output<string>>();
  const pull: Site["pull"] = (image) => {
    const label = image.replace(/(?<=[a-z])(?=[A-Z])/g, "-").toLowerCase();
    const reference =
      pulled.get(image) ?? new technicia.Image(`image-${label}`, { name: images[image] }, onHost).reference;
    pulled.set(image, reference);
    return reference;
  };
  const common: Site["common"] = (service) => ({
    convergenceSeconds,
    observationSeconds,
    image: pull(service),
    limits: services[service],
  });
  return { ...args, host, networks, onHost, onSwarm, pull, common };
}
