import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { describe, expect, it } from "vitest";

import {
  findBeginning,
  readEnding,
  renderRequest,
  SHELL,
  type Ending,
  type Program,
} from "../../../provider/ssh/remote-shell.ts";
import { shellQuote } from "../../../common/shell-quote.ts";

interface LocalShell {
  /** Sends a request and waits for the answers on both outputs. */
  run(
    script: string,
    given?: Partial<Program>,
  ): Promise<{ readonly stdout: Ending; readonly stderr: Ending }>;

  /** Sends a request, or a part of one, and waits for the text. */
  sendUntil(text: string, request: string): Promise<void>;

  /** Ends the input and waits for the exit; gives the standard output and the exit code. */
  end(): Promise<{ readonly stdout: Buffer; readonly code: number }>;
}

/** The shell that otherwise runs on the host, here. */
function startShell(): LocalShell {
  const shell = spawn("bash", ["-s"]);
  const output = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
  for (const name of ["stdout", "stderr"] as const) {
    shell[name].on("data", (chunk: Buffer) => (output[name] = Buffer.concat([output[name], chunk])));
  }
  const ended = once(shell, "close");
  const endingOn = async (name: "stdout" | "stderr", mark: string): Promise<Ending> => {
    for (;;) {
      const ending = readEnding(output[name], mark);
      if (ending !== undefined) return ending;
      await once(shell[name], "data");
    }
  };
  shell.stdin.write(SHELL);
  return {
    async run(script, { mark = "m", ...given } = {}) {
      shell.stdin.write(renderRequest({ script, variables: {}, stdin: undefined, mark, ...given }));
      const [stdout, stderr] = await Promise.all([endingOn("stdout", mark), endingOn("stderr", mark)]);
      return { stdout, stderr };
    },
    async sendUntil(text, request) {
      shell.stdin.write(request);
      while (!output.stdout.includes(text)) await once(shell.stdout, "data");
    },
    async end() {
      shell.stdin.end();
      const [code] = (await ended) as [number];
      return { stdout: output.stdout, code };
    },
  };
}

const request = (script: string): string =>
  renderRequest({ script, variables: {}, stdin: undefined, mark: "m" });

describe("remote shell", () => {
  it("gives a program its variables and its input, and returns both outputs and the exit code", async () => {
    const shell = startShell();

    const { stdout, stderr } = await shell.run('echo "$greeting"; cat; echo problem >&2; exit 3', {
      variables: { greeting: "it's" },
      stdin: "input",
    });

    expect(stdout).toEqual({ text: "it's\ninput", code: 3, leftProcessesRunning: false });
    expect(stderr).toEqual({ text: "problem\n", code: 3, leftProcessesRunning: false });
    expect((await shell.end()).code).toBe(0);
  });

  it("runs one program after the other, whatever the length of program and input", async () => {
    const shell = startShell();

    const long = await shell.run(`: ${"x".repeat(100_000)}\nwc -c`, { stdin: "y".repeat(100_000) });
    const short = await shell.run("wc -c", { stdin: "y", mark: "n" });

    expect(long.stdout.text.trim()).toBe("100000");
    expect(short.stdout.text.trim()).toBe("1");
    await shell.end();
  });

  it("runs nothing of a request that breaks off", async () => {
    const shell = startShell();
    const whole = request("echo half");

    await shell.sendUntil("", whole.slice(0, -1));

    expect(await shell.end()).toEqual({ stdout: Buffer.alloc(0), code: 125 });
  });

  it("reports processes that a program leaves running", async () => {
    const shell = startShell();

    const { stdout } = await shell.run("sleep 60 >/dev/null 2>&1 & echo $!");

    process.kill(Number(stdout.text));
    expect(stdout).toMatchObject({ code: 0, leftProcessesRunning: true });
    await shell.end();
  });

  it("stops a program and all it started when its input ends", async () => {
    const shell = startShell();
    await shell.sendUntil("begun", request("sleep 60 & echo $! begun; sleep 61"));

    const ending = readEnding((await shell.end()).stdout, "m");

    expect(ending).toMatchObject({ code: 143, leftProcessesRunning: false });
    expect(() => process.kill(Number(ending?.text.split(" ")[0]), 0)).toThrow("ESRCH");
  });
});

describe("shellQuote", () => {
  it.each(["plain", "it's", '$(id) `id` \\ "x" !!', "two\nlines\n", "", "é ü 漢", "-n", "*"])(
    "preserves the text %j in bash",
    (text) => {
      const { stdout } = spawnSync("bash", ["-c", `printf %s ${shellQuote(text)}`], { encoding: "utf8" });

      expect(stdout).toBe(text);
    },
  );
});

describe("readEnding", () => {
  it("returns nothing from before the beginning or after the end", () => {
    const output = Buffer.from("welcome\n\nm begin\nline\n\nm end 3 0\nlate");

    expect(readEnding(output, "m")).toEqual({ text: "line\n", code: 3, leftProcessesRunning: false });
  });

  it("returns nothing before the whole mark has arrived", () => {
    expect(readEnding(Buffer.from("\nm begin\nx\nm end 3"), "m")).toBeUndefined();
    expect(findBeginning(Buffer.from("\nm begi"), "m")).toBeUndefined();
  });
});
