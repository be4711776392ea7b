/** The SHA-256 of every archive, as GitHub recorded it when its makers published the release. */
import { z } from "zod";

import { UserError } from "../../common/user-error.ts";
import { fetchArchive, sha256 } from "./install.ts";
import type { Lock, Tool } from "./tools.ts";

const API = "https://api.github.com";

const release = z.object({
  assets: z.array(z.object({ name: z.string(), digest: z.string().nullish() })),
});

/** Asks for each archive; every one that cannot be had is reported. */
export async function makeLock(
  tools: readonly Tool[],
  request: { readonly fetch: typeof fetch; readonly token: string | undefined },
): Promise<Lock> {
  const entries: [archive: string, sha256: string][] = [];
  const problems: string[] = [];
  for (const tool of tools) {
    try {
      entries.push([tool.archive, await digestOf(tool, request)]);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      problems.push(error.message);
    }
  }
  if (problems.length > 0) throw new UserError([...new Set(problems)].join("\n"));
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function digestOf(
  tool: Tool,
  { fetch, token }: { readonly fetch: typeof globalThis.fetch; readonly token: string | undefined },
): Promise<string> {
  const url = `${API}/repos/${tool.repository}/releases/tags/v${tool.version}`;
  const headers = {
    accept: "application/vnd.github+json",
    ...(token ? { authorization: `Bearer ${token}` } : {}),
  };
  const answer = await fetch(url, { headers }).catch((error: unknown) => {
    throw new UserError(
      `${url}: no answer (${(error as Error).message}); check that this machine can reach it`,
    );
  });
  if (!answer.ok) {
    throw new UserError(
      `${url}: expected a release, got status ${answer.status}; check the version, or set GITHUB_TOKEN if GitHub limits you`,
    );
  }
  const found = release.safeParse(await answer.json()).data?.assets.find(({ name }) => name === tool.archive);
  if (!found)
    throw new UserError(
      `${url}: expected the file ${tool.archive} among its assets, got none; use another version`,
    );
  const digest = /^sha256:([0-9a-f]{64})$/.exec(found.digest ?? "")?.[1];
  // Releases from before June 2025 have no digest.
  return digest ?? sha256(await fetchArchive(tool, fetch));
}
