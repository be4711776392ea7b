/** What the parts of an environment are made from. */
import type * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

import { dockerConfig, registryOf } from "../../common/registry.ts";
import { imageOf, type ServiceName, SERVICES } from "../../common/services.ts";
import { Networks } from "../../components/networks.ts";
import type { CommonServiceArgs } from "../../components/service.ts";
import type { Host } from "../../infra/host.ts";
import type { Content } from "../../provider/n8n/content.ts";
import * as technicia from "../../provider/resources.ts";
import type { Secrets } from "../../secrets/resolve.ts";
import type { Cloud } from "../cloud.ts";
import type { Environment } from "../environment.ts";

export interface TechniciaArgs {
  readonly environment: Environment;
  readonly secrets: Secrets;
  readonly cloud: Cloud;

  /** What n8n is to have; undefined where the settings leave it alone. */
  readonly content: Content | undefined;
}

/** A server that is ready, and what its services have in common. */
export interface Site extends TechniciaArgs {
  readonly host: Host;
  readonly networks: Networks;

  /** For what is written to the server once Docker's engine runs. */
  readonly onHost: { readonly provider: technicia.Connection; readonly dependsOn: pulumi.Resource[] };

  /** For what Docker runs once the swarm is there. */
  readonly onSwarm: { readonly provider: docker.Provider; readonly dependsOn: pulumi.Resource[] };

  /** Has an image pulled on the server, the first time that it is asked for; not before `after`. */
  readonly pull: (
    image: keyof Environment["images"],
    after?: readonly pulumi.Resource[],
  ) => pulumi.Output<string>;

  /** What the settings say of a service; its image is pulled, not before `after`. */
  readonly common: (service: ServiceName, after?: readonly pulumi.Resource[]) => CommonServiceArgs;
}

/** Folder on the server with the account at `images.registry`, which root's own Docker configuration does not have. */
const LOGIN_FOLDER = "/opt/technicia/registry";

/** The registry's account on the server; undefined without one, so that the file goes when the setting does. */
function createRegistryLogin({ environment, secrets }: TechniciaArgs, onHost: Site["onHost"]) {
  const { registry, registryUser: username } = environment.builds;
  if (username === "") return undefined;
  const host = registryOf(`${registry}/image`);
  const login = pulumi.secret(
    secrets.value("registryPassword").apply((password) => ({ host, username, password })),
  );
  const file = new technicia.File(
    "registry-login",
    { path: `${LOGIN_FOLDER}/config.json`, content: login.apply(dockerConfig), mode: "0600" },
    onHost,
  );
  const options = { ...onHost, dependsOn: [...onHost.dependsOn, file] };
  return { host, account: { login, dockerConfig: LOGIN_FOLDER }, options };
}

export function createSite(args: TechniciaArgs, host: Host): Site {
  const { images, services, timeouts } = args.environment;
  const onHost = { provider: host.connection, dependsOn: [host.engine] };
  const onSwarm = { provider: host.docker, dependsOn: [host.swarm] };
  const isMonitored = args.environment.monitoring.enabled;
  const networks = new Networks("networks", { isMonitored }, onSwarm);
  const login = createRegistryLogin(args, onHost);
  const { convergenceSeconds, observationSeconds } = timeouts;
  const pulled = new Map<string, pulumi.Output<string>>();
  const pull: Site["pull"] = (image, after = []) => {
    const label = image.replace(/(?<=[a-z])(?=[A-Z])/g, "-").toLowerCase();
    const name = images[image];
    const { account, options } = login?.host === registryOf(name) ? login : { account: {}, options: onHost };
    const waiting = { ...options, dependsOn: [...options.dependsOn, ...after] };
    const reference =
      pulled.get(image) ?? new technicia.Image(`image-${label}`, { name, ...account }, waiting).reference;
    pulled.set(image, reference);
    return reference;
  };
  const common: Site["common"] = (service, after) => ({
    convergenceSeconds,
    observationSeconds,
    image: pull(imageOf(service), after),
    limits: services[service],
    // The journal carries its lines to the log store, beside those of the host.
    ...(isMonitored ? { logTag: SERVICES[service].alias } : {}),
  });
  return { ...args, host, networks, onHost, onSwarm, pull, common };
}
