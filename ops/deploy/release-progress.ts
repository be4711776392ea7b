/** One deployment while it runs: what is known so far, and how it is recorded. */
import type { Check } from "../../common/check.ts";
import { currentRelease, type Release } from "../../common/release.ts";
import { isServiceOn, type UpgradedService } from "../../common/services.ts";
import { UserError } from "../../common/user-error.ts";
import type { Outcome } from "../command.ts";
import { reportIncident } from "../effects.ts";
import { readDeployedImages } from "../engine/state.ts";
import { readReleases } from "../server/records.ts";
import { databaseSteps, dataSteps, type DataStep } from "./data.ts";
import { forgetReplaced } from "../backup/before-release.ts";
import { pruneImages } from "./prune.ts";
import { describeWindow } from "./window.ts";
import { describeFailure, renderChanges, renderRelease, renderSeconds } from "./render.ts";
import { runningSettings, secondsBetween } from "./restore.ts";
import type { Operator, Session } from "./session.ts";
import { recordWorkflows } from "./workflows.ts";

/** Documented in docs/operations.md: a pipeline reads them. */
export const EXIT = { ok: 0, failed: 1, refused: 3, rolledBack: 4, notObserved: 5 } as const;

export const parts = ["preflight", "plan", "window", "up", "verify", "record"] as const;
export type DeployPart = (typeof parts)[number];

export interface DeployRequest {
  readonly stack: string;
  /** Undefined: all of them. */
  readonly only: DeployPart | undefined;
  /** Folder of a plan that was saved and reviewed; undefined makes one. */
  readonly plan: string | undefined;
  readonly emergency: boolean;
  readonly reason: string;
  /** Whether to change things without asking. */
  readonly yes: boolean;
  /** Database that goes to its next version by a step of its own. */
  readonly upgrades?: UpgradedService | undefined;
}

/** A gate is closed: nothing was changed. */
export class Refusal extends UserError {
  override readonly name = "Refusal";
  /** In French, for the audit. */
  readonly detail: string;

  constructor(message: string, detail: string) {
    super(message);
    this.detail = detail;
  }
}

export interface Failure {
  /** In English, for the terminal. */
  readonly report: string;

  /** In French, for the record. */
  readonly symptom: string;

  readonly verify: readonly Check[];

  /** Names of the resources that an update had begun to change when it failed; undefined: it had ended. */
  readonly changed?: readonly string[];

  /** Called once the release before runs again. */
  readonly ended?: () => Promise<Ended>;
}

/** What of a failure is known only after it. */
export interface Ended {
  readonly seconds: Readonly<Record<string, number>>;
  readonly verify: readonly Check[];
}

interface Begun extends DeployRequest {
  readonly startedAt: string;
  readonly revision: string;
}

export class ReleaseInProgress {
  /** What the plan says of the host key that the first contact will trust. */
  hostKey: string | undefined;
  readonly request: Begun;
  readonly session: Session;
  readonly operator: Operator;
  readonly seconds: Record<string, number> = {};
  preflight: readonly Check[] = [];
  /** What ran before the update. */
  imagesBefore: Readonly<Record<string, string>> = {};
  /** Programs whose data the update may have changed. */
  dataSteps: readonly DataStep[] = [];
  /** When the engine's update began, by this machine's clock. */
  updateBegan: Date | undefined;
  /** Id of the set of backups that was made before the update. */
  setBefore: string | undefined;
  #record: Release | undefined;

  constructor(request: Begun, session: Session) {
    this.request = request;
    this.session = session;
    this.operator = session.operator;
  }

  /** As the server has it; a first deployment has none before it has created the server. */
  get record(): Release | undefined {
    return this.#record;
  }

  /** Programs whose data the update may change: what runs, against what the settings name. */
  async readDataSteps(): Promise<readonly DataStep[]> {
    const { stack, environment, pulumi } = this.session;
    this.imagesBefore = await readDeployedImages(stack, pulumi);
    const after = Object.fromEntries(
      Object.entries(environment.images).filter(
        ([name]) => name !== "postgres" || isServiceOn("postgres", environment),
      ),
    );
    this.dataSteps = [...dataSteps(this.imagesBefore, after), ...databaseSteps(this.imagesBefore, after)];
    return this.dataSteps;
  }

  /** Runs one part, and keeps how long it took. */
  async timed<T>(part: string, work: () => Promise<T>): Promise<T> {
    const { now, say } = this.operator;
    const started = now();
    try {
      return await work();
    } finally {
      const seconds = secondsBetween(started, now());
      this.seconds[part] = seconds;
      say(`${part}: ${seconds.toFixed(1)} s`);
    }
  }

