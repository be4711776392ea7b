/** What changes inside one resource, property by property, without secrets. */
import { diff, isDeepStrictEqual } from "node:util";

import { SECRET_SIGNATURE, SIGNATURE_KEY, UNKNOWN_TEXT } from "../../common/property-signatures.ts";
import { isSecretProperty, MASK } from "../../common/redactor.ts";
import type { Step } from "./steps.ts";

/** What a reader is shown of a value. */
export type Shown =
  | { readonly kind: "none" }
  | { readonly kind: "secret" }
  /** Not known before the deployment. */
  | { readonly kind: "unknown" }
  /** Lines of text; of a long text only those that change. */
  | { readonly kind: "text"; readonly lines: readonly string[] };

export interface PropertyChange {
  /** As the engine writes it: `taskSpec.containerSpec.image`, `rules[1].source`. */
  readonly path: string;
  readonly before: Shown;
  readonly after: Shown;
  /** Whether the change is why the resource is replaced. */
  readonly replaces: boolean;
}

type Segments = readonly (string | number)[];

interface Sides {
  readonly before: unknown;
  readonly after: unknown;
}

/** What the engine writes where a value is not known yet. */
const UNKNOWN = new Set([
  "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
  "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
  UNKNOWN_TEXT,
  "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
  "030794c1-ac77-496b-92df-f27374a8bd58",
  "e48ece36-62e2-4504-bad9-02848725956a",
  "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
]);

/** Book-keeping of the engine and its bridges. */
const INTERNAL = new Set(["__defaults", "__meta", "__internal"]);

export function describeProperties(step: Step): PropertyChange[] {
  const { kind, before, after } = step;
  const isSecret = secretFinder(step);
  if (kind === "create" || kind === "import") return listed(after?.inputs ?? {}, "after", isSecret);
  if (kind === "delete" || kind === "forget") return listed(before?.inputs ?? {}, "before", isSecret);

  const seen = new Set<string>();
  return pathsOf(step).flatMap(({ segments, sides }) =>
    leaves(segments, sides, isSecret).flatMap(({ segments: leaf, ...shown }) => {
      const path = renderPath(leaf);
      if (seen.has(path)) return [];
      seen.add(path);
      return [{ path, ...shown, replaces: step.replaceKeys.includes(String(leaf[0])) }];
    }),
  );
}

/** Where the two sides of every changed property are: the provider says so, else the inputs are compared. */
function pathsOf({
  before,
  after,
  detail,
  changedKeys,
  replaceKeys,
}: Step): { segments: Segments; sides: Sides }[] {
  const inputs = { before: before?.inputs ?? {}, after: after?.inputs ?? {} };
  const named = Object.entries(detail).map(([path, { inputDiff }]) => {
    const segments = parsePath(path);
    const old = inputDiff ? before?.inputs : (before?.outputs ?? before?.inputs);
    return {
      segments,
      sides: {
        before: at(old, segments) ?? at(before?.inputs, segments),
        after: at(after?.inputs, segments),
      },
    };
  });
  if (named.length > 0) return named;
  const keysOfEngine = [...changedKeys, ...replaceKeys];
  const keys =
    keysOfEngine.length > 0 ? keysOfEngine : [...Object.keys(inputs.before), ...Object.keys(inputs.after)];
  return (
    [...new Set(keys)]
      .filter((key) => !INTERNAL.has(key))
      .map((key) => ({
        segments: [key],
        sides: { before: inputs.before[key], after: inputs.after[key] },
      }))
      // Two masks look alike: whether the secret changed is known only where the provider says so.
      .filter(({ sides }) => keysOfEngine.length > 0 || !isDeepStrictEqual(sides.before, sides.after))
  );
}

/** `isLeaf`: an object called `credentials` is no secret by its name; what is in it is judged by itself. */
type IsSecret = (segments: Segments, isLeaf: boolean) => boolean;

/** Secret on one side is secret on every side: an output may repeat in clear what an input hides. */
function secretFinder({ before, after }: Step): IsSecret {
  const trees = [before?.inputs, before?.outputs, after?.inputs, after?.outputs];
  return (segments, isLeaf) => {
    const last = segments.at(-1);
    if (isLeaf && typeof last === "string" && isSecretProperty(last)) return true;
    const prefixes = segments.map((_, index) => segments.slice(0, index + 1));
    return prefixes.some((prefix) => trees.some((tree) => isMarkedSecret(at(tree, prefix))));
  };
}

type Leaf = Pick<PropertyChange, "before" | "after"> & { readonly segments: Segments };

function leaves(segments: Segments, { before, after }: Sides, isSecret: IsSecret): Leaf[] {
  if (isSecret(segments, !isTree(before) && !isTree(after))) {
    return [{ segments, before: hide(before), after: hide(after) }];
  }
  if (isTree(before) && isTree(after) && Array.isArray(before) === Array.isArray(after)) {
    return keysOf(before, after).flatMap((key) =>
      leaves([...segments, key], { before: at(before, [key]), after: at(after, [key]) }, isSecret),
    );
  }
  if (isKnownText(before) && isKnownText(after)) {
    return before === after ? [] : [{ segments, ...showTexts(before, after) }];
  }
  const shown = { before: show(segments, before, isSecret), after: show(segments, after, isSecret) };
  return isDeepStrictEqual(shown.before, shown.after) ? [] : [{ segments, ...shown }];
}

