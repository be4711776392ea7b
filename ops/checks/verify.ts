/** After a deployment: what was deployed works, is fast enough, and keeps strangers out. */
import { setTimeout as wait } from "node:timers/promises";

import { BACKUPS } from "./by-person.ts";
import { checkCertificate } from "./public/certificate.ts";
import type { Check } from "../../common/check.ts";
import { checkCollection, checkQdrantReady } from "./server/collection.ts";
import { judgeContainers, readContainers, type RunningContainer } from "./server/containers.ts";
import type { VerifyContext } from "./context.ts";
import { carryOut, carryOutAll, notChecked, type Probe } from "./finding.ts";
import {
  checkClosedPaths,
  checkFrontend,
  checkHeaders,
  checkHealthRoute,
  checkRedirect,
  checkUploads,
} from "./public/gateway.ts";
import { enter, type Inside, onServer } from "./server/access.ts";
import { checkLoad } from "./public/load.ts";
import { checkDefaultCredentials, checkN8nReady, checkWebhooks } from "./server/n8n.ts";
import { checkPorts, CLOSED_PORTS } from "./public/ports.ts";
import { checkRoom } from "./server/resources.ts";
import { checkTlsVersions } from "./public/tls-versions.ts";
import {
  checkDocumentProcessor,
  checkSearch,
  checkVectorStore,
  checkVisionClassifier,
} from "./server/vector-store.ts";
import { realWorld, type World } from "./world.ts";

const UPLOAD_SECONDS = 120;

/** Ids begin with `functional-`, `performance-` or `security-`. */
export async function verify(context: VerifyContext, world: World = realWorld()): Promise<Check[]> {
  const { check: server, inside } = await enter(context, "functional-server");
  const began = performance.now();
  const before = await look(inside);
  const functional = await carryOutAll(functionalProbes(context, inside, world), context);
  const security = await carryOutAll(securityProbes(context, inside, world), context);
  // Alone, so that it measures the system and not the other checks.
  const load: Check[] = [];
  for (const probe of performanceProbes(context, world)) load.push(await carryOut(probe, context));
  const containers = await carryOut(containersProbe(context, { inside, before, began }), context);
  const room = await carryOut(
    {
      id: "performance-resources",
      title: "Ressources : disque et mémoire après le déploiement",
      limitSeconds: 60,
      find: () => onServer(inside, (host) => checkRoom(host, context.environment)),
    },
    context,
  );
  return [
    server,
    containers,
    ...functional,
    { ...BACKUPS, id: "functional-backups" },
    ...load,
    room,
    ...security,
  ];
}

function functionalProbes(context: VerifyContext, inside: Inside, world: World): Probe[] {
  const { environment } = context;
  const { documentProcessor, visionClassifier, frontend } = environment.services;
  return [
    {
      id: "functional-https",
      title: "Application : Accessible et fonctionnelle",
      find: (signal) => checkHealthRoute(world, environment, signal),
    },
    ...(frontend.enabled
      ? [
          {
            id: "functional-frontend",
            title: "Application : Page d'accueil servie",
            find: (signal: AbortSignal) => checkFrontend(world, environment, signal),
          },
        ]
      : []),
    {
      id: "functional-n8n",
      title: "n8n prêt",
      find: () => onServer(inside, (server) => checkN8nReady(server, world)),
    },
    {
      id: "functional-qdrant",
      title: "Qdrant prêt",
      limitSeconds: 60,
      find: () => onServer(inside, (server) => checkQdrantReady(context, server, world)),
    },
    {
      id: "functional-collection",
      title: "Base de données : Connexions et requêtes OK",
      find: () => onServer(inside, (server) => checkCollection(context, server, world)),
    },
    {
      id: "functional-vector-store",
      title: "Le service vector-store peut communiquer avec Qdrant",
      find: () => onServer(inside, checkVectorStore),
    },
    {
      id: "functional-search",
      title: "Recherche : une phrase écrite est retrouvée, puis retirée",
      limitSeconds: 150,
      find: () => onServer(inside, (server) => checkSearch(context, server, world)),
    },
    ...(documentProcessor.enabled
      ? [
          {
            id: "functional-document-processor",
            title: "document-processor prêt, avec ses clés Google",
            find: () => onServer(inside, checkDocumentProcessor),
          },
        ]
      : []),
    ...(visionClassifier.enabled
      ? [
          {
            id: "functional-vision-classifier",
            title: "vision-classifier prêt, avec ses clés Google",
            find: () => onServer(inside, checkVisionClassifier),
          },
        ]
      : []),
    {
      id: "functional-webhooks",
      title: "APIs : Endpoints critiques opérationnels",
      limitSeconds: 90,
      find: (signal) => checkWebhooks(context, { inside, world, signal }),
    },
    {
      id: "functional-uploads",
      title: "Envoi de fichiers : taille limite respectée",
      limitSeconds: UPLOAD_SECONDS,
      find: (signal) => checkUploads(world, environment, signal),
    },
  ];
}

