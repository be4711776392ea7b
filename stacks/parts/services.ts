/** The services on the swarm, and what is made in them. */
import * as pulumi from "@pulumi/pulumi";

import { askToHold, HOLD_FOLDER, type HeldService, holdFolderOf } from "../../common/hold.ts";
import { LOOPBACK_PORTS, MONITORING_PORTS } from "../../common/monitoring.ts";
import { COLLECTION, isServiceOn, SERVICES, type ServiceName, swarmName } from "../../common/services.ts";
import { Documents } from "../../components/documents.ts";
import { createN8nDatabase } from "../../components/n8n-database.ts";
import { createN8nOwner, N8n } from "../../components/n8n.ts";
import { NETWORKS_RANGE } from "../../components/networks.ts";
import { createPostgresPassword } from "../../components/postgres-password.ts";
import { Postgres } from "../../components/postgres.ts";
import { PythonService } from "../../components/python-service.ts";
import { compareCollections, createQdrantCollection } from "../../components/qdrant-collection.ts";
import { Qdrant } from "../../components/qdrant.ts";
import { compareServices } from "../../components/service-spec.ts";
import { Service } from "../../components/service.ts";
import { Tunnel, type TunnelArgs } from "../../components/tunnel.ts";
import { keepWorkflow } from "../../provider/n8n/workflow.ts";
import * as technicia from "../../provider/resources.ts";
import { publicNames } from "../environment.ts";
import { areSeveral, serversInTunnel, tunnelAddress } from "../servers.ts";
import type { Site } from "./site.ts";

/** Services that workflows call, by either of their names. */
const CALLED: readonly ServiceName[] = ["qdrant", "vectorStore", "documentProcessor", "visionClassifier"];

export function createQdrant(site: Site): Qdrant {
  const { environment, secrets } = site;
  const [apiKey, otherApiKey] = environment.services.qdrant.apiKey ? secrets.accepted("qdrantApiKey") : [];
  return new Qdrant(
    "technicia-qdrant",
    {
      ...site.common("qdrant"),
      before: () => holdRequests("qdrant", site.networks.data),
      network: site.networks.data,
      apiKey,
      otherApiKey,
      protectData: environment.protectData,
    },
    site.onSwarm,
  );
}

/** Operators reach Qdrant, n8n and the monitoring through it, and so do the resources that talk to them. */
export function createTunnel(site: Site): Tunnel {
  const { edge, data, monitoring } = site.networks;
  const programs = monitoring === undefined ? [] : Object.entries(LOOPBACK_PORTS);
  return new Tunnel(
    "technicia-tunnel",
    {
      image: site.pull("gateway"),
      host: site.host.connection,
      networks: [edge, data, ...(monitoring === undefined ? [] : [monitoring.inside])].map((network) => ({
        network,
      })),
      refusedRange: NETWORKS_RANGE,
      ...(monitoring === undefined ? {} : { logTag: "tunnel" }),
      ports: {
        5678: "n8n:5678",
        6333: "qdrant:6333",
        ...Object.fromEntries(
          programs.map(([alias, port]) => [
            port,
            `${alias}:${MONITORING_PORTS[alias as keyof typeof MONITORING_PORTS]}`,
          ]),
        ),
      },
      ...(monitoring === undefined ? {} : intakeOf(site)),
    },
    site.onHome,
  );
}

function intakeOf({ environment }: Site): Pick<TunnelArgs, "intake"> {
  const [home, ...senders] = serversInTunnel(environment);
  return home === undefined ? {} : { intake: { ...home, senders } };
}

export function createCollection(
  site: Site,
  { qdrant, tunnel }: { readonly qdrant: Qdrant; readonly tunnel: Tunnel },
): technicia.State {
  const apiKey = apiKeyOf(site);
  const collection = createQdrantCollection(
    "qdrant-collection",
    { ...COLLECTION, apiKey },
    { ...site.onHost, dependsOn: [qdrant, tunnel] },
  );
  const collections = [COLLECTION.collection, ...site.environment.services.qdrant.otherCollections];
  compareCollections(
    "extra-collections",
    { collections, apiKey },
    { ...site.onHost, dependsOn: [collection] },
  );
  return collection;
}

export function createVectorStore(
  site: Site,
  { collection }: { readonly collection: technicia.State },
): Service {
  const { edge, app, data } = site.networks;
  const { secrets } = site;
  const vectorStore = new PythonService(
    "technicia-vector-store",
    {
      ...site.common("vectorStore"),
      alias: "vector-store",
      networks: [edge, app, data],
      environment: { QDRANT_HOST: "qdrant", QDRANT_PORT: "6333", COLLECTION_NAME: COLLECTION.collection },
      secretEnvironment: {
        VOYAGE_API_KEY: secrets.has("voyageApiKey") ? secrets.value("voyageApiKey") : undefined,
        QDRANT_API_KEY: apiKeyOf(site),
      },
    },
    { ...site.onSwarm, dependsOn: [collection] },
  );
  return vectorStore.service;
}

