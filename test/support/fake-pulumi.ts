/** A fake of the Pulumi CLI that understands nothing: it gives the answer that a test names for the first words of a command. */
import { spawn } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { readFailure, type Pulumi } from "../../ops/engine/cli.ts";

const CLI = fileURLToPath(new URL("../../ops/main.ts", import.meta.url));

export interface Answer {
  readonly stdout?: string;

  /** Makes the command fail. */
  readonly stderr?: string;

  /** Written to `--event-log`. */
  readonly events?: string;

  /** Written to `--save-plan` when the command succeeds. */
  readonly plan?: string;

  /** Printed as an error instead of everything else until `pulumi cancel` is called. */
  readonly locked?: string;
}

/** First words of a command → the answer. */
export type Answers = Readonly<Record<string, Answer>>;

export interface Call {
  readonly args: readonly string[];
  readonly input: string;
  readonly debugCommands: string;
}

export interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** In this process: calls are kept, and an answer may depend on the calls before it. */
export function fakePulumi(answer: (args: readonly string[]) => Answer) {
  const calls: string[][] = [];
  const pulumi: Pulumi = async ({ args, environment = {} }) => {
    calls.push([...args]);
    const { stdout = "", stderr, events } = answer(args);
    const log = args.indexOf("--event-log");
    if (log >= 0 && environment["PULUMI_DEBUG_COMMANDS"] !== "true")
      throw new Error("unknown flag: --event-log");
    if (events !== undefined) await writeFile(args[log + 1] ?? "", events);
    if (stderr !== undefined) throw readFailure(args, { stdout, stderr });
    return stdout;
  };
  return { pulumi, calls };
}

const PROGRAM = `#!${process.execPath}
const { appendFileSync, existsSync, readFileSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");
const args = process.argv.slice(2);
const at = (name) => join(__dirname, name);
const option = (name) => args[args.indexOf(name) + 1];
const call = { args, input: readFileSync(0, "utf8"), debugCommands: process.env.PULUMI_DEBUG_COMMANDS ?? "" };
appendFileSync(at("calls"), JSON.stringify(call) + "\\n");
const answers = JSON.parse(readFileSync(at("answers"), "utf8"));
const key = Object.keys(answers).find((words) => args.join(" ").startsWith(words));
if (args[0] === "cancel") writeFileSync(at("cancelled"), "");
else if (key === undefined) throw new Error("unexpected: pulumi " + args.join(" "));
else {
  const given = answers[key];
  const isLocked = given.locked !== undefined && !existsSync(at("cancelled"));
  const { stdout = "", stderr, events, plan } = isLocked ? { stderr: given.locked } : given;
  if (events !== undefined) writeFileSync(option("--event-log"), events);
  process.stdout.write(stdout);
  if (stderr !== undefined) {
    process.stderr.write(stderr);
    process.exitCode = 255;
  } else if (plan !== undefined) writeFileSync(option("--save-plan"), plan);
}
`;

/** Puts a `pulumi` into a folder for PATH. */
export async function installPulumi(bin: string) {
  await writeFile(join(bin, "package.json"), '{ "type": "commonjs" }');
  await writeFile(join(bin, "pulumi"), PROGRAM);
  await chmod(join(bin, "pulumi"), 0o755);
  return {
    /** Forgets the calls before it. */
    async answer(answers: Answers): Promise<void> {
      await writeFile(join(bin, "calls"), "");
      await rm(join(bin, "cancelled"), { force: true });
      await writeFile(join(bin, "answers"), JSON.stringify(answers));
    },
    async calls(): Promise<readonly Call[]> {
      const lines = (await readFile(join(bin, "calls"), "utf8")).split("\n").filter((line) => line !== "");
      return lines.map((line) => JSON.parse(line) as Call);
    },
  };
}

/** Runs our command line with a fake Pulumi CLI that prints these values as JSON; without answers there is no CLI at all. */
export async function runCli(
  args: readonly string[],
  answers?: Readonly<Record<string, unknown>>,
  /** Folders that follow on PATH. */
  path = "",
): Promise<Run & { readonly calls: readonly Call[] }> {
  const bin = await mkdtemp(join(tmpdir(), "fake-pulumi-"));
  try {
    const options = { cwd: dirname(dirname(CLI)), env: { PATH: `${bin}:${path}` } };
    if (!answers) return { ...(await runMain(args, options)), calls: [] };
    const pulumi = await installPulumi(bin);
    await pulumi.answer(
      Object.fromEntries(Object.entries(answers).map(([words, value]) => [words, answerOf(value)])),
    );
    const run = await runMain(args, options);
    return { ...run, calls: await pulumi.calls() };
  } finally {
    await rm(bin, { recursive: true });
  }
}

function answerOf(value: unknown): Answer {
  const { stderr } = (value ?? {}) as { readonly stderr?: string };
  return stderr === undefined ? { stdout: JSON.stringify(value) } : { stderr };
}

/** Runs `ops/main.ts`. */
export function runMain(
  args: readonly string[],
  { cwd, env }: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
): Promise<Run> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, ...args], { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
    const printed = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"] as const) {
      child[stream].setEncoding("utf8").on("data", (text: string) => (printed[stream] += text));
    }
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, ...printed }));
  });
}
