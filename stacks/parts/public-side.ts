/** What the public reaches: the gateway, its certificate, and the proof that both answer. */
import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";

import { OPENABLE_PATHS, type OpenablePath } from "../../common/services.ts";
import { CertificateCopy } from "../../components/certificate-copy.ts";
import { Certificate, wantedStatus } from "../../components/certificate.ts";
import { Gateway } from "../../components/gateway.ts";
import type { Service } from "../../components/service.ts";
import type { Dns } from "../../infra/dns.ts";
import { joinProof } from "../../infra/server-keys.ts";
import { urlOf } from "../deployment-status.ts";
import { publicNames } from "../environment.ts";
import { tunnelAddress } from "../servers.ts";
import type { Machine } from "./machines.ts";
import type { Site } from "./site.ts";

export function createGateway(site: Site, { owner }: { readonly owner: pulumi.Resource }): Gateway {
  const { environment, networks, secrets } = site;
  const [first, ...others] = site.servers.gateways;
  const { services, timeouts, monitoring } = environment;
  const neighbours = monitoring.enabled ? monitoring.neighbours.map(({ stack }) => stack) : [];
  const [domain = environment.domain, editorDomain] = publicNames(environment);
  const gateway = new Gateway(
    "technicia-gateway",
    {
      ...site.common("gateway"),
      host: first.host.connection,
      ...(others.length > 0 ? { others: othersOf(site, others) } : {}),
      networks: [networks.edge],
      config: {
        domain,
        editorDomain,
        editorCidrs: services.gateway.editorCidrs,
        openPaths: services.gateway.openPaths,
        visitors: services.gateway.visitors,
        uploadMaxMib: environment.uploadMaxMib,
        uploadSeconds: timeouts.uploadSeconds,
        answerSeconds: timeouts.answerSeconds,
        hsts: environment.acme.trusted,
        frontend: services.frontend.enabled,
        ...(monitoring.enabled ? { monitoring: { neighbours } } : {}),
        ...(services.gateway.hold.enabled ? { hold: services.gateway.hold } : {}),
      },
      ...(neighbours.length > 0 ? { neighbourTokens: secrets.accepted("neighbourToken") } : {}),
      n8nOwner: owner,
    },
    site.onSwarm,
  );
  sayWhatIsClosed(gateway, services.gateway.openPaths);
  return gateway;
}

function othersOf({ environment, servers }: Site, others: readonly Machine[]) {
  return {
    servers: Object.fromEntries(others.map(({ server, host }) => [server.name, host.connection])),
    challengeServer: orderingServer({ environment, servers }).address,
    manager: servers.all[0].host.connection,
  };
}

/** The server that orders the certificate, and its address in the tunnel. */
function orderingServer({ environment, servers }: Pick<Site, "environment" | "servers">) {
  const [{ server }] = servers.gateways;
  return { name: server.name, address: tunnelAddress(environment.wireguard, server.name) };
}

function sayWhatIsClosed(gateway: Gateway, openPaths: readonly OpenablePath[]): void {
  const closed = (Object.keys(OPENABLE_PATHS) as OpenablePath[]).filter((name) => !openPaths.includes(name));
  if (closed.length === 0 || !pulumi.runtime.isDryRun()) return;
  const paths = closed.flatMap((name) => OPENABLE_PATHS[name]).join(", ");
  void pulumi.log.info(
    `links that n8n prints to ${paths} lead nowhere: services.gateway.openPaths opens ${closed.join(", ")}`,
    gateway,
  );
}

export function createCertificate(
  { environment, servers, pull }: Site,
  { dns, gateway }: { readonly dns: Dns; readonly gateway: Gateway },
): Certificate {
  const [{ host, vps }] = servers.gateways;
  return new Certificate(
    "certificate",
    {
      host: host.connection,
      image: pull("certbot"),
      domains: publicNames(environment),
      email: environment.adminEmail,
      directory: environment.acme.directory,
      keyType: environment.acme.keyType,
      address: vps.ipv4,
    },
    { dependsOn: [gateway.service, ...dns.records] },
  );
}

/** On each other gateway, once the certificate is there. */
export function createCertificateCopies(
  { environment, secrets, servers }: Site,
  { certificate }: { readonly certificate: Certificate },
): CertificateCopy[] {
  const [, ...others] = servers.gateways;
  const domains = publicNames(environment);
  const source = orderingServer({ environment, servers });
  return others.map(
    ({ server, host, named }) =>
      new CertificateCopy(
        named("certificate-copy"),
        {
          ...{ host: host.connection, server: server.name, source },
          proof: secrets.value("wireguardKey").apply((key) => joinProof(key, server.name)),
          name: domains[0]!,
          wanted: wantedStatus({ ...environment.acme, domains }),
        },
        { dependsOn: [certificate] },
      ),
  );
}

interface Probed {
  readonly certificate: Certificate;

  /** On other gateways. */
  readonly copies: readonly CertificateCopy[];
  readonly gateway: Gateway;

  /** Services behind the public address; one that is off is undefined. */
  readonly services: readonly (Service | undefined)[];
}

/** Asks the public address after everything behind it has changed. */
export function createProbe(
  { environment, cloud }: Site,
  { certificate, copies, gateway, services }: Probed,
): command.local.Command {
  const running = services.filter((service) => service !== undefined);
  const { acme, timeouts } = environment;
  const asked = [`${urlOf(environment)}/healthz`, timeouts.convergenceSeconds];
  return new command.local.Command(
    "public-probe",
    {
      // The engine runs it in the folder of the program, stacks/.
      create: [
        "node ../components/probe.ts",
        ...asked,
        ...(acme.trusted ? [] : ["untrusted-authority"]),
      ].join(" "),
      // A changed value runs the probe again; the old one has nothing to undo.
      triggers: [
        certificate.served.observed,
        ...copies.map(({ served }) => served.observed),
        gateway.configuration.sha256,
        ...running.map(({ revision }) => revision),
      ],
      logging: "none",
    },
    { provider: cloud.local, dependsOn: [certificate, ...copies, gateway, ...running] },
  );
}
