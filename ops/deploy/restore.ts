/** Restores an earlier release: its images by digest, its limits, its timeouts and its workflows. Data and every other setting stay as they are. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";

import type { Check } from "../../common/check.ts";
import { type HeldService, heldServices } from "../../common/hold.ts";
import { ROLLBACK_TIME, type Release } from "../../common/release.ts";
import type { Environment } from "../../stacks/environment.ts";
import { readDeployedImages } from "../engine/state.ts";
import { inPrivateFolder } from "../engine/events.ts";
import { holding } from "./hold.ts";
import type { Session } from "./session.ts";
import { silenced } from "./silenced.ts";
import { settingsFile, withSettings } from "../engine/settings-file.ts";
import { update } from "./update.ts";
import { releaseLimits } from "../../stacks/release-limits.ts";
import { settingsOfRestored, type WorkflowsBack } from "./workflows.ts";

/** What of a service's settings a rollback restores. Everything else stays: who may reach what, which services run, where data is. */
const RESTORED: readonly string[] = ["memoryMib", "cpus"];

export interface Restored {
  /** What the engine printed when it failed, and why it was stopped. */
  readonly failure: string | undefined;
  readonly verify: readonly Check[];

  /** Whether the update and the verification worked, however long they took. */
  readonly hasPassed: boolean;

  /** The time that it took, as a check. */
  readonly time: Check;
  readonly totalSeconds: number;

  /** What the engine runs afterwards. */
  readonly images: Readonly<Record<string, string>>;
  readonly seconds: { readonly rollback: number; readonly rollbackVerify: number };
}

interface RestoreRequest {
  readonly target: Release;
  readonly workflows: WorkflowsBack;
  readonly message: string;

  /** Whether the engine first reads the actual state: after an update that failed half way. */
  readonly refresh: boolean;
}

type Settings = Readonly<Record<string, unknown>>;

/** The settings that belong to a release; a rollback restores the limits and timeouts among them. */
export function runningSettings(environment: Environment): Record<string, unknown> {
  const { services, uploadMaxMib, timeouts } = environment;
  return { services, uploadMaxMib, timeouts };
}

/** Whether restoring the release would change what runs now. */
export function differs(
  target: Release,
  current: {
    readonly images: Readonly<Record<string, string>>;
    readonly settings: Settings;
    readonly workflows: Pick<WorkflowsBack, "how">;
  },
): boolean {
  if (current.workflows.how === "restored") return true;
  const images = Object.entries(target.images).some(([name, image]) => current.images[name] !== image);
  return images || !isDeepStrictEqual(restoredSettings(target.settings, current.settings), current.settings);
}

async function runningNow({ stack, pulumi, environment }: Session) {
  return { images: await readDeployedImages(stack, pulumi), settings: runningSettings(environment) };
}

/** What restoring the release restarts. */
export function restartedByRelease(
  target: Release,
  { images, settings }: { readonly images: Readonly<Record<string, string>>; readonly settings: Settings },
): HeldService[] {
  const settingsOf = (service: HeldService, all: Settings) => {
    const { services, uploadMaxMib, timeouts } = all as Partial<RunningSettings>;
    return [services?.[service], ...(service === "n8n" ? [uploadMaxMib, timeouts?.["uploadSeconds"]] : [])];
  };
  const restored = restoredSettings(target.settings, settings);
  return heldServices.filter(
    (service) =>
      (images[service] !== undefined && target.images[service] !== images[service]) ||
      !isDeepStrictEqual(settingsOf(service, restored), settingsOf(service, settings)),
  );
}

/** The settings now, with the limits and timeouts of the release; what only one of them knows stays as it is now. */
function restoredSettings(target: Settings, current: Settings): Record<string, unknown> {
  const old = target as Partial<RunningSettings>;
  const now = current as Partial<RunningSettings>;
  const services = Object.entries(now.services ?? {}).map(([name, service]) => {
    const limits = Object.entries(old.services?.[name] ?? {}).filter(([key]) => RESTORED.includes(key));
    return [name, { ...service, ...known(Object.fromEntries(limits), service) }] as const;
  });
  return {
    ...current,
    ...(now.services && { services: Object.fromEntries(services) }),
    ...(old.uploadMaxMib !== undefined && { uploadMaxMib: old.uploadMaxMib }),
    ...(now.timeouts && { timeouts: { ...now.timeouts, ...known(old.timeouts ?? {}, now.timeouts) } }),
  };
}

/** As a record has it: another version of these commands may have written it. */
interface RunningSettings {
  readonly services: Readonly<Record<string, Settings>>;
  readonly uploadMaxMib: unknown;
  readonly timeouts: Settings;
}

