import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawn } from "node:child_process";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { until } from "../support/until.ts";

const ROOT = join(import.meta.dirname, "../..");

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "signals-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** As the command line runs a program: `script` is sh, behind a launcher that passes no signal on. */
function start(script: string) {
  const launcher = `
    const child = require("node:child_process").spawn("sh", ["-c", ${JSON.stringify(script)}], { stdio: "inherit" });
    child.on("exit", (code) => process.exit(code));`;
  const program = `
    import { tryRun } from ${JSON.stringify(join(ROOT, "common/run.ts"))};
    import { outlived } from ${JSON.stringify(join(ROOT, "rehearsal/signals.ts"))};
    const command = [process.execPath, "-e", ${JSON.stringify(launcher)}];
    const { code } = await outlived((onStart) => tryRun(command, { onStart, terminal: true }));
    process.exitCode = code;`;
  return spawn(process.execPath, ["--input-type=module", "--eval", program], {
    stdio: ["ignore", "inherit", "inherit"],
    detached: true,
    cwd: folder,
  });
}

const isThere = (name: string) => Promise.resolve(existsSync(join(folder, name)));

describe("the rehearsal's command line", () => {
  it("passes SIGTERM on to the program behind a launcher, once, and waits for its end", async () => {
    const child = start(
      "trap 'echo term >> signals; touch ending' TERM; touch runs; until test -e go; do sleep 0.05; done; exit 7",
    );
    const closed = once(child, "close");
    await until("the program runs", () => isThere("runs"));
    child.kill("SIGTERM");
    await until("the program ends", () => isThere("ending"));
    expect(child.exitCode).toBeNull();
    spawn("touch", [join(folder, "go")]);

    expect(await closed).toEqual([7, null]);
    expect(await readFile(join(folder, "signals"), "utf8")).toBe("term\n");
  });

  it("waits for the program after Ctrl-C, and sends it no second one", async () => {
    const child = start(
      "trap 'echo int >> signals; touch ending' INT; touch runs; until test -e go; do sleep 0.05; done; exit 7",
    );
    const closed = once(child, "close");
    await until("the program runs", () => isThere("runs"));
    // Without the launcher, which a terminal would end as well: what it does then is not ours.
    child.kill("SIGINT");
    spawn("touch", [join(folder, "go")]);

    expect(await closed).toEqual([7, null]);
    expect(await isThere("signals")).toBe(false);
  });
});
