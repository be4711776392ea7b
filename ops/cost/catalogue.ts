/** OVH's public catalogue of servers, read once a day on each machine; it needs no key. */
import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import { z } from "zod";

import { cacheFolder } from "../../common/cache-folder.ts";
import { UserError } from "../../common/user-error.ts";
import { OvhClient } from "../../provider/ovh/client.ts";
import { OvhError } from "../../provider/ovh/errors.ts";
import { readCatalogue, type Catalogue } from "../../provider/ovh/order/catalog.ts";

/** A preview must not wait longer for a price. */
const TIMEOUT_MS = 10_000;

export interface CatalogueRequest {
  readonly endpoint: string;

  /** Country whose prices apply, `FR`. */
  readonly subsidiary: string;

  readonly now: Date;
  readonly fetch: typeof fetch;

  /** Folder of what was read before. @default the user's cache */
  readonly folder?: string | undefined;
}

export interface DatedCatalogue {
  readonly catalogue: Catalogue;
  readonly subsidiary: string;

  /** When it was read, `2026-11-24` in UTC. */
  readonly day: string;
}

/** Why the catalogue could not be read; a price that nobody knows is never 0. */
export interface NoCatalogue {
  readonly why: string;
}

const plan = z.looseObject({
  planCode: z.string(),
  pricings: z.array(
    z.looseObject({
      mode: z.string(),
      capacities: z.array(z.string()),
      interval: z.number(),
      intervalUnit: z.string(),
      price: z.number(),
    }),
  ),
});

/** Of what is read of it. */
const shape = z.looseObject({
  locale: z.looseObject({ currencyCode: z.string() }),
  plans: z.array(plan.extend({ configurations: z.array(z.unknown()), addonFamilies: z.array(z.unknown()) })),
  addons: z.array(plan),
});

export async function catalogueOf(request: CatalogueRequest): Promise<DatedCatalogue | NoCatalogue> {
  const { endpoint, subsidiary, now, fetch, folder = join(cacheFolder(), "cost") } = request;
  const day = now.toISOString().slice(0, 10);
  const key = createHash("sha256").update(`${endpoint}\0${subsidiary}`).digest("hex").slice(0, 16);
  const file = join(folder, `catalogue-${key}.json`);
  const kept = await readKept(file, day);
  if (kept !== undefined) return { catalogue: kept, subsidiary, day };
  try {
    const client = new OvhClient({
      endpoint,
      credentials: { kind: "none" },
      attempts: 1,
      timeoutMs: TIMEOUT_MS,
      fetch,
    });
    const catalogue = await readCatalogue(client, subsidiary);
    const problem = problemOf(catalogue, subsidiary);
    if (problem !== undefined) return { why: problem };
    // Without a place to keep it, it is read again the next time.
    await keep(file, { day, catalogue }).catch(() => undefined);
    return { catalogue, subsidiary, day };
  } catch (error) {
    if (!(error instanceof OvhError) && !(error instanceof UserError)) throw error;
    return { why: `OVH's catalogue could not be read: ${error.message}` };
  }
}

function problemOf(catalogue: Catalogue, subsidiary: string): string | undefined {
  if (!shape.safeParse(catalogue).success)
    return `expected OVH's catalogue of ${subsidiary}, got an answer of another form`;
  const { currencyCode } = catalogue.locale;
  return currencyCode === "EUR" ? undefined : `OVH bills ${subsidiary} in ${currencyCode}, not in euros`;
}

/** Undefined where nothing was read today. */
async function readKept(file: string, today: string): Promise<Catalogue | undefined> {
  const text = await readFile(file, "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const { day, catalogue } = JSON.parse(text) as { day?: string; catalogue?: Catalogue };
    return day === today && shape.safeParse(catalogue).success ? catalogue : undefined;
  } catch {
    return undefined;
  }
}

async function keep(file: string, content: Pick<DatedCatalogue, "day" | "catalogue">): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const written = `${file}.${randomUUID()}`;
  await writeFile(written, JSON.stringify(content));
  // Another command may be reading it.
  await rename(written, file);
}
