/** One question to the system and its answer. A probe ends within its limit, never throws and never shows a secret. */
import type { Check } from "../../common/check.ts";
import { reasonOf } from "../../common/reason.ts";
import { Redactor } from "../../common/redactor.ts";

export type Finding = Pick<Check, "outcome" | "detail" | "measures">;

export interface Probe {
  readonly id: string;

  /** In French; the wording of the user's own checklist where it has one. */
  readonly title: string;

  /** Seconds after which the check fails; 30 when it is left out. */
  readonly limitSeconds?: number;

  /** May throw; that is a failed check. */
  find(signal: AbortSignal): Finding | Promise<Finding>;
}

interface ProbeOptions {
  readonly signal: AbortSignal;

  /** Values that no detail may contain. */
  readonly secrets: Readonly<Record<string, string>>;
}

const DEFAULT_LIMIT_SECONDS = 30;
const LONGEST_DETAIL = 600;

const findingOf =
  (outcome: Check["outcome"]) =>
  (detail: string, measures?: Finding["measures"]): Finding => ({
    outcome,
    detail,
    ...(measures && { measures }),
  });

export const ok = findingOf("ok");
export const failed = findingOf("failed");
export const notChecked = findingOf("not-checked");

/** Runs all probes at once; the checks keep their order. */
export function runProbes(probes: readonly Probe[], options: ProbeOptions): Promise<Check[]> {
  return Promise.all(probes.map((probe) => runProbe(probe, options)));
}

export async function runProbe(probe: Probe, { signal, secrets }: ProbeOptions): Promise<Check> {
  const started = performance.now();
  const redactor = new Redactor();
  redactor.hide(...Object.values(secrets));
  const found = await findInTime(probe, signal);
  return {
    id: probe.id,
    title: probe.title,
    ...found,
    detail: shorten(redactor.clean(found.detail)),
    seconds: Math.round(performance.now() - started) / 1000,
  };
}

async function findInTime(probe: Probe, signal: AbortSignal): Promise<Finding> {
  const limitSeconds = probe.limitSeconds ?? DEFAULT_LIMIT_SECONDS;
  const interrupted = notChecked("interrompu");
  if (signal.aborted) return interrupted;
  const limit = AbortSignal.timeout(limitSeconds * 1000);
  const either = AbortSignal.any([signal, limit]);
  const { promise: aborted, resolve } = Promise.withResolvers<Finding>();
  const late = failed(`pas de réponse en ${limitSeconds} s`);
  const onAbort = () => resolve(signal.aborted ? interrupted : late);
  either.addEventListener("abort", onAbort, { once: true });
  try {
    // A probe that ignores its signal is not waited for.
    return await Promise.race([Promise.resolve().then(() => probe.find(either)), aborted]);
  } catch (error) {
    if (signal.aborted) return interrupted;
    return limit.aborted ? late : failed(reasonOf(error));
  } finally {
    either.removeEventListener("abort", onAbort);
  }
}

export interface Part {
  readonly check: Check;

  /** A part that the environment does without counts only if it failed. */
  readonly isNeeded: boolean;
}

/** One item of a checklist that several checks answer together. */
export function summarize(item: Pick<Check, "id" | "title">, parts: readonly Part[]): Check {
  const having = (outcome: Check["outcome"]) => parts.filter(({ check }) => check.outcome === outcome);
  const [bad, good, silent] = [having("failed"), having("ok"), having("not-checked")];
  const unknown = silent.filter(({ isNeeded }) => isNeeded);
  const unused = silent.filter(({ isNeeded }) => !isNeeded);

  if (bad.length > 0) return { ...item, ...failed(`en échec : ${titlesOf(bad)}`) };
  if (unknown.length > 0) return { ...item, ...notChecked(`non vérifié : ${titlesOf(unknown)}`) };
  if (!good.some(({ isNeeded }) => isNeeded)) {
    return { ...item, ...notChecked("rien à vérifier : aucun service n'est configuré") };
  }
  const rest = unused.length === 0 ? "" : ` ; sans objet ici : ${titlesOf(unused)}`;
  return { ...item, ...ok(`vérifié : ${titlesOf(good)}${rest}`) };
}

function titlesOf(parts: readonly Part[]): string {
  return parts.map(({ check }) => check.title).join(", ");
}

function shorten(text: string): string {
  return text.length <= LONGEST_DETAIL ? text : `${text.slice(0, LONGEST_DETAIL - 1)}…`;
}

/** What else than its validity a key's calls show: calls left, and rights that the key should not have. */
export type KeyAspect = "quota" | "access";

export type KeyFindings = { readonly key: Finding } & Partial<Readonly<Record<KeyAspect, Finding>>>;

/**
 * What a status other than 2xx says about a key; undefined for 2xx. The vendor's own text is left out, because it may quote the key.
 *
 * `secret` is the key's name in `secrets/catalog.ts`.
 */
export function refusal(
  { vendor, secret }: { readonly vendor: string; readonly secret: string },
  { status }: { readonly status: number },
): Finding | undefined {
  if (status >= 200 && status < 300) return undefined;
  const remedy = `à remplacer : pulumi config set --secret technicia:${secret}`;
  if (status === 401) return failed(`${vendor} refuse la clé (401) ; ${remedy}`);
  if (status === 403)
    return failed(`${vendor} : la clé n'a pas le droit de faire cet appel (403) ; ${remedy}`);
  if (status === 429) return notChecked(`${vendor} limite les appels (429) : la clé n'a pas pu être jugée`);
  if (status >= 500) return notChecked(`${vendor} répond ${status} : la clé n'a pas pu être jugée`);
  return failed(`${vendor} répond ${status} à un appel qui devrait réussir`);
}
