/** One command on one stack: what it touches, its settings, its server, its lock, and the releases that killed commands left unfinished. */
import { readFile } from "node:fs/promises";

import type { Check } from "../../common/check.ts";
import { Redactor } from "../../common/redactor.ts";
import { findImage, type RegistryLogin } from "../../common/registry.ts";
import { systemFetch } from "../../common/system-trust.ts";
import type { AuditEvent, Release } from "../../common/release.ts";
import type { StackOutputs } from "../../stacks/deployment-status.ts";
import type { Environment } from "../../stacks/environment.ts";
import type { CheckContext } from "../checks/context.ts";
import { readCost, type CostChange } from "../cost/read.ts";
import { observe, type Observed } from "../checks/observation.ts";
import { preflight } from "../checks/preflight.ts";
import { verify } from "../checks/verify.ts";
import type { Effects } from "../effects.ts";
import type { Pulumi } from "../engine/cli.ts";
import { readDeployed, readState } from "../engine/state.ts";
import { Connections } from "../fleet/fleet.ts";
import { resume, type Resumed } from "../engine/resume.ts";
import { hashSettings, readSettings, type Settings } from "../engine/settings.ts";
import { renderPreview } from "../preview/markdown.ts";
import { startRehearsal, takeSet, type BeforeRelease } from "../backup/before-release.ts";
import { announce, type Announcement } from "../monitoring/announce.ts";
import { readPlanInputs, checkPlan, planFile } from "../preview/plan.ts";
import { previewStack } from "../preview/preview.ts";
import {
  appendHistory,
  EndRecorded,
  finishRelease,
  readReleases,
  renderCorrupt,
  startRelease,
} from "../server/records.ts";
import type { Server } from "../server/connection.ts";
import { readGateways } from "../hold/gateways.ts";
import { Hold } from "../hold/hold.ts";
import { readFolderSet, type FolderSet } from "../workflows/released.ts";
import { holdLock, type HeldLock } from "../server/lock.ts";
import { replaceFile, settingsFile } from "../engine/settings-file.ts";
import type { Plan } from "./update.ts";

/** What a deployment touches besides the effects that every command has. */
export interface Operator extends Effects {
  readonly preflight: (context: CheckContext) => Promise<readonly Check[]>;
  readonly verify: (context: CheckContext) => Promise<readonly Check[]>;

  /** Observes a release that has been verified; `since` is when its update began. */
  readonly observe: (context: CheckContext, since: Date) => Promise<Observed>;

  /** What the environment costs as it is deployed, and with these settings. */
  readonly readCost: (environment: Environment) => Promise<CostChange>;

  /** Saves a plan in the folder, and describes what it would change. */
  readonly makePlan: (
    stack: string,
    folder: string,
  ) => Promise<{
    readonly plan: Plan;
    readonly text: string;
    readonly failure: string | undefined;
    /** Which host key the first contact will trust; undefined once one is pinned. */
    readonly hostKey?: string | undefined;
  }>;

  /** A plan that was saved and reviewed, or what has changed since, one sentence each. */
  readonly checkPlan: (
    stack: string,
    folder: string,
  ) => Promise<{ readonly plan: Plan } | { readonly changed: readonly string[] }>;

  /** Resolves what a killed run of the engine left pending. */
  readonly resume: (stack: string) => Promise<Resumed>;

  /** The digest that an image's registry gives for its name; fails where it has no such image. */
  readonly imageDigest: (name: string, login: RegistryLogin | undefined) => Promise<string>;

  /** Makes a set of backups before a release and gives its id; undefined where no backups are set up. */
  readonly takeSet: (request: Omit<BeforeRelease, "fetch" | "say">) => Promise<string | undefined>;

  /** Has the server rehearse the restore of a set of what runs now; never fails because of that. */
  readonly rehearse: (request: Pick<BeforeRelease, "environment" | "server" | "tag">) => Promise<void>;

  /** Text of `Pulumi.<stack>.yaml`. */
  readonly readSettingsFile: (stack: string) => Promise<string>;
  readonly writeSettingsFile: (stack: string, text: string) => Promise<void>;

  /** Folder of the project. @default this one */
  readonly project?: string | undefined;
}

