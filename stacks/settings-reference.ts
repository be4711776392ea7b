/**
 * Writes what follows from the schema of the settings and the catalogue of secrets: the declarations in `Pulumi.yaml`, and `docs/settings.md`.
 *
 * `npm run settings` writes both; with `-- --check` it fails when a file differs.
 */
import { readFile, writeFile } from "node:fs/promises";

import { format } from "prettier";
import { Document, isMap, isScalar } from "yaml";
import { z } from "zod";

import { SERVICES, type ServiceName } from "../common/services.ts";
import { entryOf, NAMESPACE, secretNames } from "../secrets/catalog.ts";
import { describeRotation } from "../secrets/rotations.ts";
import { SERVERS_PAGE } from "./servers-page.ts";
import { sections } from "./settings-schema.ts";
import { renderShapes } from "./shapes.ts";

const PROJECT = "Pulumi.yaml";
const REFERENCE = "docs/settings.md";
const SHAPES = "docs/servers.md";

/** One setting or map of settings: JSON Schema with our own fields. */
interface Node {
  readonly type: string;
  readonly description?: string;
  readonly example?: unknown;
  readonly affects?: string;
  readonly default?: unknown;
  /** What the error for a wrong value says after "expected". */
  readonly expected?: string;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly required?: readonly string[];
  readonly items?: Node;
}

/** One line of the reference. */
export interface SettingRow {
  /** `ssh.admins[].name` */
  readonly key: string;
  readonly type: string;
  readonly default: string;
  readonly description: string;
  readonly example: unknown;
  readonly affects: string;
}

const settings = z.toJSONSchema(z.strictObject(sections), {
  io: "input",
  override: ({ zodSchema, jsonSchema }) => {
    const { error } = z.core.safeParse(zodSchema, undefined);
    const [issue] = error?.issues.filter(({ path }) => path.length === 0) ?? [];
    if (issue) Object.assign(jsonSchema, { expected: issue.message.replace(/^expected /, "") });
  },
}) as unknown as Node;

/** Every setting of a section, in the order of the schema. */
export function settingRows(section: string): SettingRow[] {
  return rowsOf({
    key: section,
    node: settings.properties![section]!,
    isRequired: settings.required!.includes(section),
  });
}

interface Place {
  readonly key: string;
  readonly node: Node;
  readonly isRequired: boolean;
  /** What the map around it affects. */
  readonly affects?: string;
}

function rowsOf({ key, node, isRequired, affects: around = "" }: Place): SettingRow[] {
  const affects = node.affects ?? serviceAt(key) ?? around;
  const row = (type: string): SettingRow => ({
    key,
    type,
    default: isRequired ? "required" : renderDefault(node.default),
    description: node.description ?? "",
    example: node.example,
    affects,
  });
  const { properties, required = [], items } = node;
  const inside = Object.entries(properties ?? {}).flatMap(([name, inner]) =>
    rowsOf({ key: `${key}.${name}`, node: inner, isRequired: required.includes(name), affects }),
  );
  if (properties) return isRequired ? inside : [row("a map"), ...inside];
  if (!items) return [row(typeOf(node))];
  const entries = items.properties ? rowsOf({ key: `${key}[]`, node: items, isRequired: true, affects }) : [];
  return [row(`a list, each ${items.properties ? "a map" : typeOf(items)}`), ...entries];
}

function typeOf({ expected = "" }: Node): string {
  return expected.replace(/, (such as|without a unit).*/, "");
}

/** `images.vectorStore` and `services.vectorStore` concern that service. */
function serviceAt(key: string): string | undefined {
  const [, name = ""] = /^(?:images|services)\.(\w+)$/.exec(key) ?? [];
  return name in SERVICES ? SERVICES[name as ServiceName].alias : undefined;
}

/** `Pulumi.yaml` with its declarations as the schema and the catalogue have them. */
export async function renderProject(current: string): Promise<string> {
  const declared = Object.entries(settings.properties!).map(([name, node]) => {
    const { type, description = "", properties, required = [] } = node;
    const keys = properties ? ` (${Object.keys(properties).join(", ")})` : "";
    const text = `${description.replace(/\.$/, "")}${keys}`;
    return [name, { type, ...emptyDefault(type, required), description: text }];
  });
  const secrets = secretNames.map((name) => [
    name,
    { secret: true, default: "", description: entryOf(name).description },
  ]);
  const document = new Document({ config: Object.fromEntries([...declared, ...secrets]) as object });
  const config = document.get("config");
  const first = isMap(config) ? config.items[declared.length]?.key : undefined;
  if (isScalar(first)) {
    first.spaceBefore = true;
    first.commentBefore = SECRETS_COMMENT;
  }
  const above = current.slice(0, current.indexOf("\nconfig:\n") + 1);
  return format(above + document.toString({ lineWidth: 110 }), { parser: "yaml", printWidth: 110 });
}

