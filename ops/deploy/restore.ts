/** Restores an earlier release: its images by digest and the settings that they ran with. Data stays as it is. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";

import { compareVersions, validate } from "compare-versions";

import type { Check } from "../../common/check.ts";
import { ROLLBACK_TIME, type Release } from "../../common/release.ts";
import type { Environment } from "../../stacks/environment.ts";
import { versionOf } from "../../common/image-reference.ts";
import { readDeployedImages } from "../engine/state.ts";
import { inPrivateFolder } from "../engine/events.ts";
import type { Session } from "./session.ts";
import { settingsFile, withSettings } from "../engine/settings-file.ts";
import { update } from "./update.ts";

/** Images of programs whose data an older version may not be able to read. */
const KEEPS_DATA: readonly string[] = ["qdrant", "n8n", "postgres"];

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
  readonly message: string;

  /** Whether the engine first reads the actual state: after an update that failed half way. */
  readonly refresh: boolean;
}

/** The settings that belong to a release, so that a rollback restores them too. */
export function runningSettings(environment: Environment): Record<string, unknown> {
  const { services, uploadMaxMib, timeouts } = environment;
  return { services, uploadMaxMib, timeouts };
}

/** Whether restoring the release would change what runs now. */
export function differs(
  target: Release,
  current: {
    readonly images: Readonly<Record<string, string>>;
    readonly settings: Readonly<Record<string, unknown>>;
  },
): boolean {
  const images = Object.entries(target.images).some(([name, image]) => current.images[name] !== image);
  return images || !isDeepStrictEqual({ ...current.settings, ...target.settings }, current.settings);
}

/** Warnings about programs that will find data of a newer version. */
export function dataWarnings(
  target: Readonly<Record<string, string>>,
  current: Readonly<Record<string, string>>,
): string[] {
  return KEEPS_DATA.flatMap((name) => {
    const [from, to] = [current[name], target[name]].map((image) => image && versionOf(image));
    if (!from || !to || isAtLeast(to, from)) return [];
    return [`${name} goes back from ${from} to ${to}, but its data stays in the format of ${from}`];
  });
}

export async function restore(
  session: Session,
  { target, message, refresh }: RestoreRequest,
): Promise<Restored> {
  const { stack, environment, pulumi, operator, signal } = session;
  const started = operator.now();
  const path = settingsFile(stack);
  const text = await operator.readSettingsFile(stack);
  const { failure } = await inPrivateFolder(async (folder) => {
    const configFile = join(folder, path);
    const settings = withSettings({ path, text }, overrides(target, environment));
    await writeFile(configFile, settings, { mode: 0o600 });
    await session.server?.logInForDocker();
    return await update({ stack, pulumi, message, onLine: operator.say, signal, configFile, refresh });
  });
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
  const failures = [...(failure === undefined ? [] : [failure.output]), ...stopped];
  return {
    failure: failures.length === 0 ? undefined : failures.join("\n"),
    verify,
    hasPassed: failures.length === 0 && verify.every(({ outcome }) => outcome !== "failed"),
    time: timeCheck(totalSeconds, environment.operations.thresholds.rollbackSeconds),
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

function overrides(target: Release, environment: Environment): Record<string, unknown> {
  const settings = { ...target.settings };
  const { services } = settings as { services?: { n8n?: object } };
  if (services?.n8n !== undefined) {
    // The other database has other data, so a rollback keeps the database.
    const n8n = { ...services.n8n, database: environment.services.n8n.database };
    settings["services"] = { ...services, n8n };
  }
  const builds = Object.fromEntries(
    Object.entries(environment.builds).filter(([, value]) => Object.keys(value).length > 0),
  );
  // Where images come from is no part of a release: the account at the registry stays that of today.
  return { ...settings, images: { ...environment.images, ...builds, ...target.images } };
}

/** False also for what is no version, such as a digest: then nobody knows. */
function isAtLeast(version: string, other: string): boolean {
  return validate(version) && validate(other) && compareVersions(version, other) >= 0;
}
