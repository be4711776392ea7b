/**
 * Announcements: what is done to an environment, by whom and with what result, on the route of the level `info`. They are no alerts: nobody has
 * to do anything, they are not listed, and nothing escalates them. Work never fails because nobody could be told of it.
 */
import { withoutInvisible } from "../../common/visible-text.ts";
import { formatSeconds } from "../../reports/labels-fr.ts";
import type { Environment } from "../../stacks/environment.ts";
import type { Effects } from "../effects.ts";
import type { Server } from "../server/connection.ts";
import { ANNOUNCEMENT, sendAlerts, type NewAlert } from "./alertmanager.ts";
import { LOOPBACK, openStores, type Addresses } from "./stores.ts";

/** French name of each kind of work, and whether it is feminine. */
const WORK = {
  deployment: { name: "mise en production", isFeminine: true },
  rollback: { name: "retour arrière", isFeminine: false },
  restore: { name: "restauration des données", isFeminine: true },
  maintenance: { name: "maintenance", isFeminine: true },
  reboot: { name: "redémarrage du serveur", isFeminine: false },
  repair: { name: "réparation des écarts", isFeminine: true },
  failover: { name: "reprise du travail d'un serveur perdu", isFeminine: true },
  recovery: { name: "remise en état du serveur", isFeminine: true },
} as const;

const STAGES = {
  started: (e: string) => `commencé${e}`,
  finished: (e: string) => `terminé${e}`,
  failed: () => "en échec",
  "rolled-back": (e: string) => `annulé${e}`,
} as const;

export interface Announcement {
  readonly work: keyof typeof WORK;
  readonly stage: keyof typeof STAGES;

  /** When the work began. */
  readonly began: Date;

  /** Number of the release that it is about. */
  readonly release?: number | undefined;

  /** French, after the result: `n8n ne répond pas ; version 11 remise en service`. */
  readonly detail?: string | undefined;

  /** Why it is done, as somebody has typed it; empty where nobody said. */
  readonly reason?: string | undefined;

  /** French: whether the window is open. */
  readonly window?: string | undefined;
}

export interface Announcing extends Pick<Effects, "identity" | "now" | "say"> {
  readonly server: Pick<Server, "name" | "run">;
  readonly environment: Pick<Environment, "name" | "domain" | "monitoring">;

  /** @default those on the server's loopback */
  readonly addresses?: Addresses;
}

/** Alertmanager sends it at once, and has forgotten it after this time. */
const LASTS_SECONDS = 300;

const LONGEST_TEXT = 500;

/** Tells the team, or says why it was not told. */
export async function announce(place: Announcing, announcement: Announcement): Promise<void> {
  const { server, environment, say, addresses = LOOPBACK } = place;
  if (!environment.monitoring.enabled) return;
  try {
    await sendAlerts(openStores(server, addresses), [renderAnnouncement(place, announcement)]);
  } catch (error) {
    // Whatever it is: nothing that goes wrong here may end the work half-way.
    const { work, stage } = announcement;
    say(`nobody was told of this ${work} (${stage}): ${(error as Error).message}`);
  }
}

function renderAnnouncement(
  { environment, identity, now }: Announcing,
  { work, stage, began, release, detail, reason, window }: Announcement,
): NewAlert {
  const { name, isFeminine } = WORK[work];
  const what = `${name.charAt(0).toUpperCase()}${name.slice(1)}`;
  const result = STAGES[stage](isFeminine ? "e" : "");
  const texts = {
    title: `${what}${release === undefined ? "" : `, version ${release}`} : ${result}`,
    what,
    where: environment.domain,
    by: identity.who,
    release: release === undefined ? "" : String(release),
    result: detail ? `${result} : ${detail}` : result,
    duration: stage === "started" ? "" : formatSeconds((now().getTime() - began.getTime()) / 1000),
    reason: reason ?? "",
    window: window ?? "",
  };
  return {
    labels: {
      ...{ alertname: ANNOUNCEMENT, severity: "info", stack: environment.name, work, stage },
      // One group, and so one message, each.
      id: `${ANNOUNCEMENT}-${work}-${began.toISOString()}-${stage}`,
    },
    annotations: Object.fromEntries(Object.entries(texts).flatMap(([key, text]) => entryOf(key, text))),
    startsAt: began.toISOString(),
    endsAt: new Date(now().getTime() + LASTS_SECONDS * 1000).toISOString(),
  };
}

/** One line, without what a terminal or a mail program would act on. */
function entryOf(key: string, text: string): [string, string][] {
  const line = withoutInvisible(text.replaceAll(/\s+/g, " ")).trim();
  if (line === "") return [];
  return [[key, line.length <= LONGEST_TEXT ? line : `${line.slice(0, LONGEST_TEXT)}…`]];
}
