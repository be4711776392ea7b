/** Metrics, logs, alerts and probes. */
import type * as pulumi from "@pulumi/pulumi";

import { WEBHOOK_SECRETS, type WebhookSecret } from "../../common/alert-webhooks.ts";
import { votes } from "../../common/servers.ts";
import { enabledAliases, monitoringServices, WEBHOOKS } from "../../common/services.ts";
import type { MonitoringFacts } from "../../components/monitoring/facts.ts";
import type { Sender } from "../../components/monitoring/collection.ts";
import { Monitoring, ServerMonitoring } from "../../components/monitoring.ts";
import type { SecretName } from "../../secrets/catalog.ts";
import { backupBucket } from "../backup-schema.ts";
import { urlOf } from "../deployment-status.ts";
import { publicNames, type Environment } from "../environment.ts";
import { areSeveral, gatewaysOf, homeOf, serversInTunnel, tunnelAddress } from "../servers.ts";
import type { Machine } from "./machines.ts";
import { alertThresholds } from "../thresholds-schema.ts";
import type { Site } from "./site.ts";

/** Last of all: nothing that visitors need waits for it. */
export function createMonitoring(
  site: Site,
  { after }: { readonly after: readonly pulumi.Resource[] },
): Monitoring | undefined {
  const { environment, host, networks } = site;
  const { monitoring } = environment;
  if (networks.monitoring === undefined) return undefined;
  const { edge, app, data } = networks;
  const programs = Object.fromEntries(
    monitoringServices.map((program) => [program, site.common(program, after)]),
  ) as Record<(typeof monitoringServices)[number], ReturnType<Site["common"]>>;
  const { scrapeSeconds, metricsDays, logsDays, logsMaxGib, minFreeGib } = monitoring;
  return new Monitoring(
    "monitoring",
    {
      host: host.connection,
      docker: site.onSwarm.provider,
      networks: { ...networks.monitoring, edge, app, data },
      programs,
      settings: {
        stack: environment.name,
        timeZone: environment.locale.timeZone,
        ...{ scrapeSeconds, metricsDays, logsDays, logsMaxGib, minFreeGib },
        server: serversInTunnel(environment)[0]?.server,
        hasGateway: homeOf(environment).labels.includes("gateway"),
      },
      facts: factsOf(environment),
      secrets: secretsOf(site),
      ...(areSeveral(environment) ? { sender: senderOf(site, site.servers.home) } : {}),
    },
    { dependsOn: [...after] },
  );
}

/** On each server that has no program of it, once the stores are there. */
export function createServerMonitoring(
  site: Site,
  { after }: { readonly after: readonly pulumi.Resource[] },
): void {
  const { environment, servers } = site;
  const [home] = serversInTunnel(environment);
  if (!environment.monitoring.enabled || home === undefined) return;
  const send = (machine: Machine) => {
    const { server, host, named } = machine;
    return new ServerMonitoring(
      named("server-monitoring"),
      {
        host: host.connection,
        seconds: environment.monitoring.scrapeSeconds,
        sender: { ...senderOf(site, machine), store: home.address },
        hasGateway: server.labels.includes("gateway"),
      },
      { dependsOn: [...after] },
    );
  };
  servers.all.filter((one) => one !== servers.home).forEach(send);
}

/** A line comes several times within the silence that an alert is raised after. */
const SIGNS = 3;

function senderOf({ environment }: Site, { server }: Machine): Sender {
  const { silentMinutes } = environment.monitoring.thresholds.logs;
  return { managesSwarm: votes(server.role), signSeconds: (silentMinutes * 60) / SIGNS };
}

/** What rules, routes and dashboards are rendered from. */
export function factsOf(environment: Environment): MonitoringFacts {
  const { monitoring, backup, services, timeouts, ...rest } = environment;
  const { mail, receivers, neighbours } = monitoring;
  const [domain = rest.domain, editorDomain] = publicNames(environment);
  const { emails } = receivers.team;
  return {
    stack: rest.name,
    domain,
    publicUrl: urlOf(environment),
    servers: serversInTunnel(environment),
    otherGateways: gatewaysOf(environment)
      .slice(1)
      .map(({ name }) => ({ server: name, address: tunnelAddress(environment.wireguard, name) })),
    editorDomain,
    trusted: rest.acme.trusted,
    services: enabledAliases(environment),
    database: services.n8n.database,
    thresholds: alertThresholds(monitoring.thresholds),
    scrapeSeconds: monitoring.scrapeSeconds,
    minFreeGib: monitoring.minFreeGib,
    mail: mail && { ...mail, user: mail.user === "" ? undefined : mail.user },
    receivers: {
      ...receivers,
      team: { emails: mail === undefined || emails.length > 0 ? emails : [rest.adminEmail] },
    },
    escalation: monitoring.escalation,
    neighbours,
    ping: monitoring.ping,
    qdrantApiKey: services.qdrant.apiKey,
    backup: backupBucket(rest.name, backup) && {
      hours: backup.hours,
      maxAgeHours: backup.maxAgeHours,
      drillDays: backup.drillDays,
    },
    uploadRoutes: routes(["upload"]),
    languageModelRoutes: routes(WEBHOOKS.filter((name) => name !== "upload")),
    ...{ uploadSeconds: timeouts.uploadSeconds, answerSeconds: timeouts.answerSeconds },
  };
}

/** Both public paths of a webhook. */
function routes(names: readonly string[]): string[] {
  return names.flatMap((name) => [`/api/${name}`, `/webhook/${name}`]);
}

function secretsOf({ environment, secrets }: Site) {
  const { monitoring, services } = environment;
  const { mail, receivers, neighbours, ping } = monitoring;
  const when = (isAsked: boolean, name: SecretName) => (isAsked ? secrets.value(name) : undefined);
  const webhookSecrets = Object.fromEntries(
    WEBHOOK_SECRETS.map((name) => [
      name,
      when(
        receivers.webhooks.some(({ secret }) => secret === name),
        name,
      ),
    ]),
  ) as Record<WebhookSecret, ReturnType<typeof when>>;
  return {
    smtpPassword: when((mail?.user ?? "") !== "", "smtpPassword"),
    slackUrl: when(receivers.slack, "slackUrl"),
    ...webhookSecrets,
    pingUrl: when(ping, "pingUrl"),
    neighbourToken: when(neighbours.length > 0, "neighbourToken"),
    qdrantApiKey: when(services.qdrant.apiKey, "qdrantApiKey"),
  };
}
