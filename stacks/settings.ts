/** Checks a stack's settings and returns the `Environment`. It does without Pulumi's SDK, because the commands use it too. */
import { distance } from "fastest-levenshtein";
import type { z } from "zod";
import { isSecretKey, NAMESPACE, secretNames } from "../secrets/catalog.ts";
import { commandsFor, nameOf, type Commands, type SettingPath } from "./config-command.ts";
import type { Environment } from "./environment.ts";
import { movedSetting } from "./moved-settings.ts";
import type { Problem } from "./setting-rule.ts";
import { serversOf, sizeOf } from "./servers.ts";
import { brokenRules, knownAuthority, loginUserOf } from "./settings-rules.ts";
import { sections, type SectionName, type Sections } from "./settings-schema.ts";
import { shellWord } from "../common/shell-quote.ts";
import { UserError } from "../common/user-error.ts";
import { invisibleIn, quoteVisibly, withoutInvisible } from "../common/visible-text.ts";

export const settingNames = Object.keys(sections) as SectionName[];

/** Every problem of a stack's settings in one message, one line each. */
export class SettingsError extends UserError {
  override readonly name = "SettingsError";

  constructor(stack: string, problems: readonly string[]) {
    super(
      `the settings of stack "${stack}" have problems:\n${problems.map((problem) => `  ${problem}`).join("\n")}`,
    );
  }
}

/** The settings in the engine's configuration, whose keys have a namespace and whose structures are JSON. */
export function settingsIn(configuration: Readonly<Record<string, string>>): Record<string, unknown> {
  const settings: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(configuration)) {
    const [namespace, name] = key.split(":") as [string, string | undefined];
    // Skip secrets, because an error shows the value it got.
    if (namespace !== NAMESPACE || name === undefined || isSecretKey(name)) continue;
    settings[name] = /^\s*[{[]/.test(value) ? readStructure(value) : value;
  }
  return settings;
}

/** Checks settings, whose keys have no namespace, and returns the environment; throws a `SettingsError` with every problem. */
export function parseSettings(stack: string, values: Readonly<Record<string, unknown>>): Environment {
  const given = withoutBlanks(values) as Record<string, unknown>;
  const commands = commandsFor(stack);
  const problems: Problem[] = Object.keys(given)
    .filter((key) => !(key in sections))
    .map((key) => unknownSetting([key], [...settingNames, ...secretNames], commands));
  const parsed: Partial<Record<SectionName, unknown>> = {};

  for (const name of settingNames) {
    const result = sections[name].safeParse(given[name], { reportInput: true });
    if (result.success) parsed[name] = result.data;
    else
      problems.push(...result.error.issues.flatMap((issue) => problemsOf(name, issue, { stack, commands })));
  }
  const invisible = settingNames.flatMap((name) => invisibleTexts([name], given[name], commands));
  const places = new Set(invisible.map(({ path }) => nameOf(path)));
  const all = [
    // What the schema says of such a text would not show why.
    ...problems.filter(({ path }) => !places.has(nameOf(path))),
    ...invisible,
    ...brokenRules({ stack, given, sections: parsed as Partial<Sections>, commands }),
  ];
  if (all.length > 0) {
    throw new SettingsError(
      stack,
      all.map(({ path, text }) => `${nameOf(path)}: ${text}`),
    );
  }
  return toEnvironment(stack, parsed as Sections);
}

/** Texts with a character that nobody sees, which a copy from a page or from Windows brings along. */
function invisibleTexts(path: SettingPath, value: unknown, commands: Commands): Problem[] {
  if (typeof value === "string") {
    const found = invisibleIn(value);
    if (found === undefined) return [];
    const text = `expected a text without invisible characters, got ${describe(value)}, with ${found}; type it anew: ${commands.set(path)}`;
    return [{ path, text }];
  }
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    invisibleTexts([...path, Array.isArray(value) ? Number(key) : key], inner, commands),
  );
}