  /** Records the start, once there is a server to record it on. */
  async recordStart(): Promise<void> {
    const { request, session } = this;
    if (session.server === undefined || this.#record !== undefined) return;
    const { startedAt, revision, reason, emergency } = request;
    const { set, problem } = await session.folderSet;
    if (problem !== undefined) this.operator.say(`the release does not record its workflows: ${problem}`);
    this.#record = await session.startRelease(session.server, {
      ...{ kind: "deploy", startedAt, revision, reason, emergency },
      settings: runningSettings(session.environment),
      ...(await recordWorkflows(session, set)),
      preflight: [...this.preflight],
    });
    if (emergency) {
      await session.audit({
        action: "emergency",
        reason,
        detail: `version ${this.#record.number} : déploiement d'urgence`,
        release: this.#record.number,
      });
    }
  }

  async announceStart(): Promise<void> {
    const { operations } = this.session.environment;
    const { emergency } = this.request;
    const window = describeWindow(operations, { at: this.operator.now(), emergency });
    await this.session.announce({ ...this.#announced, stage: "started", window });
  }

  get #announced() {
    const { startedAt, reason } = this.request;
    return {
      ...{ work: "deployment" as const, began: new Date(startedAt), reason },
      release: this.#record?.number,
    };
  }

  async #announceEnd(ended: Release): Promise<void> {
    const { failure = "", restored } = ended;
    const unjudged = ended.verify.find(
      ({ id, outcome }) => id.endsWith("-observation") && outcome !== "ok",
    )?.detail;
    const told = { ...this.#announced, release: ended.number };
    if (ended.outcome === "succeeded") {
      const detail = unjudged === undefined ? "" : `vérifiée, mais pas jugée en usage (${unjudged})`;
      return await this.session.announce({ ...told, stage: "finished", detail });
    }
    if (ended.outcome !== "rolled-back")
      return await this.session.announce({ ...told, stage: "failed", detail: failure });
    const detail = `version ${restored ?? "?"} remise en service ; ${failure}`;
    await this.session.announce({ ...told, stage: "rolled-back", detail });
  }

  /** Records that the release runs; without checks it counts as not verified. */
  async recordSuccess(verify: readonly Check[]): Promise<Outcome> {
    const { request, session } = this;
    const record = this.#record;
    if (session.server === undefined || record === undefined) {
      return {
        text: `${request.stack}: there is no server to record the release on; deploy the stack first`,
        exitCode: EXIT.failed,
      };
    }
    const images = await readDeployedImages(request.stack, session.pulumi);
    const before = currentRelease((await readReleases(session.server)).releases);
    const ended = await this.recordEnd({ outcome: "succeeded", images, verify: [...verify] });
    const changes = renderChanges(before, { ...record, images });
    const isVerified = verify.length > 0;
    if (isVerified) {
      await pruneImages(session.server, session.operator);
      await forgetReplaced(session.server, session.operator);
    }
    await session.audit({
      action: "deploy",
      reason: this.request.reason,
      detail: `version ${record.number} en service : ${changes}${isVerified ? "" : " (sans vérification)"}`,
      release: record.number,
    });
    // Whether a set of the new versions can be restored is known before it is needed.
    if (isVerified && this.dataSteps.length > 0) {
      const { server, environment, operator } = session;
      await operator.rehearse({ server, environment, tag: `release-${record.number}` });
    }
    const lines = [
      renderRelease(ended ?? record),
      ...(isVerified
        ? []
        : ["it was not verified, so no automatic rollback returns to it and it cannot be promoted"]),
      renderSeconds(this.seconds),
    ];
    return { text: lines.join("\n"), exitCode: EXIT.ok };
  }

  /** Records that it failed, where there is a record. */
  async recordFailure({ report, symptom, verify }: Failure, more: Partial<Release> = {}): Promise<Outcome> {
    const { session } = this;
    // Without the lock, another deployment may already have changed what runs.
    const isKnown = this.#record !== undefined && !session.hasLostLock;
    const images = isKnown ? await readDeployedImages(session.stack, session.pulumi) : {};
    const failed: Partial<Release> = { images, verify: [...verify], failure: symptom };
    const ended = await this.recordEnd({ outcome: "failed", ...failed, ...more });
    if (ended) {
      await session.audit({
        action: "deploy",
        reason: this.request.reason,
        detail: `version ${ended.number} en échec : ${symptom}`,
        release: ended.number,
      });
    }
    return { text: `${report}\n${renderSeconds(this.seconds)}`, exitCode: EXIT.failed };
  }

  /** Records the end of the release; undefined when it has no record. */
  async recordEnd(how: Partial<Release> & Pick<Release, "outcome">): Promise<Release | undefined> {
    if (this.#record === undefined) return undefined;
    const ended = await this.session.finishRelease({ ...this.#record, seconds: this.seconds, ...how });
    this.#record = ended;
    await this.#announceEnd(ended);
    if (ended.outcome === "failed" || ended.outcome === "rolled-back") await this.#openIncident(ended);
    return ended;
  }

  async #openIncident(release: Release): Promise<void> {
    const opened = await reportIncident(describeFailure(release), this.operator);
    if (opened === undefined) return;
    const detail = `${opened.id} ${opened.isNew ? "ouvert" : "constaté à nouveau"} : version ${release.number}`;
    await this.session.audit({ action: "incident", reason: "", detail, release: release.number });
  }
}