function performanceProbes({ environment }: VerifyContext, world: World): Probe[] {
  const limitSeconds = environment.operations.thresholds.loadSeconds + 30;
  const pageStatus = environment.services.frontend.enabled ? 200 : 404;
  return [
    {
      id: "performance-health",
      title: "Tests de performance : /healthz",
      limitSeconds,
      find: (signal) => checkLoad(world, environment, { path: "/healthz", status: 200, signal }),
    },
    {
      id: "performance-pages",
      title: "Tests de performance : pages",
      limitSeconds,
      find: (signal) => checkLoad(world, environment, { path: "/", status: pageStatus, signal }),
    },
  ];
}

function securityProbes(context: VerifyContext, inside: Inside, world: World): Probe[] {
  const { environment, outputs } = context;
  const { domain, operations } = environment;
  const { port, adminCidrs } = environment.ssh;
  const scan = (address: string | undefined, ssh: "open" | "closed" | "unknown", signal: AbortSignal) =>
    address
      ? checkPorts({
          address,
          open: [...(ssh === "open" ? [port] : []), world.ports.http, world.ports.https],
          closed: [...CLOSED_PORTS.filter((one) => one !== port), ...(ssh === "closed" ? [port] : [])],
          signal,
        })
      : notChecked("l'adresse du serveur n'est pas connue");
  return [
    {
      id: "security-ports-v4",
      title: "Ports vus de l'extérieur, IPv4",
      // Whether ssh answers here depends on where this machine is: it must, if the checks came in by it.
      find: (signal) => scan(outputs?.ipv4, typeof inside === "string" ? "unknown" : "open", signal),
    },
    {
      id: "security-ports-v6",
      title: "Ports vus de l'extérieur, IPv6",
      find: (signal) => scan(outputs?.ipv6, adminCidrs.v6.length > 0 ? "unknown" : "closed", signal),
    },
    {
      id: "security-tls",
      title: "Versions de TLS",
      find: (signal) => checkTlsVersions(world, domain, signal),
    },
    {
      id: "security-certificate",
      title: "Les certificats SSL sont valides et installés",
      find: (signal) =>
        checkCertificate(world, { domain, days: operations.thresholds.certificateDays, signal }),
    },
    {
      id: "security-redirect",
      title: "Redirection de http vers https",
      find: (signal) => checkRedirect(world, environment, signal),
    },
    {
      id: "security-headers",
      title: "En-têtes de sécurité",
      find: (signal) => checkHeaders(world, environment, signal),
    },
    {
      id: "security-closed-paths",
      title: "Administration fermée : /rest, /metrics, éditeur de n8n",
      find: (signal) => checkClosedPaths(world, environment, signal),
    },
    {
      id: "security-credentials",
      title: "Identifiants par défaut refusés",
      limitSeconds: 90,
      find: () => onServer(inside, (server) => checkDefaultCredentials(context, server, world)),
    },
  ];
}

async function look(inside: Inside): Promise<readonly RunningContainer[] | undefined> {
  return typeof inside === "string" ? undefined : readContainers(inside).catch(() => undefined);
}

/** The second look comes once the release has been watched for as long as its settings ask. */
function containersProbe(
  { environment }: VerifyContext,
  seen: {
    readonly inside: Inside;
    readonly before: readonly RunningContainer[] | undefined;
    readonly began: number;
  },
): Probe {
  const { observationSeconds } = environment.timeouts;
  return {
    id: "functional-containers",
    title: "Conteneurs en marche, sans redémarrage",
    limitSeconds: observationSeconds + 60,
    find: (signal) =>
      onServer(seen.inside, async (server) => {
        if (!seen.before)
          return notChecked("les conteneurs n'ont pas pu être lus au début de la vérification");
        const watched = () => (performance.now() - seen.began) / 1000;
        const left = observationSeconds - watched();
        if (left > 0) await wait(left * 1000, undefined, { signal });
        const after = await readContainers(server);
        return judgeContainers(environment, { before: seen.before, after, seconds: watched() });
      }),
  };
}
