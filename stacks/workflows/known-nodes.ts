/** What a version of n8n knows: `node-list.ts` writes the lists. */
import { readdir, readFile } from "node:fs/promises";

import { z } from "zod";

import type { Problem } from "./problem.ts";

const list = z.strictObject({
  n8n: z.string(),
  sources: z.array(z.string()),

  /** Type → its versions. */
  nodes: z.record(z.string(), z.array(z.number())),

  /** Type → field → whether the editor hides its value. */
  credentials: z.record(z.string(), z.record(z.string(), z.enum(["secret", "plain"]))),
});

export type KnownNodes = z.output<typeof list>;

const FOLDER = new URL("known/", import.meta.url);

export async function readKnownNodes(version: string): Promise<KnownNodes> {
  return list.parse(JSON.parse(await readFile(new URL(`${version}.json`, FOLDER), "utf8")));
}

/** The list for the image that the settings pin; without one, a problem that says how to write it. */
export async function knownNodesOf(image: string): Promise<KnownNodes | Problem> {
  const [, version = ""] = /:(\d+\.\d+\.\d+)(?:[@-]|$)/.exec(image) ?? [];
  const versions = (await readdir(FOLDER)).map((file) => file.replace(/\.json$/, "")).sort();
  if (versions.includes(version)) return await readKnownNodes(version);
  const write = `write the list of another one with npx node stacks/workflows/node-list.ts ${version === "" ? "<version>" : version}`;
  const text = `expected a version of n8n whose nodes are known here (${versions.join(", ")}), got ${image}; ${write}`;
  return { path: "technicia:images.n8n", text };
}
