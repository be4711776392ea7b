/** Before a deployment: the users' checklists, item by item. */
import type { Check } from "../../common/check.ts";
import {
  askServer,
  type CheckContext,
  type CheckEffects,
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
import { gatewayProbes, type Machine, type Machines, openMachines, probesOf } from "./machines.ts";
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
  readonly machines: Machines;
  readonly access: ServerAccess;
  readonly site: PublicSite;
}

/** Gives every item whatever happens: ok, failed, or not checked with the reason. */
export async function preflight(
  context: CheckContext,
  effects: CheckEffects = realEffects(),
): Promise<Check[]> {
  const machines = await openMachines(context, "server");
  const { access } = machines;
  const site = await openSite(context.environment, {
    access: machines.gateways[0]?.access ?? access,
    effects,
  });
  const given = { context, effects, machines, access, site };
  // The two sections of the users' main checklist, then items of their other lists, and our own.
  const items: readonly Item[] = [
    ...generalItems(given),
    ...specificItems(given),
    ...machines.checks,
    ...otherItems(given),
    digestsProbe(context),
    vulnerabilitiesProbe(context, effects),
    checkImages(context, { machines: machines.all, fetch: effects.fetch }),
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

function specificItems({ context, effects, machines, access, site }: Preflight): Item[] {
  const { ssh } = context.environment;
  return [
    checkApiKeys(context, effects),
    ...probesOf(
      machines.all,
      { id: "firewall-ports", title: "Les ports requis sont ouverts dans le pare-feu" },
      ({ ipv4, isGateway, isDrained }, signal) =>
        onceDeployed(context, () => {
          const visitors = isGateway && !isDrained ? [site.ports.http, site.ports.https] : [];
          if (ipv4 === undefined) return notChecked("l'adresse du serveur n'est pas connue");
          return checkPorts({ address: ipv4, open: [ssh.port, ...visitors], closed: [], signal });
        }),
    ),
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
    ...gatewayProbes(
      { ...machines, site },
      { id: "certificates", title: "Les certificats SSL sont valides et installés" },
      (gateway, signal) =>
        onceDeployed(context, () =>
          checkCertificate(gateway, {
            days: releaseLimits(context.environment).certificateDays,
            now: effects.now,
            signal,
          }),
        ),
    ),
  ];
}

function otherItems({ context, effects, machines, access, site }: Preflight): Item[] {
  const { fetch, now } = effects;
  const { endpoint } = context.environment.ovh;
  // OVH's is asked once.
  const clockOf = ({ access: own }: Machine, index: number) =>
    clockProbe({ endpoint: index === 0 ? endpoint : undefined, access: own, fetch, now });
  return [
    dnsProbe(context, effects),
    ...gatewayProbes(
      { ...machines, site },
      { id: "health-endpoints", title: "Health checks : Endpoints de santé fonctionnels" },
      (gateway, signal) => onceDeployed(context, () => checkHealthRoute(gateway, signal)),
    ),
    {
      id: "logs",
      title: "Logs : Centralisation et rétention configurées",
      find: () => askServer(access, (server) => checkLogs(server, context.environment)),
    },
    encryptionProbe(context),
    secretAgesProbe(context, { access, now: effects.now }),
    ...probesOf(machines.all, clockOf(machines.all[0]!, 0), (machine, signal) =>
      clockOf(machine, machines.all.indexOf(machine)).find(signal),
    ),
    versionsProbe(context, access),
    databaseProbe(context, access),
  ];
}

function onceDeployed(
  { outputs }: CheckContext,
  find: () => Finding | Promise<Finding>,
): Finding | Promise<Finding> {
  return outputs ? find() : notChecked("rien n'est encore déployé");
}
