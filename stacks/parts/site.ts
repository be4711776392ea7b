/** What the parts of an environment are made from. */
import type * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

import { dockerConfig, registryOf } from "../../common/registry.ts";
import { nodeLabel, placeOf } from "../../common/servers.ts";
import { imageOf, type ServiceName, SERVICES } from "../../common/services.ts";
import { Networks } from "../../components/networks.ts";
import type { CommonServiceArgs, Placement } from "../../components/service.ts";
import type { Host } from "../../infra/host.ts";
import type { Content } from "../../provider/n8n/content.ts";
import * as technicia from "../../provider/resources.ts";
import type { Secrets } from "../../secrets/resolve.ts";
import type { Cloud } from "../cloud.ts";
import type { Environment } from "../environment.ts";
import { areSeveral } from "../servers.ts";
import type { Machine, Servers } from "./machines.ts";

export interface TechniciaArgs {
  readonly environment: Environment;
  readonly secrets: Secrets;
  readonly cloud: Cloud;

  /** What n8n is to have; undefined where the settings leave it alone. */
  readonly content: Content | undefined;
}

/** Servers that are ready, and what their services have in common. */
export interface Site extends TechniciaArgs {
  readonly servers: Servers;

  /** The server of the data. */
  readonly host: Host;
  readonly networks: Networks;

  /** For what is written to the server once Docker's engine runs. */
  readonly onHost: { readonly provider: technicia.Connection; readonly dependsOn: pulumi.Resource[] };

  /** For what Docker runs once the swarm is there. */
  readonly onSwarm: { readonly provider: docker.Provider; readonly dependsOn: pulumi.Resource[] };

  /** The same, for what has to be on the server of the data: containers and volumes. */
  readonly onHome: { readonly provider: docker.Provider; readonly dependsOn: pulumi.Resource[] };

  /** Has an image pulled, the first time that it is asked for; not before `after`. */
  readonly pull: (
    image: keyof Environment["images"],
    after?: readonly pulumi.Resource[],
  ) => pulumi.Output<string>;

  /** What the settings say of a service, and where it runs; its image is pulled, not before `after`. */
  readonly common: (service: ServiceName, after?: readonly pulumi.Resource[]) => CommonServiceArgs;
}

/** Folder on the server with the account at `images.registry`, which root's own Docker configuration does not have. */
const LOGIN_FOLDER = "/opt/technicia/registry";

/** Tasks of a service that may be anywhere, of several servers: one is left when a server fails. */
const TASKS_OF_SEVERAL = 2;

/** The registry's account on a server; undefined without one, so that the file goes when the setting does. */
function createRegistryLogin({ environment, secrets }: TechniciaArgs, { host, named }: Machine) {
  const onHost = { provider: host.connection, dependsOn: [host.engine] };
  const { registry, registryUser: username } = environment.builds;
  if (username === "") return undefined;
  const address = registryOf(`${registry}/image`);
  const login = pulumi.secret(
    secrets.value("registryPassword").apply((password) => ({ host: address, username, password })),
  );
  const file = new technicia.File(
    named("registry-login"),
    { path: `${LOGIN_FOLDER}/config.json`, content: login.apply(dockerConfig), mode: "0600" },
    onHost,
  );
  const options = { ...onHost, dependsOn: [...onHost.dependsOn, file] };
  return { host: address, account: { login, dockerConfig: LOGIN_FOLDER }, options };
}

/** Pulls images on every server that runs services, before any of them changes; the tools of one server there alone. */
function pullOn(args: TechniciaArgs, { all, home, gateways }: Servers): Site["pull"] {
  const { images } = args.environment;
  const pullers = all
    .filter(({ server }) => server.role !== "witness")
    .map((machine) => ({ machine, login: createRegistryLogin(args, machine) }));
  const pulled = new Map<string, pulumi.Output<string>>();
  return (image, after = []) => {
    const known = pulled.get(image);
    if (known !== undefined) return known;
    const label = image.replace(/(?<=[a-z])(?=[A-Z])/g, "-").toLowerCase();
    const name = images[image];
    const only = { certbot: gateways[0], restic: home }[image as string];
    const references = pullers
      .filter(({ machine }) => only === undefined || machine === only)
      .map(({ machine, login }) => {
        const { host, named } = machine;
        const plain = { provider: host.connection, dependsOn: [host.engine] };
        const { account, options } =
          login?.host === registryOf(name) ? login : { account: {}, options: plain };
        const waiting = { ...options, dependsOn: [...options.dependsOn, ...after] };
        return new technicia.Image(named(`image-${label}`), { name, ...account }, waiting).reference;
      });
    const [first] = references;
    const reference = references.length === 1 ? first! : pulumi.all(references).apply(([one]) => one!);
    pulled.set(image, reference);
    return reference;
  };
}

export function createSite(args: TechniciaArgs, servers: Servers): Site {
  const { services, timeouts } = args.environment;
  const { home, ready, all } = servers;
  const { host } = home;
  const [swarmDocker, docker] = [all[0].host.docker!, host.docker!];
  const onHost = { provider: host.connection, dependsOn: [host.engine] };
  const onSwarm = { provider: swarmDocker, dependsOn: [...ready] };
  const onHome = { provider: docker, dependsOn: [...ready] };
  const isMonitored = args.environment.monitoring.enabled;
  const isSeveral = areSeveral(args.environment);
  const networks = new Networks("networks", { isMonitored, areSeveral: isSeveral }, onSwarm);
  const { convergenceSeconds, observationSeconds } = timeouts;
  const pull = pullOn(args, servers);
  const common: Site["common"] = (service, after) => ({
    convergenceSeconds,
    observationSeconds,
    image: pull(imageOf(service), after),
    limits: services[service],
    // The journal carries its lines to the log store, beside those of the host.
    ...(isMonitored ? { logTag: SERVICES[service].alias } : {}),
    ...(isSeveral ? { placement: placementOf(service, args.environment), volumesOn: docker } : {}),
  });
  return { ...args, servers, host, networks, onHost, onSwarm, onHome, pull, common };
}

function placementOf(service: ServiceName, environment: Environment): Placement {
  const place = placeOf(service, environment);
  if (place === "anywhere") return { tasks: TASKS_OF_SEVERAL };
  return { tasks: place === "gateway" ? "everyServer" : 1, label: nodeLabel(place) };
}
