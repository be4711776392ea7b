/** After a deployment: what was deployed works, is fast enough and is closed to strangers. */
import { setTimeout as wait } from "node:timers/promises";

import type { Check } from "../../common/check.ts";
import { publicNames } from "../../stacks/environment.ts";
import type { Server } from "../server/connection.ts";
import {
  askServer,
  type CheckContext,
  type CheckEffects,
  realEffects,
  type ServerAccess,
} from "./context.ts";
import { backupsProbe } from "./general-items.ts";
import { gatewayProbes, type Machines, openMachines, probesOf } from "./machines.ts";
import { type Finding, notChecked, type Probe, runProbe, runProbes } from "./probe.ts";
import {
  checkClosedPaths,
  checkFrontend,
  checkHeaders,
  checkHealthRoute,
  checkRedirect,
  checkUploads,
  type PublicSite,
  openSite,
} from "./public/gateway.ts";
import { checkLoad } from "./public/load.ts";
import { checkPorts, CLOSED_PORTS } from "./public/ports.ts";
import { checkCertificate, checkTlsVersions } from "./public/tls.ts";
import { checkQuestion } from "./question/end-to-end.ts";
import { judgeContainers, readContainers } from "./server/containers.ts";
import { checkDefaultCredentials, checkN8nReady, checkWebhooks, type N8n, n8nOf } from "./server/n8n.ts";
import {
  checkCollection,
  checkHealth,
  checkQdrantReady,
  checkSearch,
  type Qdrant,
  qdrantOf,
} from "./server/vector-store.ts";
import { checkRoom } from "./server/machine.ts";
import { releaseLimits } from "../../stacks/release-limits.ts";

const UPLOAD_SECONDS = 120;

interface Verification {
  readonly context: CheckContext;
  readonly machines: Machines;
  readonly access: ServerAccess;
  readonly site: PublicSite;
  readonly qdrant: Qdrant;
  readonly n8n: N8n;
  readonly now: () => number;
}

/** Ids begin with `functional-`, `performance-` or `security-`. */
export async function verify(context: CheckContext, effects: CheckEffects = realEffects()): Promise<Check[]> {
  const machines = await openMachines(context, "functional-server");
  const { access } = machines;
  const { loopback, now } = effects;
  const { environment } = context;
  const given: Verification = {
    context,
    machines,
    access,
    site: await openSite(environment, { access: machines.gateways[0]?.access ?? access, effects }),
    qdrant: qdrantOf(context, loopback.qdrant),
    n8n: n8nOf(context, loopback.n8n),
    now,
  };
  const containers = await watchContainers(given);
  const functional = await runProbes(
    [...publicProbes(given), ...serviceProbes(given), ...routeProbes(given)],
    context,
  );
  const security = await runProbes(securityProbes(given), context);
  // After the other one that counts points.
  const question = await checkQuestion(context, { site: given.site, access });
  // One at a time and alone, so that each measures the system and not the other checks.
  const load: Check[] = [];
  for (const probe of performanceProbes(given)) load.push(await runProbe(probe, context));
  const observed = await runProbe(containers, context);
  const room = await runProbes(roomProbes(given), context);
  const found = await runProbe(
    backupsProbe(context, { access, now: effects.now, id: "functional-backups" }),
    context,
  );
  // An old set is no reason to take the release back.
  const backups: Check = found.outcome === "failed" ? { ...found, outcome: "not-checked" } : found;
  return [...machines.checks, observed, ...functional, ...question, backups, ...load, ...room, ...security];
}

/** Reads the containers now; the probe compares with them once the release was observed for as long as its settings ask. */
async function watchContainers({ context, access }: Verification): Promise<Probe> {
  const { environment } = context;
  const { observationSeconds } = environment.timeouts;
  const began = performance.now();
  const before = access.server && (await readContainers(access.server).catch(() => undefined));
  return {
    id: "functional-containers",
    title: "Conteneurs en marche, sans redémarrage",
    limitSeconds: observationSeconds + 60,
    find: (signal) =>
      askServer(access, async (server) => {
        if (!before) return notChecked("les conteneurs n'ont pas pu être lus au début de la vérification");
        const observed = () => (performance.now() - began) / 1000;
        const left = observationSeconds - observed();
        if (left > 0) await wait(left * 1000, undefined, { signal });
        const after = await readContainers(server);
        return judgeContainers(environment, { before, after, seconds: observed() });
      }),
  };
}

function publicProbes({ context, machines, site }: Verification): Probe[] {
  const https = gatewayProbes(
    { ...machines, site },
    { id: "functional-https", title: "Application : Accessible et fonctionnelle" },
    checkHealthRoute,
  );
  const frontend: Probe = {
    id: "functional-frontend",
    title: "Application : Page d'accueil servie",
    find: (signal) => checkFrontend(site, signal),
  };
  return context.environment.services.frontend.enabled ? [...https, frontend] : https;
}

