/** Before a deployment: the users' checklists, item by item. */
import type { Check } from "../../common/check.ts";
import {
  askServer,
  type CheckContext,
  type CheckEffects,
  openAccess,
  realEffects,
  type ServerAccess,
} from "./context.ts";
import {
  automatedTestsProbe,
  backupsProbe,
  BY_PERSON,
  checkEarlierPerformance,
  configurationProbe,
  encryptionProbe,
  secretAgesProbe,
  SECURITY_REVIEW,
} from "./general-items.ts";
import { checkImages } from "./images.ts";
import { checkApiKeys } from "./keys/api-keys.ts";
import { type Finding, notChecked, type Probe, runProbe } from "./probe.ts";
import { digestsProbe, vulnerabilitiesProbe } from "./supply-chain.ts";
import { dnsProbe } from "./public/dns.ts";
import { checkHealthRoute, openSite, type PublicSite } from "./public/gateway.ts";
import { checkPorts } from "./public/ports.ts";
import { checkCertificate } from "./public/tls.ts";
import { clockProbe } from "./server/machine.ts";
import { monitoringProbes } from "./server/monitoring.ts";
import { checkLogs, databaseProbe, versionsProbe } from "./server/containers.ts";
import { checkWebhooks, n8nOf } from "./server/n8n.ts";
import { checkHealth } from "./server/vector-store.ts";
import { releaseLimits } from "../../stacks/release-limits.ts";

/** What runs at the end: a probe, an answer that is known already, or several checks of one subject. */
type Item = Probe | Check | Promise<readonly Check[]>;

interface Preflight {
  readonly context: CheckContext;
  readonly effects: CheckEffects;
  readonly access: ServerAccess;
  readonly site: PublicSite;
}

/** Gives every item whatever happens: ok, failed, or not checked with the reason. */
export async function preflight(
  context: CheckContext,
  effects: CheckEffects = realEffects(),
): Promise<Check[]> {
  const { check: server, access } = await openAccess(context, "server");
  const site = await openSite(context.environment, { access, effects });
  const given = { context, effects, access, site };
  // The two sections of the users' main checklist, then items of their other lists, and our own.
  const items: readonly Item[] = [
    ...generalItems(given),
    ...specificItems(given),
    server,
    ...otherItems(given),
    digestsProbe(context),
    vulnerabilitiesProbe(context, effects),
    checkImages(context, { access, fetch: effects.fetch }),
    ...BY_PERSON,
    ...monitoringProbes(context, { access, now: effects.now }),
  ];
  const checks = await Promise.all(
    items.map(async (item) => ("find" in item ? runProbe(item, context) : item)),
  );
  return checks.flat();
}

function generalItems({ context, effects, access }: Preflight): Item[] {
  return [
    automatedTestsProbe(context.stack, effects),
    {
      id: "performance-tests",
      title: "Les tests de performance ont été exécutés et analysés",
      find: () => askServer(access, checkEarlierPerformance),
    },
    SECURITY_REVIEW,
    configurationProbe(context),
    backupsProbe(context, { access, now: effects.now }),
  ];
}

function specificItems({ context, effects, access, site }: Preflight): Item[] {
  const { environment, outputs } = context;
  const { ssh } = environment;
  return [
    checkApiKeys(context, effects),
    {
      id: "firewall-ports",
      title: "Les ports requis sont ouverts dans le pare-feu",
      find: (signal) =>
        onceDeployed(context, () =>
          checkPorts({
            address: outputs!.ipv4,
            open: [ssh.port, site.ports.http, site.ports.https],
            closed: [],
            signal,
          }),
        ),
    },
    {
      id: "vector-store-qdrant",
      title: "Le service vector-store peut communiquer avec Qdrant",
      find: () => askServer(access, (server) => checkHealth(server, "vectorStore")),
    },
    {
      id: "workflows",
      title: "Les workflows n8n sont correctement configurés",
      limitSeconds: 90,
      find: (signal) =>
        onceDeployed(context, () =>
          checkWebhooks(n8nOf(context, effects.loopback.n8n), { site, access, signal }),
        ),
    },
    {
      id: "certificates",
      title: "Les certificats SSL sont valides et installés",
      find: (signal) =>
        onceDeployed(context, () =>
          checkCertificate(site, {
            days: releaseLimits(context.environment).certificateDays,
            now: effects.now,
            signal,
          }),
        ),
    },
  ];
}

function otherItems({ context, effects, access, site }: Preflight): Item[] {
  const { fetch, now } = effects;
  return [
    dnsProbe(context, effects),
    {
      id: "health-endpoints",
      title: "Health checks : Endpoints de santé fonctionnels",
      find: (signal) => onceDeployed(context, () => checkHealthRoute(site, signal)),
    },
    {
      id: "logs",
      title: "Logs : Centralisation et rétention configurées",
      find: () => askServer(access, (server) => checkLogs(server, context.environment)),
    },
    encryptionProbe(context),
    secretAgesProbe(context, { access, now: effects.now }),
    clockProbe({ endpoint: context.environment.ovh.endpoint, access, fetch, now }),
    versionsProbe(context, access),
    databaseProbe(context, access),
  ];
}

function onceDeployed({ outputs }: CheckContext, find: () => Promise<Finding>): Finding | Promise<Finding> {
  return outputs ? find() : notChecked("rien n'est encore déployé");
}
