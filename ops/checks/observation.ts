/**
 * After a verification: the release is observed for a while. A client asks some public paths once a second, and those that write or ask a
 * language model at the start and at the end; the rules that are marked for a rollback decide. Where they cannot judge, that is the result: a release nobody could judge has not passed.
 */
import { setTimeout as wait } from "node:timers/promises";

import type { Check } from "../../common/check.ts";
import { UserError } from "../../common/user-error.ts";
import type { Environment } from "../../stacks/environment.ts";
import { idOf } from "../monitoring/alerts.ts";
import { countRequests } from "../monitoring/log-query.ts";
import { LOOPBACK, openStores, type Addresses, type Stores } from "../monitoring/stores.ts";
import { EVALUATORS, readRules, type FiringAlert, type Rule } from "../monitoring/vmalert.ts";
import type { Server } from "../server/connection.ts";
import type { CheckContext, CheckEffects } from "./context.ts";
import { realEffects } from "./context.ts";
import { type RareRequest, startClient, type Requests, type SyntheticClient } from "./synthetic-client.ts";
import { openSite } from "./public/gateway.ts";

export interface ObservationEffects extends Pick<CheckEffects, "ports" | "authorities"> {
  /** In milliseconds; this machine's clock. */
  readonly now: () => number;

  /** Ends early when the signal is aborted, without a failure. */
  readonly wait: (seconds: number, signal: AbortSignal) => Promise<void>;
  readonly addresses: Addresses;
}

export interface Observed {
  readonly check: Check;

  /** Whether an alert asks for the release before. */
  readonly hasFailed: boolean;

  /** Since when what the alert is about lasts, in milliseconds by this machine's clock; undefined where nothing has failed. */
  readonly faultSince: number | undefined;

  /** Goes on asking where an alert was found, until what people saw of it is over. */
  readonly client: Pick<SyntheticClient, "counted" | "stop">;
}

/** Between two looks at the rules. */
const POLL_SECONDS = 5;

/** A release may restart the evaluators as well; a longer silence cannot be told from one that hides something. */
const LONGEST_SILENCE_SECONDS = 60;

const QUESTION: RareRequest = {
  method: "POST",
  path: "/api/question",
  body: JSON.stringify({ question: "Quels documents sont disponibles ?" }),
};

const TITLE = "Fenêtre d'observation : aucune alerte de retour arrière";

/** Alerts about speed: they are no reason to lose data (`ops/deploy/automatic-rollback.ts`). */
const SPEED = /latency|slow|p5\d|p9\d/i;

interface Window extends Pick<CheckContext, "environment" | "signal"> {
  readonly stores: Stores;
  readonly effects: ObservationEffects;
  readonly client: SyntheticClient;

  /** Milliseconds by which the server's clock, by which rules and logs tell time, is ahead of this machine's. */
  readonly ahead: number;

  /** When the update began, by the server's clock, in milliseconds. */
  readonly since: number;

  /** When the observation began, by this machine's clock. */
  readonly began: number;
  readonly seconds: number;
}

/** `since`: when the update began, by this machine's clock. */
export async function observe(
  context: Pick<CheckContext, "environment" | "server" | "signal">,
  { since, effects = realObservation() }: { readonly since: Date; readonly effects?: ObservationEffects },
): Promise<Observed> {
  const { server, environment, signal } = context;
  const { seconds, paths } = environment.monitoring.observation;
  if (server === undefined) throw new Error("expected a server to observe, got none");
  const site = await openSite(environment, { access: { server }, effects });
  const client = startClient({
    site,
    paths,
    rare: rareRequests(environment),
    // As long as the gateway waits for the slowest of them.
    rareSeconds: Math.max(environment.timeouts.answerSeconds, environment.timeouts.uploadSeconds),
    effects,
    signal,
    hasFrontend: environment.services.frontend.enabled,
  });
  const [ahead, began] = [await readAhead(server, effects.now), effects.now()];
  const window: Window = {
    ...{ environment, signal, effects, client, seconds },
    stores: openStores(server, effects.addresses),
    ...{ ahead, began, since: since.getTime() + ahead },
  };
  const first = client.askRarely();
  const watched = await watch(window);
  const found = watched.outcome === "ok" ? await judgeRare(window, { watched, first }) : watched;
  // The requests of a release that is taken back go on, to see when people are served again.
  if (found.outcome !== "failed") await client.stop();
  const { requests, failed } = client.counted;
  const check: Check = {
    ...{ id: found.id, title: TITLE, outcome: found.outcome },
    detail: `${found.detail} ; ${renderRequests(client.counted)}`,
    measures: {
      observedSeconds: Math.round((effects.now() - began) / 1000),
      requests,
      failedRequests: failed,
    },
  };
  return { check, hasFailed: found.outcome === "failed", faultSince: found.since, client };
}

