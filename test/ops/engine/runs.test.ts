import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { startOf } from "../../../common/is-alive.ts";
import { PulumiFailure, pulumiOnPath } from "../../../ops/engine/cli.ts";
import { findRun, noteRun, runsFolder } from "../../../ops/engine/runs.ts";
import { BIN, fillCache } from "./launcher.ts";

const NOW = Date.parse("2026-11-21T06:00:00.400+01:00");

let folder: string;
let engine: ChildProcess;
let pid: number;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "runs-"));
  engine = spawn("sleep", ["60"]);
  await once(engine, "spawn");
  pid = engine.pid!;
});

afterEach(async () => {
  engine.kill();
  await rm(folder, { recursive: true });
});

/** The second in which the run started: the lock's own time has no fractions. */
const lock = (changed: object = {}) => ({ stack: "test", pid, since: NOW - 400, ...changed });

const note = () => noteRun({ stack: "test", pid, now: NOW }, folder);

async function killEngine(): Promise<void> {
  engine.kill("SIGKILL");
  await once(engine, "exit");
}

describe("findRun", () => {
  it("knows a run of ours while it runs, and after it was killed", async () => {
    note();

    expect(findRun(lock(), folder)).toBe("running");
    await killEngine();
    expect(findRun(lock(), folder)).toBe("ended");
  });

  it("knows nothing of a run that has ended by itself", () => {
    const noteEnd = note();
    noteEnd();

    expect(findRun(lock(), folder)).toBeUndefined();
  });

  it.each([
    ["a process number that no run of ours had", { pid: 1 }],
    ["a run of another stack", { stack: "prod" }],
    ["a lock that is older than the run", { since: NOW - 60_000 }],
  ])("does not take for ours %s", async (_what, changed) => {
    note();
    await killEngine();

    expect(findRun(lock(changed), folder)).toBeUndefined();
  });

  it("does not take for ours a run of another container or boot that shares this home and this host's name", async () => {
    note();
    await killEngine();
    const [file = ""] = await readdir(folder);
    const text = await readFile(join(folder, file), "utf8");
    await writeFile(join(folder, file), text.replace(/pid:\[\d+\]/, "pid:[1]"));

    expect(findRun(lock(), folder)).toBeUndefined();
  });

  it("takes another process that has the number of a run now for the end of the run", async () => {
    note();
    const [file = ""] = await readdir(folder);
    const text = await readFile(join(folder, file), "utf8");
    await writeFile(join(folder, file), text.replace(`"${startOf(pid) ?? ""}"`, '"1"'));

    expect(findRun(lock(), folder)).toBe("ended");
  });

  it("ignores a note that is half written, and a folder that is not there", async () => {
    await writeFile(join(folder, "1-1.json"), "{");

    expect(findRun(lock(), folder)).toBeUndefined();
    expect(findRun(lock(), join(folder, "none"))).toBeUndefined();
  });
});

describe("pulumiOnPath", () => {
  afterEach(() => vi.unstubAllEnvs());

  it("notes the engine itself, also behind npm's launcher, and its end", async () => {
    vi.stubEnv("PULUMI_HOME", folder);
    vi.stubEnv("XDG_STATE_HOME", folder);
    vi.stubEnv("PATH", `${BIN}:${process.env["PATH"] ?? ""}`);
    const seen = join(folder, "seen");
    await fillCache(
      folder,
      `until ls "${runsFolder(process.env)}" | grep json > "${seen}"; do sleep 0.05; done; echo $$ >> "${seen}"; exit 1`,
    );

    await expect(pulumiOnPath({ args: ["up", "--stack", "test"] })).rejects.toThrow(PulumiFailure);
    const [file, number] = (await readFile(seen, "utf8")).split("\n");
    expect(file).toMatch(new RegExp(`^${number ?? ""}-\\d+\\.json$`));
    expect(await readdir(runsFolder(process.env))).toEqual([]);
  });
});