export function realOperator(effects: Effects): Operator {
  const { pulumi, git } = effects;
  return {
    ...effects,
    preflight,
    verify,
    observe: (context, since) => observe(context, { since }),
    readCost: async (environment) =>
      readCost(
        { environment, state: await readState(environment.name, pulumi) },
        { fetch: systemFetch, now: effects.now },
      ),
    resume: (stack) => resume(stack, pulumi),
    async makePlan(stack, folder) {
      const world = { ...effects, environment: process.env, fetch: systemFetch };
      const report = await previewStack({ stack, out: folder, refresh: false }, world);
      const plan = { file: planFile(folder), reviewed: false, refreshed: false };
      const hostKey = report.messages.find(({ text }) => text.startsWith("host key: "))?.text;
      return { plan, text: renderPreview(report), failure: report.failure, hostKey };
    },
    async checkPlan(stack, folder) {
      const inputs = await readPlanInputs({ stack, without: folder }, { pulumi, git });
      const checked = await checkPlan(folder, inputs);
      if (!checked.fits) return { changed: checked.changed };
      return { plan: { file: checked.file, reviewed: true, refreshed: checked.manifest.refreshed } };
    },
    imageDigest: async (name, login) =>
      (await findImage(name, { fetch: systemFetch, signal: effects.signal, login })).digest,
    takeSet: (request) => takeSet({ ...request, fetch: systemFetch, say: effects.say }),
    rehearse: (request) => startRehearsal({ ...request, say: effects.say }),
    readSettingsFile: (stack) => readFile(settingsFile(stack), "utf8"),
    writeSettingsFile: (stack, text) => replaceFile(settingsFile(stack), text),
  };
}

interface SessionRequest {
  readonly stack: string;
  /** Why the lock is taken; undefined takes none, for a command that only reads. */
  readonly why: string | undefined;
  readonly operator: Operator;

  /** Whether it may begin while an upgrade of the packages runs. @default false */
  readonly duringUpgrade?: boolean;
}

/** What is known of a release when it begins; the session knows the rest. */
type NewRelease = Pick<Release, "kind" | "revision" | "settings" | "reason" | "startedAt"> & Partial<Release>;

export class Session {
  readonly stack: string;
  readonly operator: Operator;
  readonly pulumi: Pulumi;
  readonly environment: Environment;

  readonly #why: string | undefined;
  readonly #duringUpgrade: boolean;
  readonly #secrets: Settings["secrets"];
  readonly #redactor = new Redactor();
  #outputs: StackOutputs | undefined;
  #server: Server | undefined;
  /** To the other servers, where there are several. */
  readonly #connections: Connections;
  #address = "";
  #lock: HeldLock | undefined;
  #hold: Hold | undefined;
  #folderSet: Promise<FolderSet> | undefined;

  private constructor(
    { stack, why, operator, duringUpgrade = false }: SessionRequest,
    { environment, secrets }: Settings,
  ) {
    this.stack = stack;
    this.operator = operator;
    this.pulumi = operator.pulumi;
    this.environment = environment;
    this.#connections = new Connections(operator);
    this.#why = why;
    this.#duringUpgrade = duringUpgrade;
    this.#secrets = secrets;
    this.#redactor.hide(...Object.values(secrets));
  }

  /** Opens the session, does the work and closes the session. */
  static async during<T>(request: SessionRequest, work: (session: Session) => Promise<T>): Promise<T> {
    const settings = await readSettings(request.stack, request.operator.pulumi);
    const session = new Session(request, settings);
    try {
      await session.refresh();
      return await work(session);
    } finally {
      await session.#disconnect();
    }
  }

  /** The stack's server; undefined before the first deployment. */
  get server(): Server | undefined {
    return this.#server;
  }

  /** Aborted when the command is interrupted, and when the lock is lost. */
  get signal(): AbortSignal {
    const { signal } = this.operator;
    return this.#lock === undefined ? signal : AbortSignal.any([signal, this.#lock.lost]);
  }

