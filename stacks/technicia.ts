import { describeDeployment, type Deployment } from "./outputs.ts";
import { createBackup, createBackupStorage } from "./parts/backup.ts";
import { createMonitoring, createServerMonitoring } from "./parts/monitoring.ts";
import {
  createCertificate,
  createCertificateCopies,
  createGateway,
  createProbe,
} from "./parts/public-side.ts";
import { createDns, createHostExtras, createHosts, rentServers } from "./parts/server.ts";
import {
  createCollection,
  createComparison,
  createContent,
  createDocumentProcessor,
  createDocuments,
  createFrontend,
  createN8n,
  createOwner,
  createPostgres,
  createQdrant,
  createTunnel,
  createVectorStore,
  createVisionClassifier,
} from "./parts/services.ts";
import { createSite, type TechniciaArgs } from "./parts/site.ts";

/** Everything one environment consists of, in order of dependence: the system's table of contents. */
export function defineTechnicia(args: TechniciaArgs): Deployment {
  const rented = rentServers(args);
  const dns = createDns(args, rented);
  const servers = createHosts(args, rented);
  createHostExtras(args, servers);
  const storage = createBackupStorage(args);
  const site = createSite(args, servers);

  const qdrant = createQdrant(site);
  const tunnel = createTunnel(site);
  const collection = createCollection(site, { qdrant, tunnel });
  const vectorStore = createVectorStore(site, { collection });
  const documents = createDocuments(site, { collection });
  const documentProcessor = createDocumentProcessor(site, { documents });
  const visionClassifier = createVisionClassifier(site);
  const frontend = createFrontend(site);
  const postgres = createPostgres(site);
  const n8n = createN8n(site, { postgres, documents });
  const owner = createOwner(site, { n8n, tunnel });

  const content = createContent(site, { owner });

  const gateway = createGateway(site, { owner });
  const certificate = createCertificate(site, { dns, gateway });
  const copies = createCertificateCopies(site, { certificate });
  const core = [qdrant.service, vectorStore, n8n.service, gateway.service];
  const services = [...core, documentProcessor, visionClassifier, frontend];
  createBackup(site, {
    storage,
    sources: [qdrant, tunnel, n8n, owner, ...(content ? [content] : []), certificate],
  });
  const probe = createProbe(site, { certificate, copies, gateway, services });
  const monitoring = createMonitoring(site, { after: [tunnel, probe] });
  const programs = Object.values(monitoring?.services ?? {});
  createServerMonitoring(site, { after: programs });
  createComparison(site, [...services, n8n.runners, postgres?.service, ...programs]);

  return describeDeployment(args, {
    server: servers.home.vps.server,
    host: servers.home.host,
    swarm: servers.swarm,
    edgeFirewall: servers.home.edgeFirewall.firewall,
    dns,
    certificate: certificate.served,
    collection,
    owner,
    services: {
      qdrant: qdrant.service,
      vectorStore,
      n8n: n8n.service,
      n8nRunners: n8n.runners,
      postgres: postgres?.service,
      documentProcessor,
      visionClassifier,
      frontend,
      gateway: gateway.service,
      ...monitoring?.services,
    },
    probe,
  });
}
