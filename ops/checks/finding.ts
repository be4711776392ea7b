/** What one look gives, and how looks are carried out: within a limit, never throwing, never showing a secret. */
import type { Check } from "../../common/check.ts";
import { reasonOf } from "../../common/reason.ts";
import { Redactor } from "../../common/redactor.ts";

export type Finding = Pick<Check, "outcome" | "detail" | "measures">;

/** One thing to look at. */
export interface Probe {
  readonly id: string;

  /** In French; the wording of the user's own checklist where it has one. */
  readonly title: string;

  /**
   * Longest time that the look may take.
   *
   * @default 30
   */
  readonly limitSeconds?: number;

  /** May throw; that is a failed check. */
  find(signal: AbortSignal): Finding | Promise<Finding>;
}

interface Surroundings {
  readonly signal: AbortSignal;
  readonly secrets: Readonly<Record<string, string>>;
}

const DEFAULT_LIMIT_SECONDS = 30;
const LONGEST_DETAIL = 600;

export function ok(detail: string, measures?: Readonly<Record<string, number>>): Finding {
  return finding("ok", detail, measures);
}

export function failed(detail: string, measures?: Readonly<Record<string, number>>): Finding {
  return finding("failed", detail, measures);
}

export function notChecked(detail: string, measures?: Readonly<Record<string, number>>): Finding {
  return finding("not-checked", detail, measures);
}

/** Carries out all of them at once; the answers keep their order. */
export function carryOutAll(probes: readonly Probe[], surroundings: Surroundings): Promise<Check[]> {
  return Promise.all(probes.map((probe) => carryOut(probe, surroundings)));
}

export async function carryOut(probe: Probe, { signal, secrets }: Surroundings): Promise<Check> {
  const limitSeconds = probe.limitSeconds ?? DEFAULT_LIMIT_SECONDS;
  const started = performance.now();
  const redactor = new Redactor();
  redactor.hide(...Object.values(secrets));
  const found = await within(probe, limitSeconds, signal);
  return {
    id: probe.id,
    title: probe.title,
    ...found,
    detail: shorten(redactor.clean(found.detail)),
    seconds: Math.round(performance.now() - started) / 1000,
  };
}

/** One item of a checklist that several looks answer together; a part that is not needed does not count. */
export function summarize(
  item: { readonly id: string; readonly title: string },
  parts: readonly { readonly check: Check; readonly isNeeded: boolean }[],
): Check {
  const names = (outcome: Check["outcome"], isNeeded = true) =>
    parts
      .filter(({ check, isNeeded: needed }) => check.outcome === outcome && (needed || !isNeeded))
      .map(({ check }) => check.title)
      .join(", ");
  const isSo = (outcome: Check["outcome"]) =>
    parts.some(({ check, isNeeded }) => check.outcome === outcome && (isNeeded || outcome === "failed"));
  if (isSo("failed")) return { ...item, ...failed(`en échec : ${names("failed", false)}`) };
  if (isSo("not-checked")) return { ...item, ...notChecked(`non vérifié : ${names("not-checked")}`) };
  if (!isSo("ok")) return { ...item, ...notChecked("rien à vérifier : aucun service n'est configuré") };
  const beside = parts.filter(({ check, isNeeded }) => !isNeeded && check.outcome === "not-checked");
  const rest = beside.map(({ check }) => check.title).join(", ");
  return {
    ...item,
    ...ok(`vérifié : ${names("ok", false)}${rest === "" ? "" : ` ; sans objet ici : ${rest}`}`),
  };
}

function finding(
  outcome: Check["outcome"],
  detail: string,
  measures: Readonly<Record<string, number>> | undefined,
): Finding {
  return { outcome, detail, ...(measures === undefined ? {} : { measures: { ...measures } }) };
}

async function within(probe: Probe, limitSeconds: number, signal: AbortSignal): Promise<Finding> {
  const interrupted = notChecked("interrompu");
  if (signal.aborted) return interrupted;
  const limit = AbortSignal.timeout(limitSeconds * 1000);
  const either = AbortSignal.any([signal, limit]);
  const { promise: cut, resolve } = Promise.withResolvers<Finding>();
  const onAbort = () => resolve(signal.aborted ? interrupted : failed(`pas de réponse en ${limitSeconds} s`));
  either.addEventListener("abort", onAbort, { once: true });
  try {
    // A look that does not heed its signal is left behind.
    return await Promise.race([Promise.resolve().then(() => probe.find(either)), cut]);
  } catch (error) {
    if (signal.aborted) return interrupted;
    return limit.aborted ? failed(`pas de réponse en ${limitSeconds} s`) : failed(reasonOf(error));
  } finally {
    either.removeEventListener("abort", onAbort);
  }
}

function shorten(text: string): string {
  return text.length <= LONGEST_DETAIL ? text : `${text.slice(0, LONGEST_DETAIL - 1)}…`;
}