  /** Holds the requests to n8n; undefined where that is off, and before the first deployment. */
  get hold(): Hold | undefined {
    if (this.#server === undefined || !this.environment.services.gateway.hold.enabled) return undefined;
    const { operator, environment, signal } = this;
    const reach = { server: this.#server, environment, connections: this.#connections, pulumi: this.pulumi };
    const gateways = () => readGateways(reach);
    this.#hold ??= new Hold({ ...operator, server: this.#server, environment, signal, gateways });
    return this.#hold;
  }

  /** n8n's workflows as the settings name them; read once. */
  get folderSet(): Promise<FolderSet> {
    const { environment, signal, operator } = this;
    const { project, say } = operator;
    this.#folderSet ??= readFolderSet({ environment, project, signal, say });
    return this.#folderSet;
  }

  get hasLostLock(): boolean {
    return this.#lock?.lost.aborted === true;
  }

  get context(): CheckContext {
    return {
      stack: this.stack,
      environment: this.environment,
      outputs: this.#outputs,
      server: this.#server,
      connections: this.#connections,
      pulumi: this.pulumi,
      secrets: this.#secrets,
      signal: this.signal,
    };
  }

  /** Reads again what is deployed: an update may have created the server, or another one. */
  async refresh(): Promise<void> {
    const { outputs, ssh } = await readDeployed(this.stack, this.pulumi);
    this.#outputs = outputs;
    if (ssh === undefined || JSON.stringify(ssh) === this.#address) return;
    await this.#disconnect();
    this.#server = this.operator.openServer({ ssh });
    this.#address = JSON.stringify(ssh);
    if (this.#why !== undefined) await this.#lockServer(this.#server, this.#why);
  }

  /** Takes the stack's secrets out of a text: what the engine and its plugins print when they fail may quote one. */
  redact(text: string): string {
    return this.#redactor.clean(text);
  }

  /** Adds to the audit, where there is a server to keep it. */
  async audit(event: Omit<AuditEvent, "at" | "who">): Promise<void> {
    if (this.#server === undefined) return;
    const { identity, now } = this.operator;
    const detail = this.redact(event.detail);
    await appendHistory(this.#server, { ...event, detail, at: now().toISOString(), who: identity.who });
  }

  /** Tells the team, where the stack is watched; never fails. */
  async announce(announcement: Announcement): Promise<void> {
    if (this.#server === undefined) return;
    const { environment, operator } = this;
    const { detail = "", reason = "" } = announcement;
    const texts = { detail: this.redact(detail), reason: this.redact(reason) };
    await announce({ ...operator, server: this.#server, environment }, { ...announcement, ...texts });
  }

  /** Records on the server that a release begins. */
  startRelease(server: Server, known: NewRelease): Promise<Release> {
    return startRelease(server, {
      stack: this.stack,
      settingsHash: hashSettings(this.environment),
      who: this.operator.identity.who,
      emergency: false,
      images: {},
      preflight: [],
      verify: [],
      restoredVerify: [],
      seconds: {},
      ...known,
    });
  }

  /** Records on the server that a release has ended, now. */
  async finishRelease(release: Release): Promise<Release> {
    const { failure } = release;
    const ended = {
      ...release,
      ...(failure !== undefined && { failure: this.redact(failure) }),
      finishedAt: this.operator.now().toISOString(),
    };
    try {
      if (this.#server) await finishRelease(this.#server, ended);
    } catch (error) {
      // Whoever took the lock may have recorded already that this release was killed.
      if (!(error instanceof EndRecorded) || !this.hasLostLock) throw error;
      this.operator.say(error.message);
    }
    return ended;
  }

  async #lockServer(server: Server, why: string): Promise<void> {
    const lock = { stack: this.stack, why, duringUpgrade: this.#duringUpgrade };
    this.#lock = await holdLock(server, { ...this.operator, ...lock });
    const { replaced } = this.#lock;
    if (replaced) {
      await this.audit({
        action: "unlock",
        reason: "",
        detail: `verrou laissé par une commande interrompue de ${replaced.holder.who}, repris`,
      });
    }
    await this.#closeKilled(server);
  }

  /** Releases that still look as if they ran were killed, because their commands held the lock that is ours now. */
  async #closeKilled(server: Server): Promise<void> {
    const { releases, corrupt } = await readReleases(server);
    for (const line of renderCorrupt(corrupt)) this.operator.say(line);
    for (const killed of releases.filter(({ outcome }) => outcome === "running")) {
      const failure = "interrompue : la commande a été tuée avant la fin";
      await this.finishRelease({ ...killed, outcome: "failed", failure });
      await this.audit({
        action: killed.kind,
        reason: killed.reason,
        detail: `version ${killed.number} ${failure}`,
        release: killed.number,
      });
      this.operator.say(`release ${killed.number} of ${killed.who} was killed: recorded as failed`);
      await this.announce({
        ...{ work: killed.kind === "rollback" ? "rollback" : "deployment", stage: "failed" },
        ...{ began: new Date(killed.startedAt), release: killed.number, detail: failure },
      });
    }
  }

  async #disconnect(): Promise<void> {
    const [server, lock, hold] = [this.#server, this.#lock, this.#hold];
    this.#server = this.#lock = this.#hold = undefined;
    await hold?.end();
    this.#connections.close();
    await lock?.release();
    server?.close();
  }
}