/** What stands for a setting that a stack leaves out; none where the engine has to demand it, because no value of its type is empty. */
function emptyDefault(
  type: string,
  required: readonly string[],
): { readonly default?: unknown; readonly items?: object } {
  if (type === "string") return { default: "" };
  // The engine demands to know what is in a list, and knows no maps with names.
  if (type === "array") return { items: { type: "object" }, default: [] };
  return type === "object" && required.length === 0 ? { default: {} } : {};
}

const SECRETS_COMMENT = ` Secrets: encrypted, never in clear. They have no type because the engine demands a value for every typed
 secret, also for the one of two alternatives that is not used; secrets/catalog.ts says which are required.`;

/** `docs/settings.md` */
export async function renderReference(): Promise<string> {
  const names = Object.keys(settings.properties!);
  const isMapOf = (name: string) => ["object", "array"].includes(settings.properties![name]!.type);
  const single = names.filter((name) => !isMapOf(name));
  const text = [
    INTRODUCTION,
    "## Single values",
    settingTable(single.flatMap(settingRows)),
    ...names
      .filter(isMapOf)
      .flatMap((name) => [
        `## ${name}`,
        settings.properties![name]!.description ?? "",
        settingTable(settingRows(name)),
      ]),
    "## Secrets",
    SECRETS,
    table([
      ["Name", "Meaning", "Given by", "Needed when", "Read by", "Rotation"],
      ...secretNames.map((name) => {
        const { description, givenBy, neededFor, readers } = entryOf(name);
        const conditions = Object.values(neededFor).map(({ words }) => words);
        return [
          `\`${name}\``,
          description,
          givenBy === "us" ? "`npm run secrets -- <stack> --init`" : "you",
          conditions.join(", or ") || "`credentials.yaml` of the workflows names it",
          readers.join(", "),
          describeRotation(name),
        ];
      }),
    ]),
  ].join("\n\n");
  return format(text, { parser: "markdown", printWidth: 110 });
}

/** `docs/servers.md` */
export function renderServers(): Promise<string> {
  return format(SERVERS_PAGE.replace("%TABLE%", renderShapes()), { parser: "markdown", printWidth: 110 });
}

const INTRODUCTION = `# Settings

<!-- Written by \`npm run settings\` from stacks/settings-schema.ts and secrets/catalog.ts: change those. -->

Every setting of an environment, as \`Pulumi.<stack>.yaml\` holds it under \`${NAMESPACE}:\`. Set one with
\`npx pulumi config set --path ${NAMESPACE}:<key> <value> --stack <stack>\`; put a key with square brackets in quotes, such as
\`'${NAMESPACE}:ssh.adminCidrs.v4[0]'\`. \`npm run preview -- <stack>\` reports every missing and every wrong setting at once, with the
command that fixes it.`;

const SECRETS = `Secrets are encrypted in \`Pulumi.<stack>.yaml\`. \`npm run secrets -- <stack>\` lists them and what is missing; set one with
\`npx pulumi config set --secret ${NAMESPACE}:<name> --stack <stack>\`.`;

function settingTable(rows: readonly SettingRow[]): string {
  return table([
    ["Key", "Type", "Default", "Meaning", "Example", "Affects"],
    ...rows.map((row) => [
      `\`${row.key}\``,
      row.type,
      ["required", "none"].includes(row.default) ? row.default : `\`${row.default}\``,
      row.description,
      row.example === undefined ? "" : code(row.example),
      row.affects,
    ]),
  ]);
}

function code(value: unknown): string {
  return `\`${typeof value === "string" ? value : JSON.stringify(value)}\``;
}

function table([head = [], ...rows]: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** An empty text stands for a value that is not there. */
function renderDefault(value: unknown): string {
  return value === undefined || value === "" ? "none" : JSON.stringify(value);
}

if (import.meta.main) {
  const root = new URL("../", import.meta.url);
  const project = await readFile(new URL(PROJECT, root), "utf8");
  const files = {
    [PROJECT]: await renderProject(project),
    [REFERENCE]: await renderReference(),
    [SHAPES]: await renderServers(),
  };
  for (const [name, text] of Object.entries(files)) {
    const file = new URL(name, root);
    if (!process.argv.includes("--check")) await writeFile(file, text);
    else if ((await readFile(file, "utf8").catch(() => "")) !== text) {
      console.error(`${name} differs from the schema of the settings; run npm run settings`);
      process.exitCode = 1;
    }
  }
}
