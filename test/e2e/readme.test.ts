/** Runs the commands of the README and of the English pages as they are written: one that breaks fails. */
import { cp, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { run } from "../../common/run.ts";
import { shellQuote } from "../../common/shell-quote.ts";
import { ROOT } from "../../rehearsal/addresses.ts";
import { RUNS } from "../documented-commands.ts";
import { ensureStarted, operator } from "./rehearsal.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), `technicia-readme "l'été" à $5 `));
  const listed = await run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], { cwd: ROOT });
  for (const file of listed.split("\n").filter((line) => line !== "")) {
    await cp(join(ROOT, file), join(folder, "checkout", file));
  }
  await symlink(join(ROOT, "node_modules"), join(folder, "checkout", "node_modules"));
  await ensureStarted();
});
afterAll(() => rm(folder, { recursive: true }));

describe("the documentation", () => {
  it.each(Object.entries(RUNS))("%s", async (command, { on, input, asks = false, codes = [0], says }) => {
    const environment: Record<string, string> =
      on === "new"
        ? {
            HOME: folder,
            PULUMI_BACKEND_URL: "",
            PULUMI_CONFIG_PASSPHRASE_FILE: "",
            PULUMI_CONFIG_PASSPHRASE: "of-the-readme",
          }
        : asks
          ? { PULUMI_SKIP_CONFIRMATIONS: "true" }
          : {};
    const place = on === "new" ? join(folder, "checkout") : ROOT;
    const run = await operator(["sh", "-c", `cd ${shellQuote(place)} && ${command}`], {
      environment,
      ...(input === undefined ? {} : { input }),
    });

    expect(codes, `${run.stdout}\n${run.stderr}`).toContain(run.code);
    if (says) expect(`${run.stdout}\n${run.stderr}`).toMatch(says);
  });
});