/** The files of uploaded documents; undefined where none are kept. */
export function createDocuments(
  site: Site,
  { collection }: { readonly collection: technicia.State },
): Documents | undefined {
  const { environment, host } = site;
  if (!environment.documents.enabled) return undefined;
  return new Documents(
    "technicia-documents",
    {
      stack: environment.name,
      host: host.connection,
      protectData: environment.protectData,
      executionSeconds: environment.timeouts.uploadSeconds,
      failedDays: environment.documents.failedDays,
      qdrantKey: apiKeyOf(site),
      volumesOn: areSeveral(environment) ? site.onHome.provider : undefined,
    },
    { ...site.onSwarm, dependsOn: [...site.onSwarm.dependsOn, collection] },
  );
}

interface WithDocuments {
  readonly documents: Documents | undefined;
}

export function createDocumentProcessor(site: Site, { documents }: WithDocuments): Service | undefined {
  if (!isServiceOn("documentProcessor", site.environment)) return undefined;
  const { project, location, processorId } = site.environment.services.documentProcessor;
  const { environment, secretFiles } = googleCredentials(site);
  const processor = new PythonService(
    "technicia-document-processor",
    {
      ...site.common("documentProcessor"),
      alias: "document-processor",
      networks: [site.networks.app],
      secretFiles,
      environment: {
        ...environment,
        DOCUMENT_AI_PROJECT: project,
        DOCUMENT_AI_LOCATION: location,
        DOCUMENT_AI_PROCESSOR_ID: processorId,
        // Only /tmp can be written to, and the task loses it when it ends: nothing piles up.
        TEMP_DIR: "/tmp/technicia",
      },
      ...(documents === undefined ? {} : { volumes: [documents.mount()] }),
    },
    { ...site.onSwarm, dependsOn: [...site.onSwarm.dependsOn, ...(documents ? [documents.ready] : [])] },
  );
  return processor.service;
}

export function createVisionClassifier(site: Site): Service | undefined {
  if (!isServiceOn("visionClassifier", site.environment)) return undefined;
  const classifier = new PythonService(
    "technicia-vision-classifier",
    {
      ...site.common("visionClassifier"),
      ...googleCredentials(site),
      alias: "vision-classifier",
      networks: [site.networks.app],
    },
    site.onSwarm,
  );
  return classifier.service;
}

export function createFrontend(site: Site): Service | undefined {
  if (!isServiceOn("frontend", site.environment)) return undefined;
  return new Service(
    "technicia-frontend",
    {
      ...site.common("frontend"),
      networks: [{ network: site.networks.edge, aliases: ["frontend", "technicia-frontend"] }],
      health: ["CMD-SHELL", "wget -q -O /dev/null http://127.0.0.1:80/"],
      capabilities: ["CHOWN", "DAC_OVERRIDE", "NET_BIND_SERVICE", "SETGID", "SETUID"],
    },
    site.onSwarm,
  );
}

export function createPostgres(site: Site): Postgres | undefined {
  const { environment, secrets } = site;
  if (!isServiceOn("postgres", environment)) return undefined;
  return new Postgres(
    "technicia-postgres",
    {
      ...site.common("postgres"),
      before: () => holdRequests("postgres", site.networks.data),
      network: site.networks.data,
      password: secrets.value("postgresPassword"),
      protectData: environment.protectData,
    },
    site.onSwarm,
  );
}

export function createN8n(
  site: Site,
  { postgres, documents }: { readonly postgres: Postgres | undefined } & WithDocuments,
): N8n {
  const { environment, secrets, networks, onSwarm } = site;
  const [domain = environment.domain, editorDomain] = publicNames(environment);
  const { database: kind, startEmpty } = environment.services.n8n;
  const server = postgres ? [postgres] : [];
  const database = createN8nDatabase(
    "n8n-database",
    { stack: environment.name, kind, startEmpty },
    { ...site.onHost, dependsOn: [...onSwarm.dependsOn, ...server] },
  );
  const held = holdRequests("n8n", database);
  const password = postgres && createRolePassword(site, { postgres, after: [database], held });
  return new N8n(
    "technicia-n8n",
    {
      ...site.common("n8n"),
      edge: networks.edge,
      app: networks.app,
      data: networks.data,
      domain,
      editorUrl: editorDomain === undefined ? "http://localhost:5678/" : `https://${editorDomain}/`,
      timeZone: environment.locale.timeZone,
      uploadMaxMib: environment.uploadMaxMib,
      executionSeconds: environment.timeouts.uploadSeconds,
      database: postgres
        ? { kind: "postgres", password: secrets.value("postgresPassword") }
        : { kind: "sqlite" },
      runners: isServiceOn("n8nRunners", environment)
        ? {
            ...site.common("n8nRunners"),
            token: secrets.value("n8nRunnersToken"),
            network: networks.runners,
          }
        : undefined,
      secrets: {
        encryptionKey: secrets.value("n8nEncryptionKey"),
        jwtSecret: secrets.value("n8nJwtSecret"),
      },
      internalHosts: CALLED.flatMap((name) => [SERVICES[name].alias, swarmName(name)]),
      ...(environment.monitoring.enabled ? { metrics: true } : {}),
      ...(environment.workflows.enabled ? { publicApi: true } : {}),
      documents: documents?.mount(),
      after: held,
      protectData: environment.protectData,
    },
    {
      ...onSwarm,
      dependsOn: [
        ...onSwarm.dependsOn,
        ...server,
        database,
        ...(password ? [password] : []),
        ...(documents ? [documents.ready] : []),
      ],
    },
  );
}

