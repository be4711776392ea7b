/** What a rule between settings judges, and what it finds. */
import type { Commands, SettingPath } from "./config-command.ts";
import type { SectionName, Sections } from "./settings-schema.ts";

export interface Problem {
  readonly path: SettingPath;
  /** Everything after the path. */
  readonly text: string;
}

export interface Judged {
  /** Name of the stack. */
  readonly stack: string;
  /** The settings as given, without empty ones, for rules about whether a setting is present. */
  readonly given: Readonly<Record<string, unknown>>;
  /** The sections that are valid. */
  readonly sections: { readonly [Name in SectionName]?: Sections[Name] | undefined };
  readonly commands: Commands;
}

export function at(value: unknown, ...path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, key) => (typeof inner === "object" && inner !== null ? Reflect.get(inner, key) : undefined),
    value,
  );
}

export function has(value: unknown, ...path: readonly PropertyKey[]): boolean {
  return at(value, ...path) !== undefined;
}
