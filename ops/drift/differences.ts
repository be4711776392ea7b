/** The engine's steps as differences: one per property, one per line of an exclusive set; and since when each exists. */
import { isDeepStrictEqual } from "node:util";

import { NOTHING_EXTRA } from "../../common/nothing-extra.ts";
import { script } from "../../common/script.ts";
import type { StepMetadata } from "../engine/events.ts";
import type { Server } from "../server/connection.ts";
import { identify } from "../../stacks/inventory.ts";
import type { Deviation, Effect, Layer } from "../../stacks/resource-kinds.ts";
import { at, describeProperties, isMarkedSecret, parsePath, type Shown } from "../changes/properties.ts";
import { effectOfExtra, sinceOfExtra } from "./extra-lines.ts";

/** One property, or one line of an exclusive set, that is not as it was deployed. */
export interface Difference extends Deviation {
  readonly layer: Layer;
  readonly urn: string;
}

/** Most lines shown of one value. */
const MOST_LINES = 12;

const SINCE_SCRIPT = script(new URL("since.sh", import.meta.url));

/** Sorted, because the engine's order changes from run to run. */
export function readDifferences(steps: readonly StepMetadata[]): Difference[] {
  const all = steps.flatMap((step): Difference[] => {
    if (step.old?.custom !== true || step.type.startsWith("pulumi:")) return [];
    const { name, type, row } = identify(step.urn);
    const common = { layer: row.layer, urn: step.urn, resource: name, inputs: step.old.inputs };
    if (step.op === "unclaimed") {
      const found = [`${name}, ${row.label}`];
      const what = `${row.label} that nobody declared, in the state`;
      return [{ ...common, kind: "extra", what, expected: [NOTHING_EXTRA], found } as const];
    }
    // In a refresh that belongs to an update, every step is called "refresh".
    if (!step.new || step.op === "delete") {
      const found = [step.op === "create" ? "not in the state" : "not there"];
      return [{ ...common, kind: "gone", what: row.label, expected: ["there"], found } as const];
    }
    if (type === "technicia:host:State" && step.old.inputs["desired"] === NOTHING_EXTRA) {
      return extrasOf(step).map((line) => ({
        ...common,
        kind: "extra" as const,
        what: line,
        expected: [NOTHING_EXTRA],
        found: [line],
      }));
    }
    if (type === "technicia:host:Packages") {
      const missing = missingNames(step);
      const what = "packages";
      return missing.length === 0
        ? []
        : [{ ...common, kind: "changed", what, expected: missing, found: ["not installed"] }];
    }
    const changes = type === "technicia:ovh:EdgeFirewall" ? firewallChangesOf(step) : changesOf(step);
    return changes.map((change) => ({ ...common, kind: "changed" as const, ...change }));
  });
  const order = ({ resource, what }: Difference) => `${resource}\n${what}`;
  return all.sort((a, b) => order(a).localeCompare(order(b)));
}

/** What repairing a difference does, and what it interrupts. */
export function effectOf(difference: Difference): Effect {
  if (difference.kind === "extra") return effectOfExtra(difference.what);
  const { effect } = identify(difference.urn).row;
  return typeof effect === "function" ? effect(difference) : effect;
}

/** Since when each difference exists, in their order, undefined where it is not known: dates of files, systemd's and Docker's own records. */
export async function readSince(
  differences: readonly Difference[],
  server: Server,
): Promise<(Date | undefined)[]> {
  const questions = differences.map((difference) =>
    difference.kind === "extra"
      ? sinceOfExtra(difference.what)
      : identify(difference.urn).row.since?.(difference),
  );
  const asked = questions.flatMap((question) => (question ? [question.join("\t")] : []));
  if (asked.length === 0) return questions.map(() => undefined);
  const { stdout } = await server.run({
    purpose: "ask since when differences exist",
    script: SINCE_SCRIPT,
    stdin: `${asked.join("\n")}\n`,
    timeoutSeconds: 60,
  });
  const answers = stdout.split("\n");
  return questions.map((question) => {
    const seconds = question && answers.shift();
    return /^\d+$/.test(seconds ?? "") ? new Date(Number(seconds) * 1000) : undefined;
  });
}

function extrasOf(step: StepMetadata): string[] {
  const observed = step.new?.inputs["desired"];
  return typeof observed === "string" && observed !== NOTHING_EXTRA ? observed.split("\n") : [];
}

/** By name: compared by position, a list without its first name would differ everywhere. */
function missingNames({ old, new: now }: StepMetadata): string[] {
  const [wanted, there] = [old, now].map((state) => {
    const names = state?.inputs["names"];
    return Array.isArray(names) ? names.map(String) : [];
  });
  return (wanted ?? []).filter((name) => !(there ?? []).includes(name));
}

type EdgeRule = Readonly<Record<string, unknown>> & { readonly sequence: number };

