import { describe, expect, it } from "vitest";

import { run, RunFailure, tryRun } from "../../common/run.ts";
import { UserError } from "../../common/user-error.ts";

const sh = (script: string) => ["sh", "-c", script];

describe("run", () => {
  it("returns what the program printed on its standard output", async () => {
    expect(await run(sh("echo out; echo err >&2"))).toBe("out\n");
  });

  it("gives the program its input, folder and variables", async () => {
    const options = { input: "typed", cwd: "/usr", environment: { COLOUR: "red", HOME: undefined } };

    expect(await run(sh('cat; pwd; echo "$COLOUR ${HOME-none}"'), options)).toBe("typed/usr\nred none\n");
  });

  it("judges a program that does not read its input by its exit code", async () => {
    expect(await run(sh("exec true"), { input: "x".repeat(1_000_000) })).toBe("");
  });

  it("throws the exit code and the last lines of standard error", async () => {
    const failing = run(sh("for n in $(seq 30); do echo line $n >&2; done; exit 3"));

    await expect(failing).rejects.toThrow(RunFailure);
    await expect(failing).rejects.toThrow(/expected exit code 0, got 3\nline 11\nline 12\n[^]*line 30$/);
  });

  it("throws the standard output of a program that printed nothing else", async () => {
    await expect(run(sh("echo reason; exit 1"))).rejects.toThrow("expected exit code 0, got 1\nreason");
  });

  it("tells the user that the program is missing", async () => {
    const missing = run(["no-such-program"]);

    await expect(missing).rejects.toThrow(UserError);
    await expect(missing).rejects.toThrow(
      "no-such-program: expected this program on PATH, got none; install it",
    );
    await expect(run(["no-such-program"], { missing: "install Go" })).rejects.toThrow("install Go");
  });

  it("does not take a missing folder for a missing program", async () => {
    const misplaced = run(["true"], { cwd: "/no-such-folder" });

    await expect(misplaced).rejects.toThrow("true: expected the folder /no-such-folder, got none");
    await expect(misplaced).rejects.not.toThrow(UserError);
  });
});

describe("tryRun", () => {
  it("returns the exit code and both streams", async () => {
    expect(await tryRun(sh("echo out; echo err >&2; exit 7"))).toEqual({
      code: 7,
      stdout: "out\n",
      stderr: "err\n",
    });
  });

  it("returns 128 and the signal's number when a signal ended the program", async () => {
    expect((await tryRun(sh("kill -TERM $$"))).code).toBe(143);
  });

  it("calls onLine with each line of both streams, also with a last one that is not ended", async () => {
    const lines: string[] = [];

    await tryRun(sh("printf 'one\\n\\nthree' ; sleep 0; printf 'err\\n' >&2"), {
      onLine: (line) => lines.push(line),
    });

    expect(lines.toSorted()).toEqual(["", "err", "one", "three"]);
  });

  it("interrupts the program when it is aborted, and waits for what it still does", async () => {
    const stop = new AbortController();
    const script = "trap 'echo saved; exit 4' INT; echo started; while :; do sleep 0.05; done";

    const ended = await tryRun(sh(script), { signal: stop.signal, onLine: () => stop.abort() });

    expect(ended).toMatchObject({ code: 4, stdout: "started\nsaved\n" });
  });

  it("sends another signal when it is asked to", async () => {
    const options = { signal: AbortSignal.abort(), stopWith: "SIGKILL" } as const;

    expect((await tryRun(["sleep", "60"], options)).code).toBe(137);
  });

  it("gives the program a process group of its own when it is asked to", async () => {
    const { stdout } = await tryRun(sh("echo $$; ps -o pgid= -p $$"), { ownGroup: true });

    const [own, group] = stdout.trim().split(/\s+/);
    expect(group).toBe(own);
  });

  it("interrupts everything in the program's own group, also behind a launcher that passes no signal on", async () => {
    const stop = new AbortController();
    const inner = "trap 'echo saved; exit 0' INT; echo started; while :; do sleep 0.05; done";
    const launcher = `require("node:child_process").spawn("sh", ["-c", ${JSON.stringify(inner)}], { stdio: "inherit" })`;

    const { stdout } = await tryRun([process.execPath, "--eval", launcher], {
      ownGroup: true,
      signal: stop.signal,
      onLine: () => stop.abort(),
    });

    expect(stdout).toBe("started\nsaved\n");
  });
});
