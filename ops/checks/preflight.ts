/** Before a deployment: the users' checklists, item by item. */
import { checkApiKeys } from "./keys/api-keys.ts";
import { automatedTestsProbe } from "./automated-tests.ts";
import { BACKUPS, BY_PERSON, SECURITY_REVIEW } from "./by-person.ts";
import { checkCertificate } from "./public/certificate.ts";
import type { Check } from "../../common/check.ts";
import { clockProbe } from "./server/clock.ts";
import { configurationProbe, encryptionProbe } from "./configuration.ts";
import type { PreflightContext } from "./context.ts";
import { dnsProbe } from "./public/dns.ts";
import { checkEarlierPerformance } from "./earlier-performance.ts";
import { carryOut, carryOutAll, type Finding, notChecked, type Probe } from "./finding.ts";
import { checkHealthRoute } from "./public/gateway.ts";
import { findImages, type ImagesFound } from "./images.ts";
import { enter, type Inside, onServer } from "./server/access.ts";
import { checkLogs } from "./server/logs.ts";
import { checkWebhooks } from "./server/n8n.ts";
import { checkPorts } from "./public/ports.ts";
import { checkRoomFor } from "./server/resources.ts";
import { checkVectorStore } from "./server/vector-store.ts";
import { versionsProbe } from "./server/versions.ts";
import { realWorld, type World } from "./world.ts";

const NOT_DEPLOYED = "rien n'est encore déployé";

/** Every item is there whatever happens: ok, failed, or not checked with the reason. */
export async function preflight(context: PreflightContext, world: World = realWorld()): Promise<Check[]> {
  const { check: server, inside } = await enter(context, "server");
  const [general, specific, keys, [images, ...others]] = await Promise.all([
    carryOutAll(generalProbes(context, inside, world), context),
    carryOutAll(specificProbes(context, inside, world), context),
    checkApiKeys(context, world),
    checkImages(context, inside, world),
  ]);
  const [tests, performance, configuration] = general;
  const [ports, vectorStore, workflows, certificate, ...rest] = specific;
  return [
    // Vérifications Générales
    ...[tests!, performance!, SECURITY_REVIEW, configuration!, BACKUPS],
    // Vérifications Spécifiques à TechnicIA
    ...[...keys, ports!, vectorStore!, workflows!, certificate!],
    // What the other checklists, and this system, ask besides
    ...[server, ...rest, images, ...others, ...BY_PERSON],
  ];
}

function generalProbes(context: PreflightContext, inside: Inside, world: World): Probe[] {
  return [
    automatedTestsProbe(world),
    {
      id: "performance-tests",
      title: "Les tests de performance ont été exécutés et analysés",
      find: () => onServer(inside, checkEarlierPerformance),
    },
    configurationProbe(context),
  ];
}

function specificProbes(context: PreflightContext, inside: Inside, world: World): Probe[] {
  const { environment, outputs } = context;
  const { domain, operations, ssh } = environment;
  const deployed = (look: () => Promise<Finding>) => (outputs ? look() : notChecked(NOT_DEPLOYED));
  return [
    {
      id: "firewall-ports",
      title: "Les ports requis sont ouverts dans le pare-feu",
      find: (signal) =>
        deployed(() =>
          checkPorts({
            address: outputs!.ipv4,
            open: [ssh.port, 80, 443].map(publicPort(world)),
            closed: [],
            signal,
          }),
        ),
    },
    {
      id: "vector-store-qdrant",
      title: "Le service vector-store peut communiquer avec Qdrant",
      find: () => onServer(inside, checkVectorStore),
    },
    {
      id: "workflows",
      title: "Les workflows n8n sont correctement configurés",
      limitSeconds: 90,
      find: (signal) => deployed(() => checkWebhooks(context, { inside, world, signal })),
    },
    {
      id: "certificates",
      title: "Les certificats SSL sont valides et installés",
      find: (signal) =>
        deployed(() =>
          checkCertificate(world, { domain, days: operations.thresholds.certificateDays, signal }),
        ),
    },
    dnsProbe(context, world),
    {
      id: "health-endpoints",
      title: "Health checks : Endpoints de santé fonctionnels",
      find: (signal) => deployed(() => checkHealthRoute(world, environment, signal)),
    },
    {
      id: "logs",
      title: "Logs : Centralisation et rétention configurées",
      find: () => onServer(inside, checkLogs),
    },
    encryptionProbe(context),
    clockProbe(context, inside, world),
    versionsProbe(context, inside),
  ];
}

/** The images, and then whether they fit. */
async function checkImages(context: PreflightContext, inside: Inside, world: World): Promise<[Check, Check]> {
  let found: ImagesFound | undefined;
  const images = await carryOut(
    {
      id: "images",
      title: "Images présentes dans le registre, avec leur empreinte",
      limitSeconds: 60,
      async find(signal) {
        found = await findImages(world, context.environment, signal);
        return found.finding;
      },
    },
    context,
  );
  const room = await carryOut(
    {
      id: "room",
      title: "Espace disque et mémoire suffisants pour les nouvelles images",
      limitSeconds: 60,
      find: () =>
        onServer(inside, (server) =>
          images.outcome === "ok"
            ? checkRoomFor(found!.images, { server, environment: context.environment })
            : notChecked("la taille des images n'est pas connue"),
        ),
    },
    context,
  );
  return [images, room];
}

function publicPort({ ports }: World): (port: number) => number {
  return (port) => (port === 80 ? ports.http : port === 443 ? ports.https : port);
}
