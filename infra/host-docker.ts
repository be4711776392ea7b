/** Docker's engine on the host: its packages' source, its group, its rules, and the Swarm of one node. */
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

import { script, scriptParts } from "../common/script.ts";
import * as technicia from "../provider/resources.ts";
import { opensshOptions } from "../provider/ssh/openssh-options.ts";
import * as render from "./host-files.ts";
import { programsOf } from "./programs.ts";

const DOCKER_REPOSITORY_KEY = script(new URL("scripts/docker-repository-key.sh", import.meta.url));
const DOCKER_REPOSITORY = script(new URL("scripts/docker-repository.sh", import.meta.url));
const RESTART_DOCKER_IF_RUNNING = script(new URL("scripts/restart-docker.sh", import.meta.url));

export interface DockerConnectionArgs {
  readonly address: pulumi.Input<string>;
  readonly ssh: { readonly user: string; readonly port: number; readonly privateKeyFile: string };
  readonly hostKey: technicia.HostKey;
}

/** What must exist before Docker's package is installed, which starts dockerd. */
export function createDockerSource(
  name: string,
  dockerSource: render.DockerSource,
  host: pulumi.CustomResourceOptions,
): pulumi.Resource[] {
  const obstacles = new technicia.State(
    `${name}-obstacles`,
    {
      ...scriptParts(new URL("scripts/obstacles.sh", import.meta.url), ["observe", "apply"]),
      desired: "nothing in the way",
      variables: { SOURCE: dockerSource },
    },
    host,
  );
  const onHost = { ...host, dependsOn: [obstacles] };
  const settings = new technicia.File(
    `${name}-docker-settings`,
    { path: "/etc/docker/daemon.json", content: render.dockerDaemon(), onChange: RESTART_DOCKER_IF_RUNNING },
    onHost,
  );
  if (dockerSource === "distribution") return [settings];
  const key = new technicia.State(
    `${name}-docker-repository-key`,
    {
      observe: `${DOCKER_REPOSITORY_KEY}\nobserve`,
      desired: "present",
      apply: `${DOCKER_REPOSITORY_KEY}\napply`,
      remove: "rm -f /etc/apt/keyrings/docker.asc",
      // Docker's published key; its fingerprint is 9DC8 5822 9FC7 DD38 854A E2D8 8D81 803C 0EBF CD88.
      variables: { KEY: script(new URL("docker-repository-key.asc", import.meta.url)) },
    },
    onHost,
  );
  const certificates = new technicia.Packages(
    `${name}-docker-repository-packages`,
    { names: ["ca-certificates"] },
    onHost,
  );
  const repository = new technicia.State(
    `${name}-docker-repository`,
    {
      observe: `${DOCKER_REPOSITORY}\nobserve`,
      desired: "present",
      apply: `${DOCKER_REPOSITORY}\napply`,
      remove: "rm -f /etc/apt/sources.list.d/docker.sources",
    },
    // Without certificates apt cannot ask the repository, which then keeps it from installing them.
    { ...onHost, dependsOn: [key, certificates] },
  );
  return [settings, repository];
}

export function createDockerGroup(
  name: string,
  user: string,
  opts: pulumi.CustomResourceOptions,
): technicia.State {
  return new technicia.State(
    `${name}-docker-group`,
    { ...programsOf("docker-group.sh"), desired: `${user} may use docker`, variables: { LOGIN: user } },
    opts,
  );
}

export function createDockerRules(name: string, opts: pulumi.CustomResourceOptions): technicia.State {
  return new technicia.State(
    `${name}-docker-rules`,
    {
      ...scriptParts(new URL("scripts/docker-rules.sh", import.meta.url), ["observe"]),
      desired: "Docker's rules are loaded",
      apply: RESTART_DOCKER_IF_RUNNING,
      timeoutSeconds: 300,
    },
    opts,
  );
}

export function createSwarm(name: string, opts: pulumi.CustomResourceOptions): technicia.State {
  return new technicia.State(
    `${name}-swarm`,
    {
      ...programsOf("swarm.sh"),
      desired: "active, manager: true, listening at 127.0.0.1:2377",
    },
    opts,
  );
}

export function createDockerConnection(
  name: string,
  { address, ssh, hostKey }: DockerConnectionArgs,
  opts: pulumi.ResourceOptions,
): docker.Provider {
  return new docker.Provider(
    `${name}-docker-connection`,
    {
      host: pulumi.interpolate`ssh://${ssh.user}@${address}:${ssh.port}`,
      sshOpts: hostKey.hostKey.apply((key) =>
        opensshOptions({ privateKeyFile: ssh.privateKeyFile, hostKey: key }),
      ),
    },
    opts,
  );
}