/** Those of the settings, and a question where n8n has a workflow that answers it. */
function rareRequests({ monitoring, workflows }: Environment): readonly RareRequest[] {
  const { once } = monitoring.observation;
  const isAsked = once.some(({ path }) => path === QUESTION.path || path === "/webhook/question");
  return workflows.enabled && !isAsked ? [...once, QUESTION] : once;
}

export function realObservation(): ObservationEffects {
  const { ports, authorities } = realEffects();
  return {
    ...{ ports, authorities, addresses: LOOPBACK, now: Date.now },
    wait: async (seconds, signal) => {
      await wait(seconds * 1000, undefined, { signal }).catch(() => undefined);
    },
  };
}

function renderRequests({ requests, failed }: Requests): string {
  return `${requests} requêtes envoyées, ${failed} en échec`;
}

interface Judgement extends Pick<Check, "outcome" | "detail"> {
  readonly id: string;

  /** Of a fault: as `Observed.faultSince`. */
  readonly since: number | undefined;
}

const judged = (outcome: Check["outcome"], detail: string): Judgement => ({
  ...{ outcome, detail, id: "functional-observation", since: undefined },
});

const INTERRUPTED = judged(
  "not-checked",
  "observation interrompue : version vérifiée, mais non observée jusqu'au bout",
);

const cannotJudge = (why: string) => judged("not-checked", `impossible de juger : ${why}`);

async function watch(window: Window): Promise<Judgement> {
  const { effects, seconds, signal } = window;
  let end = effects.now() + seconds * 1000;
  let answered = effects.now();
  let isProlonged = false;
  let failing: number | undefined;
  for (;;) {
    const seen = await tryLook(window);
    if (signal.aborted) return INTERRUPTED;
    const isOver = effects.now() >= end;
    if (seen instanceof UserError) {
      const silence = (effects.now() - answered) / 1000;
      if (silence > LONGEST_SILENCE_SECONDS || isOver) return cannotJudge(seen.message);
    } else {
      answered = effects.now();
      if (seen.failed > 0) failing ??= answered;
      const fault = findFault(window, { ...seen, failing });
      if (fault) return fault;
      const pending = pendingIn(seen);
      if (pending.length === 0) {
        if (isOver || isProlonged) return conclude(window, seen);
      } else if (isOver) {
        if (isProlonged) return cannotJudge(describePending(pending));
        [isProlonged, end] = [true, effects.now() + decisionSeconds(window, pending) * 1000];
      }
    }
    const left = (end - effects.now()) / 1000;
    await effects.wait(Math.max(0, Math.min(POLL_SECONDS, left)), signal);
  }
}

/** A single request may fail for a reason outside of the release, so it is none to take it back; but nor has the release passed then. */
async function judgeRare(
  { client, signal }: Window,
  { watched, first }: { readonly watched: Judgement; readonly first: Promise<readonly string[]> },
): Promise<Judgement> {
  const atStart = (await first).map((failure) => `au début, ${failure}`);
  const atEnd = (await client.askRarely()).map((failure) => `à la fin, ${failure}`);
  if (signal.aborted) return INTERRUPTED;
  const failures = [...atStart, ...atEnd];
  return failures.length === 0 ? watched : cannotJudge(failures.join(" ; "));
}

interface Seen {
  readonly rules: readonly Rule[];

  /** At the gateway, since the window began. */
  readonly total: number;
  readonly failed: number;
}

/** Both evaluators and the gateway's requests; or why not all of that is known. */
async function tryLook({ stores, effects, ahead, began }: Window): Promise<Seen | UserError> {
  try {
    const { rules, silent } = await readRules(stores);
    if (silent[0]) return silent[0];
    const [from, until] = [began, effects.now()].map((moment) => new Date(moment + ahead)) as [Date, Date];
    return { rules, ...(await countRequests(stores, { from, until })) };
  } catch (error) {
    // The server itself may not answer for a moment.
    if (error instanceof UserError) return error;
    throw error;
  }
}