/** By number: compared by position, one more rule would shift all that follow. */
function firewallChangesOf(step: StepMetadata): Change[] {
  const others = changesOf(step).filter(({ what }) => !what.startsWith("rules"));
  const [wanted, there] = [step.old, step.new].map((state) => {
    const rules = state?.inputs["rules"];
    const list = Array.isArray(rules) ? (rules as EdgeRule[]) : [];
    return new Map(list.map((rule) => [rule.sequence, wordsOfRule(rule)]));
  });
  const numbers = [...new Set([...(wanted?.keys() ?? []), ...(there?.keys() ?? [])])].sort((a, b) => a - b);
  const rules = numbers.flatMap((number) => {
    const [expected, found] = [wanted?.get(number) ?? "nothing", there?.get(number) ?? "nothing"];
    return expected === found ? [] : [{ what: `rule ${number}`, expected: [expected], found: [found] }];
  });
  return [...others, ...rules];
}

function wordsOfRule({ action, protocol, tcpOption, port, sourcePort, source }: EdgeRule): string {
  const parts = [
    ...[action, protocol, tcpOption],
    ...(port === undefined ? [] : ["port", port]),
    ...(sourcePort === undefined ? [] : ["from port", sourcePort]),
    ...(source === undefined ? [] : ["from", source]),
  ];
  return parts.filter((part) => typeof part === "string" || typeof part === "number").join(" ");
}

type Change = Pick<Difference, "what" | "expected" | "found">;

function changesOf(step: StepMetadata): Change[] {
  const { op, old, new: now, detailedDiff, diffs } = step;
  if (!old || !now) return [];
  const detailed = Object.keys(detailedDiff ?? {});
  const reported = detailed.length > 0 ? detailed : (diffs ?? []);
  const paths = reported.filter((path) => !isKnownResult(step, path) && !isFromImage(path));
  if (paths.length === 0 && (op !== "update" || reported.length > 0)) return [];

  const before = { ...old, inputs: structuredClone(old.inputs) };
  const after = { ...now, inputs: structuredClone(now.inputs) };
  for (const segments of paths.map(parsePath)) {
    // A provider reads back outputs; its view of the inputs may stay as it was.
    const results = [at(old.outputs, segments), at(now.outputs, segments)];
    if (isDeepStrictEqual(results[0], results[1])) continue;
    put(before.inputs, segments, results[0]);
    put(after.inputs, segments, results[1]);
  }
  const properties = describeProperties({
    ...identify(step.urn),
    ...{ urn: step.urn, kind: "update", before, after, foreseen: {}, replaceKeys: [], changedKeys: [] },
    detail: Object.fromEntries(paths.map((path) => [path, { diffKind: "update", inputDiff: true }])),
  });
  if (properties.length === 0) {
    // The engine reports a difference, so it must be shown even where no property can be named.
    const what = paths.map((path) => wordsOf(step, path)).join(", ") || identify(step.urn).row.label;
    return [{ what, expected: ["as deployed"], found: ["otherwise"] }];
  }
  return properties.map(({ path, before: expected, after: found }) => ({
    what: wordsOf(step, path),
    expected: linesOf(expected),
    found: linesOf(found),
  }));
}

/** The output is unchanged since the deployment; it only differs from the input, such as an image by its digest. */
function isKnownResult({ old, new: now }: StepMetadata, path: string): boolean {
  const segments = parsePath(path);
  const [before, after] = [at(old?.outputs, segments), at(now?.outputs, segments)];
  // Two masks look alike.
  return before !== undefined && !isMarkedSecret(before) && isDeepStrictEqual(before, after);
}

/** Docker's client adds the platforms of the image to a placement; the first refresh after a deployment finds them. */
const isFromImage = (path: string): boolean => path.startsWith("taskSpec.placement.platforms");

function wordsOf({ urn, type }: StepMetadata, path: string): string {
  if (type === "technicia:host:State") return identify(urn).name.replaceAll("-", " ");
  return path.replace(/^taskSpec\.(containerSpec\.)?/, "");
}

function linesOf(shown: Shown): string[] {
  switch (shown.kind) {
    case "none":
      return ["nothing"];
    case "secret":
      return ["[secret]"];
    case "unknown":
      return ["not known"];
    case "text": {
      const rest = shown.lines.length - MOST_LINES;
      return [...shown.lines.slice(0, MOST_LINES), ...(rest > 0 ? [`… and ${rest} more lines`] : [])];
    }
  }
}

export function put(
  tree: Record<string, unknown>,
  segments: readonly (string | number)[],
  value: unknown,
): void {
  let place: Record<string | number, unknown> = tree;
  for (const [index, segment] of segments.slice(0, -1).entries()) {
    const next = place[segment];
    if (typeof next !== "object" || next === null) {
      place[segment] = typeof segments[index + 1] === "number" ? [] : {};
    }
    place = place[segment] as Record<string | number, unknown>;
  }
  const last = segments.at(-1);
  if (last === undefined) return;
  if (value === undefined) delete place[last];
  else place[last] = value;
}