function toEnvironment(stack: string, settings: Sections): Environment {
  const { serviceName, order, ...server } = settings.server;
  const { acme } = settings;
  const servers = serversOf({ server: { ...server, serviceName, order }, servers: settings.servers });
  const [first] = servers;
  const { registry, registryUser, sources, ...images } = settings.images;
  return {
    ...settings,
    images,
    builds: { registry, registryUser, sources },
    name: stack,
    server: {
      ...server,
      ...sizeOf(first),
      ipv6: server.ipv6 ?? true,
      loginUser: loginUserOf({ ...server, image: first.image }),
      source: first.source,
    },
    servers,
    acme: { ...acme, trusted: knownAuthority(acme.directory)?.trusted ?? acme.trusted! },
  };
}

function problemsOf(
  section: SectionName,
  issue: z.core.$ZodIssue,
  { stack, commands }: { readonly stack: string; readonly commands: Commands },
): Problem[] {
  const path = [section, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    const known = knownKeysAt(path);
    return issue.keys.map((key) => unknownSetting([...path, key], known, commands));
  }
  const isMissingList =
    issue.code === "invalid_type" && issue.expected === "array" && issue.input === undefined;
  const better: unknown = issue.code === "custom" ? issue.params?.["better"] : undefined;
  const remedy = isMissingList
    ? `set its first with ${commands.set([...path, 0])}`
    : typeof issue.input === "object" || issue.message.startsWith("expected a map")
      ? `edit it in Pulumi.${stack}.yaml`
      : `set it with ${commands.set(path, typeof better === "string" ? shellWord(better) : undefined)}`;
  return [{ path, text: `${issue.message}, got ${describe(issue.input)}; ${remedy}` }];
}

function unknownSetting(path: SettingPath, known: readonly string[], commands: Commands): Problem {
  const moved = movedSetting(path, commands);
  if (moved !== undefined) return { path, text: moved };
  const nearest = suggest(String(path.at(-1)), known);
  const remedy = nearest ? `did you mean ${nearest}?` : `remove it with ${commands.remove(path)}`;
  return { path, text: `unknown setting; ${remedy}` };
}

/** The candidate that a misspelt word was probably meant to be: the first of the nearest, when it is near enough. */
function suggest(word: string, candidates: readonly string[]): string | undefined {
  const [best] = candidates
    .map((candidate) => ({ candidate, edits: distance(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits);
  return best && best.edits <= Math.max(1, Math.floor(word.length / 3)) ? best.candidate : undefined;
}

/** The keys that the schema has for the map at a path. */
function knownKeysAt([section, ...rest]: SettingPath): string[] {
  let schema: unknown = sections[section as SectionName];
  for (const key of [...rest, undefined]) {
    schema = unwrapped(schema);
    if (key === undefined) break;
    schema =
      typeof key === "number" ? (schema as { element: unknown }).element : shapeOf(schema)[String(key)];
  }
  return Object.keys(shapeOf(schema));
}

function shapeOf(schema: unknown): Record<string, unknown> {
  return (schema as { shape: Record<string, unknown> }).shape;
}

// A map that may be left out is wrapped: preprocess is a pipe whose `out` is the map; optional and default have `innerType`.
function unwrapped(schema: unknown): unknown {
  const definition = (schema as z.core.$ZodType)._zod.def as { out?: unknown; innerType?: unknown };
  const inner = definition.out ?? definition.innerType;
  return inner === undefined ? schema : unwrapped(inner);
}

/** A value as an error shows it; anything that could be a key or a token is described, not shown. */
function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (typeof value === "object") return "a map";
  if (typeof value !== "string") return JSON.stringify(value);
  const visible = withoutInvisible(value);
  if (visible.includes("PRIVATE KEY")) return "a private key";
  if (/(^|\/\/)[^/\s:]+:[^/\s]*@(?!sha256:)/.test(visible)) return "an address with a password";
  if (value.length > 80 || /^[\w+=-]{20,}$/.test(visible)) return `a text of ${value.length} characters`;
  return quoteVisibly(value);
}

/** Removes empty settings: `key:` in YAML, and the empty defaults in Pulumi.yaml, count as missing. */
function withoutBlanks(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutBlanks);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, inner]) => inner !== null && inner !== "")
      .map(([key, inner]) => [key, withoutBlanks(inner)]),
  );
}

function readStructure(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    // The schema then reports what it expected.
    return value;
  }
}
