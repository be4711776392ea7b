/** A question and an upload, hop by hop as a deployment's verification measures them, and a push of many workflows. */
import type { Check } from "../../common/check.ts";
import { parseJson } from "../../common/parse-json.ts";
import type { Operate } from "./floors.ts";
import { DELETE_COPIES, makeRepository, sourceWords } from "./many-workflows.ts";
import { judged, measure, type Measure } from "./measure.ts";
import type { Follow } from "./recovery.ts";
import { onServer } from "./server.ts";

/** Workflows of a push: those of the repository, and copies. */
const OURS = 5;
const WORKFLOWS = 20;

/** What people are promised, in seconds; a document of 100 pages may take 120. */
const HOPS: Readonly<Record<string, { readonly name: string; readonly limit?: number }>> = {
  uploadMs: { name: "upload, answered" },
  indexingMs: { name: "upload, indexed", limit: 120 },
  searchMs: { name: "question, search", limit: 1 },
  modelMs: { name: "question, language model (a double)" },
  ownMs: { name: "question, without the model", limit: 3 },
  answerMs: { name: "question, in all" },
};

export async function measureQuestions(operate: Operate, follow: Follow): Promise<Measure[]> {
  return [...(await measureHops(operate, follow)), ...(await measurePushes(operate))];
}

async function measureHops(operate: Operate, follow: Follow): Promise<Measure[]> {
  await operate(["npm", "run", "--silent", "deploy", "--", "test", "--yes"]);
  const lines: string[] = [];
  await follow(["npm", "run", "--silent", "history", "--", "test", "--json"], (line) => lines.push(line));
  const begin = lines.findIndex((line) => line.startsWith("{"));
  return hopsIn(parseJson(lines.slice(begin, lines.lastIndexOf("}") + 1).join("\n")));
}

/** What the last release has recorded, from `npm run history -- <stack> --json`. */
export function hopsIn(history: unknown): Measure[] {
  const { releases = [] } = (history ?? {}) as {
    releases?: readonly { readonly verify: readonly Check[] }[];
  };
  const check = releases.at(-1)?.verify.find(({ id }) => id === "performance-question");
  if (check?.measures === undefined)
    throw new Error("expected the last release to have measured a question; npm run history -- test");
  return Object.entries(HOPS).flatMap(([key, { name, limit }]): Measure[] => {
    const milliseconds = check.measures?.[key];
    if (milliseconds === undefined) return [];
    const measured = { name: `hop: ${name}`, seconds: milliseconds / 1000 };
    return [limit === undefined ? measured : judged(measured, limit)];
  });
}

async function measurePushes(operate: Operate): Promise<Measure[]> {
  const pulumi = (...args: string[]) => operate(["pulumi", "--non-interactive", "--stack", "test", ...args]);
  await using repository = await makeRepository(WORKFLOWS - OURS);
  const push = async (name: string, note: string) => {
    await pulumi(...sourceWords({ repository: repository.address, commit: await repository.commit(note) }));
    return await measure(name, {
      step: () => operate(["npm", "run", "--silent", "workflows", "--", "test", "push", "--yes"]),
    });
  };
  try {
    return [
      await push(`push of ${WORKFLOWS} workflows, ${WORKFLOWS - OURS} of them new`, "first"),
      await push(`push of ${WORKFLOWS} workflows, ${WORKFLOWS - OURS} of them changed`, "second"),
    ];
  } finally {
    await pulumi("config", "rm", "--path", "technicia:workflows.source");
    await onServer(DELETE_COPIES);
  }
}
