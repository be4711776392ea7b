/**
 * Writes what a version of n8n knows into `known/<version>.json`: its types of nodes with their versions, and its types of credentials with
 * their fields. It reads the packages of the npm registry that this version of n8n is made of.
 *
 * `npx node stacks/workflows/node-list.ts 2.3.6`. Where the registry lacks one of these packages, another version of it can be named after that; the
 * list says which was read.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { format } from "prettier";
import { z } from "zod";

import { must } from "../../common/run.ts";
import { UserError } from "../../common/user-error.ts";

/** The packages with nodes that n8n's own image has. */
const PACKAGES = ["n8n-nodes-base", "@n8n/n8n-nodes-langchain"] as const;

const nodeDescription = z.looseObject({
  name: z.string(),
  version: z.union([z.number(), z.array(z.number())]),
});

const credentialDescription = z.looseObject({
  name: z.string(),
  extends: z.array(z.string()).optional(),
  properties: z.array(
    z.looseObject({
      name: z.string(),
      type: z.string(),
      typeOptions: z.looseObject({ password: z.boolean().optional() }).optional(),
    }),
  ),
});

/** Names of fields that hold nothing: texts that the editor shows between the others. */
const WITHOUT_VALUE = ["notice", "callout"];

/** What the packages say, as the list keeps it. */
export function listOf(
  name: string,
  given: { readonly nodes: unknown; readonly credentials: unknown },
): {
  readonly nodes: Readonly<Record<string, readonly number[]>>;
  readonly credentials: Readonly<Record<string, Readonly<Record<string, "secret" | "plain">>>>;
} {
  const versions = new Map<string, Set<number>>();
  for (const { name: node, version } of z.array(nodeDescription).parse(given.nodes)) {
    const known = versions.get(node) ?? new Set();
    versions.set(node, known);
    for (const one of [version].flat()) known.add(one);
  }
  const types = z.array(credentialDescription).parse(given.credentials);
  const fieldsOf = (type: string): Record<string, "secret" | "plain"> => {
    const found = types.find((one) => one.name === type);
    const own = (found?.properties ?? []).filter((field) => !WITHOUT_VALUE.includes(field.type));
    return Object.assign(
      {},
      ...(found?.extends ?? []).map(fieldsOf),
      Object.fromEntries(
        own.map((field) => [field.name, field.typeOptions?.password === true ? "secret" : "plain"]),
      ),
    ) as Record<string, "secret" | "plain">;
  };
  return {
    nodes: Object.fromEntries(
      sorted([...versions]).map(([node, known]) => [`${name}.${node}`, [...known].sort((a, b) => a - b)]),
    ),
    credentials: Object.fromEntries(sorted(types.map((type) => [type.name, fieldsOf(type.name)]))),
  };
}

function sorted<T>(entries: readonly (readonly [string, T])[]): (readonly [string, T])[] {
  return [...entries].sort(([a], [b]) => (a < b ? -1 : 1));
}

async function fetchPackage(name: string, folder: string): Promise<string> {
  const archive = (await must(["npm", "pack", "--silent", name], { cwd: folder })).trim().split("\n").at(-1);
  await must(["tar", "-xzf", archive!], { cwd: folder });
  return join(folder, "package");
}

async function write(version: string, instead: readonly string[]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "technicia-nodes-"));
  try {
    const manifest = z.object({ dependencies: z.record(z.string(), z.string()) });
    const read = async (file: string) => JSON.parse(await readFile(file, "utf8")) as unknown;
    const n8n = await fetchPackage(`n8n@${version}`, folder);
    const { dependencies } = manifest.parse(await read(join(n8n, "package.json")));
    const list = { n8n: version, sources: [] as string[], nodes: {}, credentials: {} };
    for (const name of PACKAGES) {
      const source = instead.find((one) => one.startsWith(`${name}@`)) ?? `${name}@${dependencies[name]}`;
      await rm(join(folder, "package"), { recursive: true });
      const types = join(await fetchPackage(source, folder), "dist", "types");
      const [nodes, credentials] = [
        await read(join(types, "nodes.json")),
        await read(join(types, "credentials.json")),
      ];
      const found = listOf(name, { nodes, credentials });
      list.sources.push(source);
      Object.assign(list.nodes, found.nodes);
      Object.assign(list.credentials, found.credentials);
    }
    const file = new URL(`known/${version}.json`, import.meta.url);
    await writeFile(file, await format(JSON.stringify(list), { parser: "json", printWidth: 110 }));
  } finally {
    await rm(folder, { recursive: true });
  }
}

if (import.meta.main) {
  const [version = "", ...instead] = process.argv.slice(2);
  const isOurs = (source: string) => PACKAGES.some((name) => source.startsWith(`${name}@`));
  if (!/^\d+\.\d+\.\d+$/.test(version) || !instead.every(isOurs))
    throw new UserError(
      "expected a version of n8n, and packages to take instead of those that it names, such as npx node stacks/workflows/node-list.ts 2.3.6",
    );
  await write(version, instead);
}
