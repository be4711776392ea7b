import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { check, resolveConfig } from "prettier";
import { afterEach, expect } from "vitest";

const folders: string[] = [];

afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
});

/** A folder that the test's end takes away. */
export async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "documents-"));
  folders.push(folder);
  return folder;
}

/** What `npm run check` asks of a committed document. */
export async function expectFormatted(text: string): Promise<void> {
  const options = await resolveConfig(new URL("../../docs/x.md", import.meta.url).pathname);
  expect(await check(text, { ...options, parser: "markdown" })).toBe(true);
}
