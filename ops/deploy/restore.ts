/** Putting an earlier release back: its images by digest and the settings by which they ran. Data stays as it is. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";

import { compareVersions, validate } from "compare-versions";

import type { Check } from "../../common/check.ts";
import { versionOf } from "../../stacks/image-reference.ts";
import type { Environment } from "../../stacks/environment.ts";
import { readDeployedImages } from "../engine/outputs.ts";
import { inPrivateFolder } from "../engine/run.ts";
import { update } from "./update.ts";
import type { Operator } from "./operator.ts";
import type { Release } from "../../common/release.ts";
import type { Session } from "./session.ts";
import { settingsFile, withSettings } from "./settings-file.ts";

/** Images whose programs keep data that a newer version may have written in a form of its own. */
const KEEPS_DATA: readonly string[] = ["qdrant", "n8n", "postgres"];

export interface Restored {
  /** Undefined when the engine put it back; otherwise what it said. */
  readonly failure: string | undefined;
  readonly verify: readonly Check[];
  /** What the engine runs afterwards. */
  readonly images: Readonly<Record<string, string>>;
  readonly seconds: { readonly rollback: number; readonly rollbackVerify: number };
}

export interface RestoreRequest {
  readonly target: Release;
  readonly message: string;

  /** Whether the engine looks first what is really there: after an update that failed half way. */
  readonly refresh: boolean;
}

/** The settings that a release ran by, and that a rollback to it therefore brings back. */
export function runningSettings(environment: Environment): Record<string, unknown> {
  const { services, uploadMaxMib, timeouts } = environment;
  return { services, uploadMaxMib, timeouts };
}

/** Whether putting the release back would change anything of what runs by these settings. */
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

/** Warnings about programs that will find data of a newer version of themselves. */
export function dataWarnings(
  target: Readonly<Record<string, string>>,
  current: Readonly<Record<string, string>>,
): string[] {
  return KEEPS_DATA.flatMap((name) => {
    const [from, to] = [current[name], target[name]].map((image) => image && versionOf(image));
    if (!from || !to || isAtLeast(to, from)) return [];
    return [`${name} goes from ${from} back to ${to}: its data stays as ${from} left it`];
  });
}

export async function restore(
  session: Session,
  operator: Operator,
  { target, message, refresh }: RestoreRequest,
): Promise<Restored> {
  const { stack, environment } = session;
  const started = operator.now();
  const text = await operator.readSettingsFile(stack);
  const failure = await inPrivateFolder(async (folder) => {
    const configFile = join(folder, settingsFile(stack));
    await writeFile(configFile, withSettings(settingsFile(stack), text, overrides(target, environment)), {
      mode: 0o600,
    });
    const { pulumi } = session;
    await session.server?.logInForDocker();
    const updated = await update({
      stack,
      pulumi,
      message,
      onLine: operator.say,
      signal: session.signal,
      configFile,
      refresh,
    });
    return updated.failure;
  });
  await session.refresh();
  const restored = operator.now();
  const verify = failure === undefined ? await operator.verify(session.context) : [];
  const verified = operator.now();
  return {
    failure: failure?.said,
    verify,
    images: await readDeployedImages(stack, session.pulumi),
    seconds: {
      rollback: secondsBetween(started, restored),
      rollbackVerify: secondsBetween(restored, verified),
    },
  };
}

/** The time that the rollback took, as one more check of it. */
export function timeCheck(restored: Restored, limitSeconds: number): Check {
  const total = restoredSeconds(restored);
  return {
    id: "rollback-time",
    title: `Retour arrière en moins de ${limitSeconds} s`,
    outcome: total <= limitSeconds ? "ok" : "failed",
    detail: `${total.toFixed(1)} s, vérification comprise`,
    measures: { rollbackSeconds: total },
  };
}

export function isWell({ failure, verify }: Restored): boolean {
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
    // The other database holds other data: that choice is no part of a rollback.
    const n8n = { ...services.n8n, database: environment.services.n8n.database };
    settings["services"] = { ...services, n8n };
  }
  return { ...settings, images: { ...environment.images, ...target.images } };
}

/** False also for what is no version, such as a digest: then nobody knows. */
function isAtLeast(version: string, other: string): boolean {
  return validate(version) && validate(other) && compareVersions(version, other) >= 0;
}
