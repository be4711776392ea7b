/**
 * Asks the engine for the real state of every resource, and changes nothing.
 *
 * `pulumi refresh --preview-only` and not `preview --refresh`: a program that fails hides nothing of what exists, and what cannot be read does
 * not keep the rest from being read.
 */
import { readEvents, runEngine, type EngineEvent, type StepMetadata } from "../engine/events.ts";
import type { Pulumi } from "../engine/cli.ts";
import type { StateResource } from "../engine/state.ts";

export interface Refreshed {
  /** Every resource that could be read, unchanged ones as well. */
  readonly steps: readonly StepMetadata[];

  /** URN of what could not be read → why. */
  readonly unreadable: ReadonlyMap<string, string>;
}

/** All resources at once: reading is mostly waiting (Docker's plugin two seconds per service), and each provider limits itself. */
const AT_ONCE = "96";

/** A failing provider may stop the read of others, so what was not read is asked for again. */
const PASSES = 4;

/** `without`: resources that cannot be reached and are not asked for. */
export async function refresh(
  request: Readonly<Record<"resources" | "without", readonly StateResource[]>> & { readonly stack: string },
  pulumi: Pulumi,
): Promise<Refreshed> {
  const steps = new Map<string, StepMetadata>();
  const failed = new Map<string, string>();
  const left = new Set(request.without.map(({ urn }) => urn));
  const wanted = request.resources.filter(({ urn }) => !left.has(urn));
  const unseen = () => wanted.filter(({ urn }) => !steps.has(urn) && !failed.has(urn));

  let reason = "";
  for (let pass = 0; pass < PASSES && unseen().length > 0; pass++) {
    const before = unseen().length;
    const selection =
      pass === 0
        ? [...left].flatMap((urn) => ["--exclude", urn])
        : unseen().flatMap(({ urn }) => ["--target", urn]);
    const args = ["refresh", "--preview-only", "--color", "never", "--parallel", AT_ONCE, ...selection];
    const { log, failure } = await runEngine({ pulumi, args: [...args, "--stack", request.stack] });
    const events = readEvents(log);
    for (const { resOutputsEvent: read } of events) if (read) steps.set(read.metadata.urn, read.metadata);
    for (const [urn, message] of failuresOf(events)) if (!steps.has(urn)) failed.set(urn, message);
    reason = failure?.message ?? reason;
    if (failure === undefined || unseen().length === before) break;
  }
  const otherwise = reason === "" ? "the engine did not say how it is" : reason;
  const unreadable = wanted.flatMap(({ urn }): [string, string][] =>
    steps.has(urn) ? [] : [[urn, failed.get(urn) ?? otherwise]],
  );
  return { steps: [...steps.values()], unreadable: new Map(unreadable) };
}

function failuresOf(events: readonly EngineEvent[]): [string, string][] {
  return events.flatMap(({ diagnosticEvent: diagnostic }): [string, string][] =>
    diagnostic?.severity === "error" && diagnostic.urn !== ""
      ? [[diagnostic.urn, diagnostic.message.trim().replace(/^Preview failed: (refreshing \S+: )?/, "")]]
      : [],
  );
}
