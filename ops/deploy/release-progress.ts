/** One deployment on its way: what is known of it so far, and how it is written down. */
import type { Check } from "../../common/check.ts";
import type { Outcome } from "../command.ts";
import { reportIncident } from "../effects.ts";
import { hashSettings } from "../engine/settings.ts";
import { UserError } from "../../common/user-error.ts";
import { readDeployedImages } from "../engine/outputs.ts";
import { describeFailure } from "./failure-incident.ts";
import type { Operator } from "./operator.ts";
import type { Release } from "../../common/release.ts";
import { finishRelease, readReleases, startRelease } from "../server/releases.ts";
import { renderImageChanges, renderRelease, renderSeconds } from "./render.ts";
import { runningSettings, secondsBetween } from "./restore.ts";
import { currentRelease } from "../../common/release.ts";
import type { Session } from "./session.ts";

/** Documented in the README: a pipeline reads them. */
export const EXIT = { ok: 0, failed: 1, refused: 3, rolledBack: 4 } as const;

export const steps = ["preflight", "plan", "window", "up", "verify", "record"] as const;
export type Step = (typeof steps)[number];

export interface DeployRequest {
  readonly stack: string;
  /** Undefined: all of them. */
  readonly only: Step | undefined;
  /** Folder of a plan that was saved and reviewed; undefined makes one. */
  readonly plan: string | undefined;
  readonly emergency: boolean;
  readonly reason: string;
  /** Whether nobody is asked before anything changes. */
  readonly yes: boolean;
}

/** A gate is shut: nothing was changed. */
export class Refusal extends UserError {
  override readonly name = "Refusal";
  /** In French, for the audit. */
  readonly detail: string;

  constructor(message: string, detail: string) {
    super(message);
    this.detail = detail;
  }
}

export interface Run {
  readonly request: DeployRequest;
  readonly operator: Operator;
  readonly session: Session;
  readonly attempt: Attempt;
}

export interface Attempt {
  readonly startedAt: Date;
  readonly revision: string;
  readonly reason: string;
  readonly seconds: Record<string, number>;
  preflight: readonly Check[];

  /** Its record on the server; a first deployment has none before it has made the server. */
  release: Release | undefined;
}

export interface Failure {
  /** In English, for the person at the keyboard. */
  readonly told: string;

  /** In French, for the record. */
  readonly symptom: string;

  readonly verify: readonly Check[];
}

/** Runs one part, and keeps how long it took. */
export async function timed<T>({ operator, attempt }: Run, part: string, work: () => Promise<T>): Promise<T> {
  const started = operator.now();
  try {
    return await work();
  } finally {
    const seconds = secondsBetween(started, operator.now());
    attempt.seconds[part] = seconds;
    operator.say(`${part}: ${seconds.toFixed(1)} s`);
  }
}

/** Writes that the release begins, once there is a server to write it on. */
export async function begin({ request, operator, session, attempt }: Run): Promise<void> {
  if (session.server === undefined || attempt.release !== undefined) return;
  attempt.release = await startRelease(session.server, {
    stack: request.stack,
    kind: "deploy",
    revision: attempt.revision,
    images: {},
    settingsHash: hashSettings(session.environment),
    settings: runningSettings(session.environment),
    who: operator.identity.who,
    reason: attempt.reason,
    emergency: request.emergency,
    startedAt: attempt.startedAt.toISOString(),
    preflight: [...attempt.preflight],
    verify: [],
    restoredVerify: [],
    seconds: {},
  });
  if (request.emergency) {
    await session.audit({
      action: "emergency",
      reason: attempt.reason,
      detail: `version ${attempt.release.number} : déploiement d'urgence`,
      release: attempt.release.number,
    });
  }
}

/** Writes that it runs and is well, as far as `verify` says. */
export async function succeed(run: Run, verify: readonly Check[]): Promise<Outcome> {
  const { request, session, attempt } = run;
  const { release } = attempt;
  if (session.server === undefined || release === undefined) {
    return {
      text: `${request.stack}: expected a server to record the release on, got none; deploy it first`,
      exitCode: EXIT.failed,
    };
  }
  const images = await readDeployedImages(request.stack, session.pulumi);
  const before = currentRelease((await readReleases(session.server)).releases);
  const ended = await end(run, { outcome: "succeeded", images, verify: [...verify] });
  const changes = renderImageChanges(before?.images ?? {}, images);
  const unverified = verify.length === 0;
  await session.audit({
    action: "deploy",
    reason: attempt.reason,
    detail: `version ${release.number} en service : ${changes}${unverified ? " (sans vérification)" : ""}`,
    release: release.number,
  });
  const warning = unverified
    ? "it was not verified: nothing goes back to it by itself, and nothing promotes it\n"
    : "";
  return {
    text: `${renderRelease(ended ?? release)}\n${warning}${renderSeconds(attempt.seconds)}`,
    exitCode: EXIT.ok,
  };
}

/** Writes that it failed, where there is a record. */
export async function fail(
  run: Run,
  { told, symptom, verify }: Failure,
  more: Partial<Release> = {},
): Promise<Outcome> {
  const { session, attempt } = run;
  const images = attempt.release === undefined ? {} : await readDeployedImages(session.stack, session.pulumi);
  const ended = await end(run, {
    images,
    verify: [...verify],
    outcome: "failed",
    failure: symptom,
    ...more,
  });
  if (ended) {
    await session.audit({
      action: "deploy",
      reason: attempt.reason,
      detail: `version ${ended.number} en échec : ${symptom}`,
      release: ended.number,
    });
  }
  return { text: `${told}\n${renderSeconds(attempt.seconds)}`, exitCode: EXIT.failed };
}

/** Writes the end of the release; undefined when it has no record. */
export async function end(
  { operator, session, attempt }: Run,
  how: Partial<Release> & Pick<Release, "outcome">,
): Promise<Release | undefined> {
  const { release } = attempt;
  if (session.server === undefined || release === undefined) return undefined;
  const ended: Release = {
    ...release,
    finishedAt: operator.now().toISOString(),
    seconds: attempt.seconds,
    ...how,
  };
  await finishRelease(session.server, ended);
  attempt.release = ended;
  if (ended.outcome === "failed" || ended.outcome === "rolled-back") await open(operator, session, ended);
  return ended;
}

async function open(operator: Operator, session: Session, release: Release): Promise<void> {
  const opened = await reportIncident(describeFailure(release), operator);
  if (opened === undefined) return;
  const { id, isNew } = opened;
  const detail = `${id} ${isNew ? "ouvert" : "constaté à nouveau"} : version ${release.number}`;
  await session.audit({ action: "incident", reason: "", detail, release: release.number });
}