function serviceProbes({ context, access, n8n, qdrant }: Verification): Probe[] {
  const { documentProcessor, visionClassifier } = context.environment.services;
  const onServer = (
    id: string,
    probe: { title: string; limitSeconds?: number; look: (server: Server) => Promise<Finding> },
  ): Probe => ({ id, ...probe, find: () => askServer(access, probe.look) });
  const healthOf = (name: string, service: "documentProcessor" | "visionClassifier") =>
    onServer(`functional-${name}`, {
      title: `${name} prêt, avec ses clés Google`,
      look: (server) => checkHealth(server, service),
    });
  return [
    onServer("functional-n8n", { title: "n8n prêt", look: (server) => checkN8nReady(server, n8n) }),
    onServer("functional-qdrant", {
      title: "Qdrant prêt",
      limitSeconds: 60,
      look: (server) => checkQdrantReady(server, qdrant),
    }),
    onServer("functional-collection", {
      title: "Base de données : Connexions et requêtes OK",
      look: (server) => checkCollection(server, qdrant),
    }),
    onServer("functional-vector-store", {
      title: "Le service vector-store peut communiquer avec Qdrant",
      look: (server) => checkHealth(server, "vectorStore"),
    }),
    onServer("functional-search", {
      title: "Recherche : une phrase écrite est retrouvée, puis retirée",
      limitSeconds: 150,
      look: (server) => checkSearch(server, qdrant),
    }),
    ...(documentProcessor.enabled ? [healthOf("document-processor", "documentProcessor")] : []),
    ...(visionClassifier.enabled ? [healthOf("vision-classifier", "visionClassifier")] : []),
  ];
}

function routeProbes({ context, access, site, n8n }: Verification): Probe[] {
  const { uploadMaxMib } = context.environment;
  return [
    {
      id: "functional-webhooks",
      title: "APIs : Endpoints critiques opérationnels",
      limitSeconds: 90,
      find: (signal) => checkWebhooks(n8n, { site, access, signal, earlier: context.earlier }),
    },
    {
      id: "functional-uploads",
      title: "Envoi de fichiers : taille limite respectée",
      limitSeconds: UPLOAD_SECONDS,
      find: (signal) => checkUploads(site, { uploadMaxMib, signal }),
    },
  ];
}

function performanceProbes({ context, machines, site }: Verification): Probe[] {
  const { services } = context.environment;
  const thresholds = releaseLimits(context.environment);
  const limitSeconds = thresholds.loadSeconds + 30;
  const pageStatus = services.frontend.enabled ? 200 : 404;
  const load = (row: { readonly id: string; readonly title: string }, path: string, status: number) =>
    gatewayProbes({ ...machines, site }, { ...row, limitSeconds }, (gateway, signal) =>
      checkLoad(gateway, { path, status, thresholds, signal }),
    );
  return [
    ...load({ id: "performance-health", title: "Tests de performance : /healthz" }, "/healthz", 200),
    ...load({ id: "performance-pages", title: "Tests de performance : pages" }, "/", pageStatus),
  ];
}

function roomProbes({ context: { environment }, machines }: Verification): Probe[] {
  return probesOf(
    machines.all,
    {
      id: "performance-resources",
      title: "Ressources : disque et mémoire après le déploiement",
      limitSeconds: 60,
    },
    ({ access, keepsMonitoring }) =>
      askServer(access, (server) => checkRoom({ server, environment, keepsMonitoring })),
  );
}

function securityProbes(given: Verification): Probe[] {
  const { context, machines, access, site, n8n, now } = given;
  const { domain, acme, services } = context.environment;
  const { certificateDays: days } = releaseLimits(context.environment);
  const otherHosts = publicNames(context.environment).filter((name) => name !== domain);
  const hasFrontend = services.frontend.enabled;
  const { openPaths } = services.gateway;
  return [
    ...portProbes(given),
    ...gatewayProbes(
      { ...machines, site },
      { id: "security-tls", title: "Versions de TLS" },
      checkTlsVersions,
    ),
    ...gatewayProbes(
      { ...machines, site },
      { id: "security-certificate", title: "Les certificats SSL sont valides et installés" },
      (gateway, signal) => checkCertificate(gateway, { days, now, signal }),
    ),
    {
      id: "security-redirect",
      title: "Redirection de http vers https",
      find: (signal) => checkRedirect(site, signal),
    },
    {
      id: "security-headers",
      title: "En-têtes de sécurité",
      find: (signal) => checkHeaders(site, { isTrusted: acme.trusted, signal }),
    },
    {
      id: "security-closed-paths",
      title: "Administration fermée : /rest, /metrics, éditeur de n8n",
      find: (signal) => checkClosedPaths(site, { otherHosts, openPaths, hasFrontend, signal }),
    },
    {
      id: "security-credentials",
      title: "Identifiants par défaut refusés",
      limitSeconds: 90,
      find: () => askServer(access, (server) => checkDefaultCredentials(server, n8n)),
    },
  ];
}

function portProbes({ context, machines, site }: Verification): Probe[] {
  const { port, adminCidrs } = context.environment.ssh;
  const { http, https } = site.ports;
  const others = CLOSED_PORTS.filter((one) => one !== port);
  const scan = (
    address: string | undefined,
    scanned: {
      readonly open: readonly number[];
      readonly closed: readonly number[];
      readonly signal: AbortSignal;
    },
  ) => (address ? checkPorts({ address, ...scanned }) : notChecked("l'adresse du serveur n'est pas connue"));
  return [
    ...probesOf(
      machines.all,
      { id: "security-ports-v4", title: "Ports vus de l'extérieur, IPv4" },
      ({ ipv4, access, isGateway, isDrained }, signal) =>
        scan(ipv4, {
          // The firewall lets in administrators only. This machine is one of them if the checks have reached the server.
          open: [...(access.server ? [port] : []), ...(isGateway && !isDrained ? [http, https] : [])],
          closed: [...others, ...(isGateway ? [] : [http, https])],
          signal,
        }),
    ),
    ...probesOf(
      machines.all,
      { id: "security-ports-v6", title: "Ports vus de l'extérieur, IPv6" },
      // Visitors come over IPv4 only.
      ({ ipv6 }, signal) =>
        scan(ipv6, {
          open: [],
          closed: [...others, ...(adminCidrs.v6.length > 0 ? [] : [port]), http, https],
          signal,
        }),
    ),
  ];
}
