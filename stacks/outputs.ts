/** The stack's outputs, read from the resources that prove them. Their schema and rules are in `deployment-status.ts`. */
import type * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";

import { monitoringServices, swarmName } from "../common/services.ts";
import type { Service } from "../components/service.ts";
import type { Host } from "../infra/host.ts";
import type * as technicia from "../provider/resources.ts";
import { keysByService } from "../secrets/catalog.ts";
import type { Secrets } from "../secrets/resolve.ts";
import {
  describeAccess,
  describeStatus,
  urlOf,
  type DeploymentStatus,
  type Evidence,
  type StackOutputs,
} from "./deployment-status.ts";
import type { Environment } from "./environment.ts";

/** Resources whose outputs prove that a step is done. */
export interface DeploymentParts {
  readonly server: technicia.Vps;
  readonly swarm: technicia.State;
  readonly host: Pick<Host, "hostKey" | "packages"> & {
    readonly firewall: { readonly loaded: technicia.State };
  };
  readonly edgeFirewall: technicia.EdgeFirewall;
  readonly dns: { readonly records: readonly pulumi.CustomResource[] };
  readonly certificate: technicia.State;
  readonly collection: technicia.State;
  readonly owner: technicia.State;
  /** By their names in the settings; one that is off is undefined. */
  readonly services: Readonly<Record<string, Service | undefined>>;
  readonly probe: command.local.Command;
}

export interface Deployment {
  readonly deploymentStatus: pulumi.Output<DeploymentStatus>;
  readonly url: string;
  readonly ipv4: pulumi.Output<string>;
  readonly ipv6: pulumi.Output<string>;
  readonly sshCommand: pulumi.Output<string>;
  readonly ssh: pulumi.Output<StackOutputs["ssh"]>;
  readonly tunnels: pulumi.Output<StackOutputs["tunnels"]>;
}

export function describeDeployment(
  { environment, secrets }: { readonly environment: Environment; readonly secrets: Secrets },
  parts: DeploymentParts,
): Deployment {
  const { server } = parts;
  const keys = keysByService(environment, secrets.configured);
  const facts = pulumi.output({
    server: serverOf(server),
    images: Object.fromEntries(runningIn(parts).map(([name, { image }]) => [name, image])),
    evidence: evidenceOf(parts, environment),
  });
  const access = pulumi
    .all([server.ipv4, parts.host.hostKey.hostKey])
    .apply(([ipv4, hostKey]) => describeAccess(environment, ipv4, hostKey));
  return {
    deploymentStatus: facts.apply((known) => describeStatus(environment, { ...known, keys })),
    url: urlOf(environment),
    ipv4: server.ipv4,
    ipv6: server.ipv6,
    sshCommand: access.sshCommand,
    ssh: access.ssh,
    tunnels: access.tunnels,
  };
}

function serverOf(server: technicia.Vps): pulumi.Output<DeploymentStatus["server"]> {
  return pulumi.output({
    serviceName: server.serviceName,
    model: server.model,
    vcores: server.vcore,
    memoryMib: server.memoryMib,
    diskGib: server.diskGib,
    os: server.osImage,
    place: server.zone,
    state: server.state,
    ipv4: server.ipv4,
    ipv6: server.ipv6,
  });
}

function runningIn({ services }: DeploymentParts): [string, Service][] {
  return Object.entries(services).flatMap(([name, service]) =>
    service === undefined ? [] : [[name, service]],
  );
}

function evidenceOf(parts: DeploymentParts, environment: Environment): pulumi.Output<Evidence> {
  const { server, host, swarm, edgeFirewall, dns, certificate, collection, owner, probe } = parts;
  return pulumi
    .output({
      osImage: server.osImage,
      hostKey: host.hostKey.fingerprint,
      edge: edgeFirewall.state,
      table: host.firewall.loaded.observed,
      packages: host.packages.versions,
      swarm: swarm.observed,
      running: runningIn(parts).map(([, service]) => service.swarmName),
      // Not shown, but waited for: without the collection and a public answer nothing counts as deployed.
      collection: collection.id,
      probe: probe.id,
      owner: owner.observed,
      records: dns.records.map((record) => record.id),
      certificate: certificate.observed,
    })
    .apply((proven): Evidence => {
      const docker = Object.entries(proven.packages).find(([name]) => /^docker(\.io|-ce)$/.test(name));
      const n8n = proven.running.find((name) => name.endsWith("n8n"));
      return {
        os: `${proven.osImage}, clé ${proven.hostKey}`,
        firewall: `OVH : ${proven.edge} ; serveur : ${proven.table}`,
        docker: docker ? `${docker.join(" ")} ; swarm ${proven.swarm}` : undefined,
        services: proven.running.join(", "),
        n8nEncryptionKey: n8n && `secret de ${n8n}`,
        n8nEnvironment: n8n && proven.owner,
        n8nHttps: proven.certificate,
        dns: `${proven.records.length} enregistrements`,
        certbot: environment.images.certbot,
        certificate: proven.certificate,
        ...monitoringEvidence(proven.running, environment),
        functionalTests: { partly: `${urlOf(environment)}/healthz` },
      };
    });
}

/** Programs that run, and who is told; the test of the alerts is in the records of the server. */
function monitoringEvidence(
  running: readonly string[],
  { monitoring }: Environment,
): Pick<Evidence, "monitoring" | "alerting"> {
  const programs = monitoringServices.map(swarmName).filter((name) => running.includes(name));
  if (programs.length === 0) return {};
  const { mail, receivers } = monitoring;
  const channels = [
    ...(mail === undefined ? [] : ["courriel"]),
    ...(receivers.slack ? ["Slack"] : []),
    ...receivers.webhooks.map(({ name }) => `webhook ${name}`),
  ];
  return {
    monitoring: programs.join(", "),
    alerting:
      channels.length === 0
        ? { partly: "règles en place ; personne n'est prévenu (technicia:monitoring.mail, receivers)" }
        : `envoi par ${channels.join(", ")}`,
  };
}