function isKnownText(value: unknown): value is string {
  return typeof value === "string" && !UNKNOWN.has(value);
}

function hide(value: unknown): Shown {
  return value === undefined || value === null ? { kind: "none" } : { kind: "secret" };
}

/** Long texts are shown by the lines that differ. */
function showTexts(before: string, after: string): { before: Shown; after: Shown } {
  if (!before.includes("\n") && !after.includes("\n")) {
    return { before: { kind: "text", lines: [before] }, after: { kind: "text", lines: [after] } };
  }
  const changed = diff(before.split("\n"), after.split("\n"));
  const side = (mark: number): Shown => {
    const lines = changed.filter(([operation]) => operation === mark).map(([, line]) => line.trim());
    return lines.length === 0 ? { kind: "none" } : { kind: "text", lines };
  };
  return { before: side(1), after: side(-1) };
}

function show(segments: Segments, value: unknown, isSecret: IsSecret): Shown {
  if (value === undefined || value === null) return { kind: "none" };
  if (isMarkedSecret(value) || isSecret(segments, !isTree(value))) return { kind: "secret" };
  if (typeof value !== "string")
    return { kind: "text", lines: [JSON.stringify(plain(segments, value, isSecret))] };
  return UNKNOWN.has(value) ? { kind: "unknown" } : { kind: "text", lines: value.split("\n") };
}

/** The value as JSON shows it, its secrets masked. */
function plain(segments: Segments, value: unknown, isSecret: IsSecret): unknown {
  if (isMarkedSecret(value) || isSecret(segments, !isTree(value))) return MASK;
  if (isSpecial(value)) return "[special]";
  if (typeof value === "string") return UNKNOWN.has(value) ? "[known after deployment]" : value;
  if (Array.isArray(value)) return value.map((item, index) => plain([...segments, index], item, isSecret));
  if (!isTree(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name]) => !INTERNAL.has(name))
      .map(([name, item]) => [name, plain([...segments, name], item, isSecret)]),
  );
}

function listed(inputs: Record<string, unknown>, side: keyof Sides, isSecret: IsSecret): PropertyChange[] {
  return Object.entries(inputs)
    .filter(([name, value]) => !INTERNAL.has(name) && value !== null)
    .map(([name, value]) => {
      const shown = show([name], value, isSecret);
      const none: Shown = { kind: "none" };
      const sides = side === "after" ? { before: none, after: shown } : { before: shown, after: none };
      return { path: renderPath([name]), ...sides, replaces: false };
    });
}

/** Whether the engine's mark says that the object stands for something else. */
function isSpecial(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && SIGNATURE_KEY in value;
}

export function isMarkedSecret(value: unknown): boolean {
  return value === MASK || (isSpecial(value) && value[SIGNATURE_KEY] === SECRET_SIGNATURE);
}

function isTree(value: unknown): value is Record<string, unknown> | readonly unknown[] {
  return typeof value === "object" && value !== null && !isSpecial(value);
}

function keysOf(before: object, after: object): (string | number)[] {
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys]
    .filter((key) => !INTERNAL.has(key))
    .map((key) => (Array.isArray(before) ? Number(key) : key));
}

/** Whether the value, or a part of it, is one that the engine does not know yet. */
export function hasUnknown(value: unknown): boolean {
  if (typeof value === "string") return UNKNOWN.has(value);
  return isTree(value) && Object.values(value).some(hasUnknown);
}

/** Whether both are the same, except where the planned one is not known yet and the deployed one was. */
export function isSameButUnknown(deployed: unknown, planned: unknown): boolean {
  if (!isTree(planned) && hasUnknown(planned)) return deployed !== undefined;
  if (!isTree(deployed) || !isTree(planned)) return isDeepStrictEqual(deployed, planned);
  return keysOf(deployed, planned).every((key) => isSameButUnknown(at(deployed, [key]), at(planned, [key])));
}

export function at(tree: unknown, segments: Segments): unknown {
  return segments.reduce<unknown>((value, segment) => {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, segment)) return undefined;
    return (value as Record<string | number, unknown>)[segment];
  }, tree);
}

/** `a.b[0]["c.d"]` → a, b, 0, c.d */
export function parsePath(path: string): Segments {
  const parts = path.matchAll(/\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|([^.[\]]+)/g);
  return [...parts].map(([, index, quoted, name]) => {
    if (index !== undefined) return Number(index);
    return quoted === undefined ? (name ?? "") : quoted.replace(/\\(.)/g, "$1");
  });
}

function renderPath(segments: Segments): string {
  return segments.reduce<string>((path, segment) => {
    if (typeof segment === "number") return `${path}[${segment}]`;
    if (/[.[\]"]/.test(segment)) return `${path}[${JSON.stringify(segment)}]`;
    return path === "" ? segment : `${path}.${segment}`;
  }, "");
}
