/** The tracking document during a deployment: a step is done once its resources exist, and never before. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { beforeAll, describe, expect, it } from "vitest";

import { STATE } from "../../rehearsal/addresses.ts";
import { npm, operator, until } from "./rehearsal.ts";

const DOCUMENT = join(STATE, "docs", "deployment-tracking.md");
const FIRST = "Installation OS";
const LAST = "Exécution du script de déploiement";

/** Status words of the two steps, as the document of the environment Test has them. */
async function report(): Promise<{ readonly first: string; readonly last: string }> {
  const { code, stderr } = await operator(["npm", "run", "--silent", "report"]);
  if (code !== 0) throw new Error(stderr);
  const text = await readFile(DOCUMENT, "utf8");
  const table = text.slice(text.indexOf("Environnement de Test"), text.indexOf("Environnement de Staging"));
  const status = (step: string) =>
    new RegExp(`^\\| - ${step} +\\| ([^|]+?) +\\|`, "m").exec(table)?.[1] ?? "";
  return { first: status(FIRST), last: status(LAST) };
}

beforeAll(async () => {
  await npm("run", "rehearsal:stop");
});

describe("npm run report", () => {
  it("reports the steps before, during and after a deployment", async () => {
    let hasEnded = false;
    const starting = npm("start").finally(() => (hasEnded = true));

    const seen: Awaited<ReturnType<typeof report>>[] = [];
    await until("the first report", async () => seen.push(await report()) > 0, 120);
    while (!hasEnded) seen.push(await report());
    const { code, stderr } = await starting;
    expect(code, stderr).toBe(0);
    const after = await report();

    const told = JSON.stringify(seen);
    expect(seen[0], told).toEqual({ first: "Non commencé", last: "Non commencé" });
    expect(
      seen.some(({ first, last }) => first === "Complété" && last !== "Complété"),
      told,
    ).toBe(true);
    expect(after).toEqual({ first: "Complété", last: "Complété" });
  });
});
