import { spawn } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const CLI = fileURLToPath(new URL("../../ops/main.ts", import.meta.url));

export interface Call {
  readonly args: readonly string[];
  readonly input: string;
}

/** What the stand-in prints for a command that starts with these words; `{ stderr }` makes it fail with that. */
export type Answers = Readonly<Record<string, unknown>>;

export interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Everything that was asked of the Pulumi CLI, in order. */
  readonly calls: readonly Call[];
}

// It answers from a file and writes down what it was given; it understands nothing.
const PROGRAM = `#!${process.execPath}
const { appendFileSync, readFileSync } = require("node:fs");
const { join } = require("node:path");
const args = process.argv.slice(2);
const input = readFileSync(0, "utf8");
appendFileSync(join(__dirname, "calls"), JSON.stringify({ args, input }) + "\\n");
const answers = JSON.parse(readFileSync(join(__dirname, "answers"), "utf8"));
const key = Object.keys(answers).find((words) => args.join(" ").startsWith(words));
if (key === undefined) throw new Error("unexpected: pulumi " + args.join(" "));
const answer = answers[key];
if (answer === null || answer.stderr === undefined) process.stdout.write(JSON.stringify(answer));
else {
  process.stderr.write(answer.stderr);
  process.exitCode = 255;
}
`;

/** Runs our command line with a stand-in for the Pulumi CLI on PATH; without answers there is no CLI at all. */
export async function runCli(
  args: readonly string[],
  answers?: Answers,
  /** Folders that follow on PATH. */
  path = "",
): Promise<Run> {
  const folder = await mkdtemp(join(tmpdir(), "fake-pulumi-"));
  try {
    if (answers) {
      await writeFile(join(folder, "pulumi"), PROGRAM);
      await chmod(join(folder, "pulumi"), 0o755);
      await writeFile(join(folder, "answers"), JSON.stringify(answers));
    }
    await writeFile(join(folder, "package.json"), '{ "type": "commonjs" }');
    await writeFile(join(folder, "calls"), "");
    const outcome = await run(args, { folder, path });
    const calls = (await readFile(join(folder, "calls"), "utf8")).split("\n").filter((line) => line !== "");
    return { ...outcome, calls: calls.map((line) => JSON.parse(line) as Call) };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function run(
  args: readonly string[],
  { folder, path }: { readonly folder: string; readonly path: string },
): Promise<Omit<Run, "calls">> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, ...args], {
      env: { PATH: `${folder}:${path}` },
      cwd: dirname(dirname(CLI)),
      stdio: ["ignore", "pipe", "pipe"],
    });
    const printed = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"] as const) {
      child[stream].setEncoding("utf8").on("data", (text: string) => (printed[stream] += text));
    }
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, ...printed }));
  });
}