function known(values: Settings, names: Settings): Settings {
  return Object.fromEntries(Object.entries(values).filter(([name]) => name in names));
}

/** The settings in which the release differed and which a rollback does not restore, a line each. */
export function keptSettings(target: Settings, current: Settings): string[] {
  const [old, now] = [target, current].map(
    (settings) => (settings as Partial<RunningSettings>).services ?? {},
  );
  return Object.entries(now!).flatMap(([name, service]) =>
    Object.entries(service).flatMap(([key, value]) => {
      const before = old![name]?.[key];
      if (RESTORED.includes(key) || before === undefined || isDeepStrictEqual(before, value)) return [];
      const path = `services.${name}.${key}`;
      return [`${path} stays ${JSON.stringify(value)}, the release had ${JSON.stringify(before)}`];
    }),
  );
}

/** Says what of the release is not restored. */
export function sayKept(
  { operator, environment }: Session,
  { target, workflows }: Pick<RestoreRequest, "target" | "workflows">,
): void {
  const settings = keptSettings(target.settings, runningSettings(environment));
  for (const line of [...settings, ...workflows.kept]) operator.say(line);
}

export async function restore(
  session: Session,
  { target, workflows, message, refresh }: RestoreRequest,
): Promise<Restored> {
  const { stack, environment, pulumi, operator, signal } = session;
  const started = operator.now();
  const path = settingsFile(stack);
  const text = await operator.readSettingsFile(stack);
  // Without workflows n8n's API goes off, which is a setting of n8n.
  const isLeft = workflows.how === "left" && environment.workflows.enabled;
  const restarted = session.hold === undefined ? [] : restartedByRelease(target, await runningNow(session));
  const services = isLeft && !restarted.includes("n8n") ? (["n8n", ...restarted] as const) : restarted;
  if (workflows.how === "restored" && workflows.set) session.hold?.expect(workflows.set.workflows);
  const {
    result: { failure },
    lacks,
  } = await inPrivateFolder(async (folder) => {
    const configFile = join(folder, path);
    const ofWorkflows = await settingsOfRestored(workflows, { environment, folder });
    const settings = withSettings(
      { path, text },
      {
        ...restoredSettings(target.settings, runningSettings(environment)),
        // Where images come from is no part of a release: the account at the registry stays that of today.
        images: { ...environment.images, ...sourcesOf(environment), ...target.images },
        ...(ofWorkflows && { workflows: ofWorkflows }),
      },
    );
    await writeFile(configFile, settings, { mode: 0o600 });
    await session.server?.logInForDocker();
    return await silenced(session, message, () =>
      holding(session, services, (environment) =>
        update({ stack, pulumi, message, onLine: operator.say, signal, configFile, refresh, environment }),
      ),
    );
  });
  if (lacks !== undefined) operator.say(`n8n lacks ${lacks}; the requests to it go on all the same`);
  // Nothing follows that would bring n8n back.
  await session.hold?.end();
  await session.refresh();
  const restored = operator.now();
  const verify = failure === undefined && !signal.aborted ? await operator.verify(session.context) : [];
  const seconds = {
    rollback: secondsBetween(started, restored),
    rollbackVerify: secondsBetween(restored, operator.now()),
  };
  const totalSeconds = seconds.rollback + seconds.rollbackVerify;
  // A verification that was cut short fails in no check.
  const stopped = signal.aborted ? [(signal.reason as Error).message] : [];
  const failures = [...(failure === undefined ? [] : [session.redact(failure.output)]), ...stopped];
  return {
    failure: failures.length === 0 ? undefined : failures.join("\n"),
    verify,
    hasPassed: failures.length === 0 && verify.every(({ outcome }) => outcome !== "failed"),
    time: timeCheck(totalSeconds, releaseLimits(environment).rollbackSeconds),
    totalSeconds,
    // Without the lock, another deployment may already have changed what runs.
    images: session.hasLostLock ? {} : await readDeployedImages(stack, pulumi),
    seconds,
  };
}

function timeCheck(seconds: number, limitSeconds: number): Check {
  return {
    id: ROLLBACK_TIME,
    title: `Retour arrière en moins de ${limitSeconds} s`,
    outcome: seconds <= limitSeconds ? "ok" : "failed",
    detail: `${seconds.toFixed(1)} s, vérification comprise`,
    measures: { rollbackSeconds: seconds },
  };
}

export function secondsBetween(from: Date, to: Date): number {
  return (to.getTime() - from.getTime()) / 1000;
}

/** Of the section `images`, what names no image. */
function sourcesOf({ builds }: Environment): Record<string, unknown> {
  return Object.fromEntries(Object.entries(builds).filter(([, value]) => Object.keys(value).length > 0));
}