/** Right before n8n restarts with it: what n8n opens in between would be refused, so its requests are held already. */
function createRolePassword(
  { secrets, onHost }: Site,
  {
    postgres,
    after,
    held,
  }: {
    readonly postgres: Postgres;
    readonly after: readonly pulumi.Resource[];
    readonly held: pulumi.Output<pulumi.Resource>;
  },
): technicia.State {
  return createPostgresPassword(
    "postgres-password",
    { password: secrets.value("postgresPassword") },
    { ...onHost, dependsOn: [...onHost.dependsOn, postgres, ...after, held] },
  );
}

/**
 * Right before a service changes, which `last` comes before, the command that deploys has the gateway hold the requests to n8n; without such a
 * command nothing is waited for.
 */
function holdRequests(service: HeldService, last: pulumi.CustomResource): pulumi.Output<pulumi.Resource> {
  const folder = pulumi.runtime.isDryRun() ? undefined : process.env[HOLD_FOLDER];
  // What waits has the same dependencies in a preview, or the update would violate its plan.
  return last.urn.apply(async () => {
    if (folder !== undefined) await askToHold({ folder: holdFolderOf(folder, service) });
    return last;
  });
}

export function createOwner(
  { environment, secrets, onHost }: Site,
  { n8n, tunnel }: { readonly n8n: N8n; readonly tunnel: Tunnel },
): technicia.State {
  return createN8nOwner(
    "n8n-owner",
    {
      ...environment.services.n8n.owner,
      email: environment.adminEmail,
      password: secrets.value("n8nOwnerPassword"),
    },
    { ...onHost, dependsOn: [n8n, tunnel] },
  );
}

/** n8n's workflows and credentials, once somebody may own them. */
export function createContent(
  { environment, secrets, content, onHost }: Site,
  { owner }: { readonly owner: technicia.State },
): technicia.N8nContent | undefined {
  if (content === undefined) return undefined;
  const { keyDays, webhookSeconds } = environment.workflows;
  return new technicia.N8nContent(
    "n8n-content",
    {
      workflows: Object.fromEntries(
        content.workflows.map((workflow) => [workflow.id, keepWorkflow(workflow)]),
      ),
      credentials: Object.fromEntries(
        content.credentials.map(({ id, name, type, data }) => [
          id,
          { name, type, data: pulumi.secret(data) },
        ]),
      ),
      domain: environment.domain,
      owner: { email: environment.adminEmail, password: secrets.value("n8nOwnerPassword") },
      keyDays,
      webhookSeconds,
    },
    { ...onHost, dependsOn: [owner] },
  );
}

/** After all services: what they hold beside what the program declares. */
export function createComparison(
  { environment, onHost }: Site,
  services: readonly (Service | undefined)[],
): technicia.State {
  const running = services.filter((service) => service !== undefined);
  return compareServices(
    "extra-specs",
    {
      specs: running.map(({ spec }) => spec),
      nodes: areSeveral(environment)
        ? environment.servers.map(({ name }) => tunnelAddress(environment.wireguard, name))
        : [],
    },
    { ...onHost, dependsOn: running },
  );
}

function apiKeyOf({ environment, secrets }: Site): pulumi.Output<string> | undefined {
  return environment.services.qdrant.apiKey ? secrets.value("qdrantApiKey") : undefined;
}

function googleCredentials({ secrets }: Site) {
  return {
    environment: { GOOGLE_APPLICATION_CREDENTIALS: "/run/secrets/google_credentials" },
    secretFiles: secrets.has("googleCredentials")
      ? [{ file: "google_credentials", value: secrets.value("googleCredentials") }]
      : [],
  };
}
