/** Restores an earlier release: its images by digest and the settings that they ran with. Data stays as it is. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";

import { compareVersions, validate } from "compare-versions";

import type { Check } from "../../common/check.ts";
import { ROLLBACK_TIME, type Release } from "../../common/release.ts";
import type { Environment } from "../../stacks/environment.ts";
import { versionOf } from "../../stacks/image-reference.ts";
import { readDeployedImages } from "../engine/state.ts";
import { inPrivateFolder } from "../engine/events.ts";
import type { Operator, Session } from "./session.ts";
import { settingsFile, withSettings } from "./settings-file.ts";
import { update } from "./update.ts";

/** Images of programs whose data an older version may not be able to read. */
const KEEPS_DATA: readonly string[] = ["qdrant", "n8n", "postgres"];

export interface Restored {
  /** What the engine printed when it failed. */
  readonly failure: string | undefined;
  readonly verify: readonly Check[];
  /** What the engine runs afterwards. */
  readonly images: Readonly<Record<string, string>>;
  readonly seconds: { readonly rollback: number; readonly rollbackVerify: number };
}

export interface RestoreRequest {
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
  { session, operator }: { readonly session: Session; readonly operator: Operator },
  { target, message, refresh }: RestoreRequest,
): Promise<Restored> {
  const { stack, environment, pulumi } = session;
  const started = operator.now();
  const path = settingsFile(stack);
  const text = await operator.readSettingsFile(stack);
  const { failure } = await inPrivateFolder(async (folder) => {
    const configFile = join(folder, path);
    const settings = withSettings({ path, text }, overrides(target, environment));
    await writeFile(configFile, settings, { mode: 0o600 });
    await session.server?.logInForDocker();
    const { signal } = session;
    return await update({ stack, pulumi, message, onLine: operator.say, signal, configFile, refresh });
  });
  await session.refresh();
  const restored = operator.now();
  const verify = failure === undefined ? await operator.verify(session.context) : [];
  const verified = operator.now();
  return {
    failure: failure?.output,
    verify,
    images: await readDeployedImages(stack, pulumi),
    seconds: {
      rollback: secondsBetween(started, restored),
      rollbackVerify: secondsBetween(restored, verified),
    },
  };
}

/** The time that the rollback took, as a check. */
export function timeCheck(restored: Restored, limitSeconds: number): Check {
  const total = restoredSeconds(restored);
  return {
    id: ROLLBACK_TIME,
    title: `Retour arrière en moins de ${limitSeconds} s`,
    outcome: total <= limitSeconds ? "ok" : "failed",
    detail: `${total.toFixed(1)} s, vérification comprise`,
    measures: { rollbackSeconds: total },
  };
}

export function passedVerification({ failure, verify }: Restored): boolean {
  return failure === undefined && verify.every(({ outcome }) => outcome !== "failed");
}

export function restoredSeconds({ seconds }: Restored): number {
  return seconds.rollback + seconds.rollbackVerify;
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
  return { ...settings, images: { ...environment.images, ...target.images } };
}

/** False also for what is no version, such as a digest: then nobody knows. */
function isAtLeast(version: string, other: string): boolean {
  return validate(version) && validate(other) && compareVersions(version, other) >= 0;
}