/** Why the release has to go; undefined while nothing says so. */
function findFault(
  { environment, since, ahead }: Window,
  { failing, ...seen }: Seen & { readonly failing: number | undefined },
): Judgement | undefined {
  const alerts = rollbackAlerts(seen).filter(({ activeAt }) => Date.parse(activeAt) >= since);
  if (alerts.length > 0) {
    const first = Math.min(...alerts.map(({ activeAt }) => Date.parse(activeAt)));
    return { ...judged("failed", describe(alerts)), id: idFor(alerts), since: first - ahead };
  }
  // The load of the verification is still in the window of the rule, and would hide what fails now.
  const { p1Percent, minimumRequests } = environment.monitoring.thresholds.errors;
  const percent = (100 * seen.failed) / seen.total;
  if (seen.total < minimumRequests || percent <= p1Percent) return undefined;
  const detail = `${percent.toFixed(1)} % des ${seen.total} requêtes échouent depuis le début de l'observation (au plus ${p1Percent} %)`;
  return { ...judged("failed", detail), since: failing };
}

function isForRollback({ labels }: Pick<Rule, "labels">): boolean {
  return labels["rollback"] === "yes";
}

function rollbackAlerts({ rules }: Pick<Seen, "rules">): FiringAlert[] {
  return rules.flatMap(({ alerts }) =>
    alerts.filter((alert) => alert.state === "firing" && isForRollback(alert)),
  );
}

/** Rules that ask for the release before if what they see lasts. */
function pendingIn({ rules }: Pick<Seen, "rules">): Rule[] {
  return rules.filter(({ alerts }) =>
    alerts.some((alert) => alert.state === "pending" && isForRollback(alert)),
  );
}

/** How long it takes at most until each of these alerts fires or is over: its time, and two evaluations. */
function decisionSeconds({ environment }: Window, pending: readonly Rule[]): number {
  const longest = Math.max(...pending.map(({ forSeconds }) => forSeconds));
  return longest + 2 * environment.monitoring.scrapeSeconds;
}

function describePending(pending: readonly Rule[]): string {
  const names = [...new Set(pending.map(({ name }) => name))];
  return `pas encore décidé à la fin de la fenêtre, pourtant prolongée : ${names.join(", ")}`;
}

function describe(alerts: readonly FiringAlert[]): string {
  const words = alerts.map(({ labels, annotations }) => {
    const { title = labels["alertname"] ?? "alerte", where, value } = annotations;
    const more = [where, value].filter((part) => part !== undefined && part !== "").join(", ");
    return `${title} [${idOf(labels)}]${more === "" ? "" : ` (${more})`}`;
  });
  return `alerte depuis la mise à jour : ${[...new Set(words)].join(" ; ")}`;
}

function idFor(alerts: readonly FiringAlert[]): string {
  const areSpeed = alerts.every(({ labels }) => SPEED.test(labels["alertname"] ?? ""));
  return areSpeed ? "performance-observation" : "functional-observation";
}

/** At the end of the window: whether the silence of the rules means anything. */
function conclude({ environment, client, since }: Window, seen: Seen): Judgement {
  const rules = seen.rules.filter(isForRollback);
  for (const store of EVALUATORS)
    if (!rules.some((rule) => rule.store === store))
      return cannotJudge(`${store} n'a aucune règle de retour arrière`);
  const broken = rules.find(({ error }) => error !== undefined);
  if (broken) return cannotJudge(`la règle ${broken.name} ne s'évalue pas (${broken.error})`);
  const stale = rules.find(({ lastEvaluation }) => !(Date.parse(lastEvaluation) >= since));
  if (stale) return cannotJudge(`la règle ${stale.name} n'a pas été évaluée depuis la mise à jour`);
  // It began before the release, and so says nothing about it; nothing else of its rule would be seen.
  const older = rollbackAlerts(seen);
  if (older.length > 0)
    return cannotJudge(
      `déjà en alerte avant la mise à jour : ${older.map(({ labels }) => idOf(labels)).join(", ")}`,
    );
  const least = minimumOf(environment);
  const { requests } = client.counted;
  if (requests < least) return cannotJudge(`${requests} requêtes envoyées, il en faut ${least}`);
  if (seen.total < least)
    return cannotJudge(`${seen.total} requêtes dans le journal de la passerelle, il en faut ${least}`);
  return judged("ok", `aucune alerte sur ${seen.total} requêtes à la passerelle`);
}

/** With fewer requests in their window the rules judge nothing. */
function minimumOf({ monitoring }: Pick<Environment, "monitoring">): number {
  const { errors, latency } = monitoring.thresholds;
  return Math.max(errors.minimumRequests, latency.minimumRequests);
}

/** By how many milliseconds the server's clock is ahead of this machine's. */
async function readAhead(server: Server, now: () => number): Promise<number> {
  const { stdout } = await server.run({ purpose: "read the server's clock", script: "date +%s%3N" });
  return Number(stdout.trim()) - now();
}
