/** Items of the checklist on the monitoring: rules that are evaluated, dashboards that are there, and messages that somebody has received. */
import { z } from "zod";

import { NOBODY, readReceivers } from "../../monitoring/alertmanager.ts";
import { readAlertTest, type AlertTest } from "../../monitoring/alert-test.ts";
import { LOOPBACK, openStores, type Addresses, type Stores } from "../../monitoring/stores.ts";
import { readRules } from "../../monitoring/vmalert.ts";
import type { Server } from "../../server/connection.ts";
import { askServer, type CheckContext, type ServerAccess } from "../context.ts";
import { failed, type Finding, notChecked, ok, type Probe } from "../probe.ts";

/** A test that is older says nothing about the messages of now; the team tests once a month. */
const LONGEST_DAYS = 30;
const DAY_MS = 86_400_000;

/** How the outputs call Alertmanager, where it runs. */
const ALERTS_TUNNEL = "Alerts";

const dashboards = z.looseObject({ dashboardsSettings: z.array(z.looseObject({ title: z.string() })) });

/** Receivers that no person reads as such: announcements go to addresses that get alerts as well. */
const NOT_TESTED = /^(?:deadman|announcements-.+)$/;

interface Asking {
  readonly access: ServerAccess;
  readonly now: () => number;

  /** @default those on the server's loopback */
  readonly addresses?: Addresses;
}

export function monitoringProbes(context: CheckContext, asking: Asking): Probe[] {
  const probe = (id: string, title: string, look: (watched: Watched) => Promise<Finding>): Probe => ({
    ...{ id, title },
    limitSeconds: 60,
    find: () => onWatched(context, asking, look),
  });
  return [
    probe("alert-thresholds", "Seuils d'alerte configurés", findRules),
    probe("dashboard", "Dashboard de monitoring en place", findDashboards),
    probe("notifications", "Système de notification configuré", findTest),
  ];
}

interface Watched extends Pick<CheckContext, "stack"> {
  readonly server: Server;
  readonly stores: Stores;
  readonly now: number;
}

async function onWatched(
  { stack, environment, outputs }: CheckContext,
  { access, now, addresses = LOOPBACK }: Asking,
  look: (watched: Watched) => Promise<Finding>,
): Promise<Finding> {
  if (!environment.monitoring.enabled)
    return notChecked("la surveillance est éteinte : technicia:monitoring.enabled");
  return await askServer(access, async (server) => {
    // By the outputs, because the settings may be about to turn it on.
    if (!outputs?.tunnels.some(({ service }) => service === ALERTS_TUNNEL))
      return notChecked("le prochain déploiement met la surveillance en place");
    return await look({ stack, server, stores: openStores(server, addresses), now: now() });
  });
}

async function findRules({ stack, stores }: Watched): Promise<Finding> {
  const { rules, silent } = await readRules(stores);
  if (silent[0] !== undefined) return notChecked(silent[0].message);
  const broken = rules.filter(({ error }) => error !== undefined).map(({ name }) => name);
  if (broken.length > 0)
    return failed(`règles en erreur : ${broken.join(", ")} ; npm run alerts -- ${stack} rules`);
  return rules.length === 0
    ? failed(`aucune règle n'est chargée ; npm run drift -- ${stack}`)
    : ok(`${rules.length} règles évaluées sans erreur`, { rules: rules.length });
}

async function findDashboards({ stack, stores }: Watched): Promise<Finding> {
  const { dashboardsSettings: found } = await stores.read(
    { store: "metrics", path: "/vmui/custom-dashboards" },
    dashboards,
  );
  return found.length === 0
    ? failed(`aucun tableau de bord n'est en place ; npm run drift -- ${stack}`)
    : ok(`${found.length} tableaux de bord : ${found.map(({ title }) => title).join(", ")}`);
}

async function findTest({ stack, server, stores, now }: Watched): Promise<Finding> {
  const again = `npm run alerts -- ${stack} test`;
  const receivers = (await readReceivers(stores)).filter((name) => name !== NOBODY && !NOT_TESTED.test(name));
  if (receivers.length === 0)
    return notChecked("personne n'est prévenu : technicia:monitoring.mail et technicia:monitoring.receivers");
  const test = await readAlertTest(server);
  if (test === undefined) return notChecked(`jamais essayé : ${again}`);
  return judgeTest(test, { receivers, now, again });
}

/** That nobody has looked lately proves no fault; that a message did not arrive does. */
function judgeTest(
  { at, by, receivers: results }: AlertTest,
  {
    receivers,
    now,
    again,
  }: { readonly receivers: readonly string[]; readonly now: number; readonly again: string },
): Finding {
  const seen = `essai du ${at.slice(0, 10)} par ${by}`;
  const lost = receivers.filter((name) => results[name]?.received === false);
  if (lost.length > 0) return failed(`${seen} : rien n'est arrivé à ${lost.join(", ")} ; ${again}`);
  const days = (now - Date.parse(at)) / DAY_MS;
  if (!(days >= -1))
    return notChecked(`${seen}, qui est à venir : vérifier l'horloge du serveur, puis ${again}`);
  if (days > LONGEST_DAYS) return notChecked(`${seen}, il y a plus de ${LONGEST_DAYS} jours : ${again}`);
  const unknown = receivers.filter((name) => !(name in results));
  return unknown.length > 0
    ? notChecked(`${seen}, sans ${unknown.join(", ")} : ${again}`)
    : ok(`${seen} : tout est arrivé (${receivers.join(", ")})`, {
        testedDays: Math.floor(Math.max(0, days)),
      });
}
