/** How much language models were used by n8n's workflows: tokens of the last 30 days, as `npm run metrics` last read them on this machine. */
import { createHash } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import { z } from "zod";

import { cacheFolder } from "../../common/cache-folder.ts";
import type { Environment } from "../../stacks/environment.ts";
import { MONTH } from "./metric-values.ts";
import { parseAnswer, StoreRefused, type StoreCall, type Stores } from "./stores.ts";

const tokens = z.object({ input: z.number().nonnegative(), output: z.number().nonnegative() });
const usage = z.object({ at: z.iso.datetime(), models: z.record(z.string(), tokens) });

/** Tokens of each model over 30 days. */
export type Usage = z.output<typeof usage>;

const found = z.looseObject({
  data: z.looseObject({
    result: z.array(
      z.looseObject({
        metric: z.looseObject({ model: z.string(), stats_result: z.enum(["input", "output"]) }),
        value: z.tuple([z.number(), z.string()]),
      }),
    ),
  }),
});

/** The series counts the tokens of five minutes, and is absent where a model answered nothing. */
export const TOKENS = "sum by (model, stats_result) (default_rollup(model_tokens[1m]))";

/** Undefined where the store refuses. @throws StoreSilent where it does not answer */
export async function readUsage(stores: Pick<Stores, "askAll">, now: Date): Promise<Usage | undefined> {
  const call: StoreCall = {
    ...{ store: "metrics", path: "/api/v1/query" },
    form: {
      query: `sum_over_time((${TOKENS})[${MONTH.text}:5m])`,
      time: String(Math.floor(now.getTime() / 1000)),
    },
  };
  const [answer] = await stores.askAll([call]);
  if (answer instanceof StoreRefused) return undefined;
  if (typeof answer !== "string") throw answer as Error;
  const models: Record<string, { input: number; output: number }> = {};
  for (const { metric, value } of parseAnswer(call, { text: answer, shape: found }).data.result) {
    const model = (models[metric.model] ??= { input: 0, output: 0 });
    const count = Number(value[1]);
    if (Number.isFinite(count)) model[metric.stats_result] += Math.round(count);
  }
  return { at: now.toISOString(), models };
}

type Place = Pick<Environment, "name" | "domain">;

/** What was read last; undefined where nobody has read it. */
export async function knownUsage(place: Place): Promise<Usage | undefined> {
  const text = await readFile(fileOf(place), "utf8").catch(() => "");
  try {
    return usage.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

export async function noteUsage(place: Place, read: Usage): Promise<void> {
  const file = fileOf(place);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, JSON.stringify(read));
}

/** Stacks of one name with other domains, such as the rehearsal's, do not share it. */
function fileOf({ name, domain }: Place): string {
  const key = createHash("sha256").update([name, domain].join("\0")).digest("hex").slice(0, 16);
  return join(cacheFolder(), "cost", `usage-${name}-${key}.json`);
}
