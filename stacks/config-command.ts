/** How errors name a setting, and the `pulumi config` commands that change it. */
import { NAMESPACE } from "../secrets/catalog.ts";

export type SettingPath = readonly PropertyKey[];

/** Renders the commands that set and remove one setting of a stack. */
export interface Commands {
  readonly set: (path: SettingPath, value?: string) => string;
  readonly remove: (path: SettingPath) => string;
}

export function commandsFor(stack: string): Commands {
  const key = (path: SettingPath) => {
    const name = nameOf(path);
    // Shells read square brackets as a pattern.
    return `${path.length > 1 ? "--path " : ""}${name.includes("[") ? `'${name}'` : name}`;
  };
  return {
    set: (path, value = "<value>") => `pulumi config set ${key(path)} ${value} --stack ${stack}`,
    remove: (path) => `pulumi config rm ${key(path)} --stack ${stack}`,
  };
}

/** `technicia:ssh.adminCidrs.v4[0]` */
export function nameOf(path: SettingPath): string {
  const [section, ...rest] = path;
  const inner = rest.map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`));
  return `${NAMESPACE}:${String(section)}${inner.join("")}`;
}
