import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";

import { COLLECTION } from "../common/services.ts";
import { Certificate } from "../components/certificate.ts";
import { Gateway } from "../components/gateway.ts";
import { pullImage } from "../components/image.ts";
import { createN8nOwner, N8n } from "../components/n8n.ts";
import { Networks } from "../components/networks.ts";
import { Postgres } from "../components/postgres.ts";
import { PythonService } from "../components/python-service.ts";
import { createQdrantCollection } from "../components/qdrant-collection.ts";
import { Qdrant } from "../components/qdrant.ts";
import { Tunnel } from "../components/tunnel.ts";
import { Dns } from "../infra/dns.ts";
import { EdgeFirewall } from "../infra/edge-firewall.ts";
import { HostExtras } from "../infra/host-extras.ts";
import { Host } from "../infra/host.ts";
import { Vps } from "../infra/vps.ts";
import type { Secrets } from "../secrets/resolve.ts";
import type { Cloud } from "./cloud.ts";
import { DECLARED } from "./declared.ts";
import { publicNames, type Environment } from "./environment.ts";
import { createDocumentServices, type Pull } from "./document-services.ts";
import { describeDeployment, type Deployment } from "./outputs.ts";

/** Everything one environment consists of, in order of dependence: the system's table of contents. */
export function defineTechnicia(environment: Environment, secrets: Secrets, cloud: Cloud): Deployment {
  const { services, timeouts, protectData } = environment;
  const patience = {
    convergenceSeconds: timeouts.convergenceSeconds,
    observationSeconds: timeouts.observationSeconds,
  };

  const vps = new Vps("vps", {
    cloud: cloud.own,
    ...sourceOf(environment),
    displayName: `technicia-${environment.name}`,
    vcores: environment.server.vcores,
    memoryGib: environment.server.memoryGib,
    datacentre: environment.server.datacentre,
    image: environment.server.image,
    publicKey: environment.ssh.publicKey,
    deleteAtExpiry: environment.server.deleteAtExpiry,
    protect: protectData,
  });
  const edgeFirewall = new EdgeFirewall("edge-firewall", {
    cloud: cloud.own,
    ip: vps.ipv4,
    sshPort: environment.ssh.port,
    adminCidrs: environment.ssh.adminCidrs.v4,
  });
  const names = publicNames(environment);
  const [, editorDomain] = names;
  const dns = new Dns("dns", {
    vendor: cloud.dns,
    ovh: cloud.ovh,
    zone: environment.dns.zone,
    names,
    ipv4: vps.ipv4,
    ipv6: vps.ipv6,
    ttlSeconds: environment.dns.ttlSeconds,
    caaIssuers: environment.dns.caaIssuers,
  });
  const host = new Host("host", {
    cloud: cloud.own,
    edgeFirewall,
    address: vps.ipv4,
    serverId: vps.serverId,
    ssh: { ...environment.ssh, user: environment.server.loginUser },
    dockerSource: environment.host.dockerSource,
    swapGib: environment.host.swapGib,
    timeZone: environment.locale.timeZone,
  });
  new HostExtras(
    "extra",
    {
      host: host.connection,
      ssh: { ...environment.ssh, user: environment.server.loginUser },
      ...DECLARED,
    },
    { dependsOn: [host] },
  );
  const onHost = { provider: host.connection, dependsOn: [host.engine] };
  const onSwarm = { provider: host.docker, dependsOn: [host.swarm] };

  const pull: Pull = (service) => pullImage(service, environment.images[service], onHost);
  const gatewayImage = pull("gateway");
  const networks = new Networks("networks", onSwarm);
  const qdrantKey = services.qdrant.apiKey ? { apiKey: secrets.value("qdrantApiKey") } : {};
  const qdrant = new Qdrant(
    "technicia-qdrant",
    {
      ...patience,
      image: pull("qdrant"),
      limits: services.qdrant,
      network: networks.data,
      protectData,
      ...qdrantKey,
    },
    onSwarm,
  );
  const tunnel = new Tunnel(
    "technicia-tunnel",
    {
      image: gatewayImage,
      host: host.connection,
      networks: [{ network: networks.edge }, { network: networks.data }],
      ports: { 5678: "n8n:5678", 6333: "qdrant:6333" },
    },
    onSwarm,
  );
  const collection = createQdrantCollection(
    "qdrant-collection",
    { ...COLLECTION, ...qdrantKey },
    { ...onHost, dependsOn: [qdrant, tunnel] },
  );
  const vectorStore = new PythonService(
    "technicia-vector-store",
    {
      ...patience,
      image: pull("vectorStore"),
      limits: services.vectorStore,
      alias: "vector-store",
      networks: [networks.edge, networks.app, networks.data],
      environment: { QDRANT_HOST: "qdrant", QDRANT_PORT: "6333", COLLECTION_NAME: COLLECTION.collection },
      secretEnvironment: {
        ...(secrets.has("voyageApiKey") ? { VOYAGE_API_KEY: secrets.value("voyageApiKey") } : {}),
        ...(services.qdrant.apiKey ? { QDRANT_API_KEY: secrets.value("qdrantApiKey") } : {}),
      },
    },
    { ...onSwarm, dependsOn: [collection] },
  );
  const helpers = createDocumentServices(environment, secrets, pull, networks, onSwarm);
  const database =
    services.n8n.database === "postgres" ? createDatabase(environment, secrets, pull, networks, onSwarm) : [];
  const n8n = new N8n(
    "technicia-n8n",
    {
      ...patience,
      image: pull("n8n"),
      limits: services.n8n,
      edge: networks.edge,
      app: networks.app,
      data: networks.data,
      domain: environment.domain,
      editorUrl: editorDomain === undefined ? "http://localhost:5678/" : `https://${editorDomain}/`,
      timeZone: environment.locale.timeZone,
      uploadMaxMib: environment.uploadMaxMib,
      executionSeconds: timeouts.uploadSeconds,
      database:
        database.length === 0
          ? { kind: "sqlite" }
          : { kind: "postgres", password: secrets.value("postgresPassword") },
      ...(services.n8nRunners.enabled
        ? {
            runners: {
              ...patience,
              image: pull("n8nRunners"),
              limits: services.n8nRunners,
              token: secrets.value("n8nRunnersToken"),
            },
          }
        : {}),
      secrets: {
        encryptionKey: secrets.value("n8nEncryptionKey"),
        jwtSecret: secrets.value("n8nJwtSecret"),
      },
      internalHosts: internalHosts(),
      protectData,
    },
    { ...onSwarm, dependsOn: [host.swarm, ...database] },
  );
  const owner = createN8nOwner(
    "n8n-owner",
    { email: environment.adminEmail, ...services.n8n.owner, password: secrets.value("n8nOwnerPassword") },
    { ...onHost, dependsOn: [n8n, tunnel] },
  );
  const gateway = new Gateway(
    "technicia-gateway",
    {
      ...patience,
      image: gatewayImage,
      limits: services.gateway,
      host: host.connection,
      networks: [networks.edge],
      config: {
        domain: environment.domain,
        ...(editorDomain === undefined ? {} : { editorDomain }),
        editorCidrs: services.gateway.editorCidrs,
        uploadMaxMib: environment.uploadMaxMib,
        uploadSeconds: timeouts.uploadSeconds,
        answerSeconds: timeouts.answerSeconds,
        hsts: environment.acme.trusted,
        frontend: services.frontend.enabled,
      },
      n8nOwner: owner,
    },
    onSwarm,
  );
  const certificate = new Certificate(
    "certificate",
    {
      host: host.connection,
      image: pull("certbot"),
      domains: names,
      email: environment.adminEmail,
      directory: environment.acme.directory,
      keyType: environment.acme.keyType,
      address: vps.ipv4,
    },
    { dependsOn: [gateway.service, dns] },
  );
  const url = `https://${environment.domain}`;
  const probe = new command.local.Command(
    "public-probe",
    {
      create: `node ../components/probe.ts ${url}/healthz ${timeouts.convergenceSeconds}`,
      // Pulumi runs commands in the folder of the program.
      // A changed value asks the public address again; nothing is undone when the old probe goes.
      triggers: [
        certificate.served.observed,
        gateway.configuration.sha256,
        ...[qdrant, vectorStore, n8n, gateway, ...Object.values(helpers)].map(
          ({ service }) => service.revision,
        ),
      ],
      logging: "none",
    },
    {
      provider: cloud.local,
      dependsOn: [certificate, gateway, vectorStore, ...Object.values(helpers).map(({ service }) => service)],
    },
  );

  return describeDeployment(environment, secrets, {
    server: vps.server,
    host,
    edgeFirewall: edgeFirewall.firewall,
    dns,
    certificate: certificate.served,
    collection,
    owner,
    services: {
      qdrant,
      vectorStore,
      n8n,
      ...(n8n.runners === undefined ? {} : { n8nRunners: { service: n8n.runners } }),
      ...(database[0] === undefined ? {} : { postgres: database[0] }),
      ...helpers,
      gateway,
    },
    probe,
  });
}

function sourceOf(environment: Environment) {
  const { source } = environment.server;
  if (source.kind === "adopt") return { serviceName: source.serviceName };
  return { order: { subsidiary: source.subsidiary, maxMonthlyPriceEur: source.maxMonthlyPriceEur } };
}

/** Both spellings of every service: the workflows use one and the other. */
function internalHosts(): string[] {
  return ["qdrant", "vector-store", "document-processor", "vision-classifier"].flatMap((name) => [
    name,
    `technicia-${name}`,
  ]);
}

function createDatabase(
  environment: Environment,
  secrets: Secrets,
  pull: Pull,
  networks: Networks,
  opts: pulumi.ComponentResourceOptions,
): Postgres[] {
  const { services, timeouts, protectData } = environment;
  return [
    new Postgres(
      "technicia-postgres",
      {
        image: pull("postgres"),
        limits: services.postgres,
        convergenceSeconds: timeouts.convergenceSeconds,
        observationSeconds: timeouts.observationSeconds,
        network: networks.data,
        password: secrets.value("postgresPassword"),
        protectData,
      },
      opts,
    ),
  ];
}
