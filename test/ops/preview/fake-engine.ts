/** A stand-in for the Pulumi CLI that plays a recorded run, in a checkout of its own. */
import { execFile, spawn } from "node:child_process";
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { diffText, eventLog, savedPlan, type Recording } from "./recorded.ts";

const CLI = fileURLToPath(new URL("../../../ops/main.ts", import.meta.url));

export interface Play {
  readonly recording: Recording;
  /** Replaces the recorded texts. */
  readonly events?: string;
  readonly diff?: string;
  /** What the CLI prints on standard error as it fails. */
  readonly stderr?: string;
  /** What it prints there until `pulumi cancel` is called. */
  readonly locked?: string;
  readonly secrets?: Readonly<Record<string, string>>;
}

export interface Call {
  readonly args: readonly string[];
  readonly debugCommands: string;
}

export interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Engine {
  /** Folder of the stand-in, for PATH. */
  readonly bin: string;
  /** A git checkout with one commit. */
  readonly project: string;
  calls(): Promise<readonly Call[]>;
  play(what: Play): Promise<void>;
  /** Runs our command line in the checkout. */
  run(args: readonly string[], environment?: Readonly<Record<string, string>>): Promise<Run>;
  close(): Promise<void>;
}

// It understands only what a preview asks, and fails for everything else.
const PROGRAM = `#!${process.execPath}
const { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");
const args = process.argv.slice(2);
const at = (name) => join(__dirname, name);
const option = (name) => args[args.indexOf(name) + 1];
appendFileSync(at("calls"), JSON.stringify({ args, debugCommands: process.env.PULUMI_DEBUG_COMMANDS ?? "" }) + "\\n");
const fail = (text) => {
  process.stderr.write(text);
  process.exitCode = 255;
};
if (args[0] === "cancel") rmSync(at("locked"), { force: true });
else if (args[0] === "config") process.stdout.write(readFileSync(at("settings")));
else if (args[0] === "stack" && args[1] === "ls") {
  process.stdout.write(JSON.stringify([{ name: "test", current: true, lastUpdate: "2026-11-21T07:06:22.814Z" }]));
} else if (args[0] === "stack" && args[1] === "output") process.stdout.write("{}");
else if (args[0] === "preview" && existsSync(at("locked"))) fail(readFileSync(at("locked"), "utf8"));
else if (args[0] === "preview") {
  writeFileSync(option("--event-log"), readFileSync(at("events")));
  process.stdout.write(readFileSync(at("diff")));
  if (existsSync(at("stderr"))) fail(readFileSync(at("stderr"), "utf8"));
  else writeFileSync(option("--save-plan"), readFileSync(at("plan")));
} else throw new Error("unexpected: pulumi " + args.join(" "));
`;

export async function startEngine(first: Play): Promise<Engine> {
  const folder = await mkdtemp(join(tmpdir(), "fake-engine-"));
  const [bin, project] = [join(folder, "bin"), join(folder, "project")];
  await mkdir(bin);
  await mkdir(project);
  await writeFile(join(bin, "package.json"), '{ "type": "commonjs" }');
  await writeFile(join(bin, "pulumi"), PROGRAM);
  await chmod(join(bin, "pulumi"), 0o755);
  await writeFile(join(bin, "plan"), savedPlan());
  await commit(project);
  const engine: Engine = {
    bin,
    project,
    async calls() {
      const lines = (await readFile(join(bin, "calls"), "utf8")).trim().split("\n");
      return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Call);
    },
    async play({ recording, events, diff, stderr, locked, secrets = {} }) {
      await writeFile(join(bin, "calls"), "");
      await writeFile(join(bin, "events"), events ?? eventLog(recording));
      await writeFile(join(bin, "diff"), diff ?? diffText(recording));
      await writeFile(join(bin, "settings"), JSON.stringify(settings(secrets)));
      for (const [name, text] of Object.entries({ stderr, locked })) {
        if (text === undefined) await rm(join(bin, name), { force: true });
        else await writeFile(join(bin, name), text);
      }
    },
    run: (args, environment = {}) =>
      new Promise((resolve, reject) => {
        const child = spawn(process.execPath, [CLI, ...args], {
          cwd: project,
          env: { PATH: `${bin}:/usr/bin:/bin`, HOME: folder, ...environment },
          stdio: ["ignore", "pipe", "pipe"],
        });
        const printed = { stdout: "", stderr: "" };
        for (const stream of ["stdout", "stderr"] as const) {
          child[stream].setEncoding("utf8").on("data", (text: string) => (printed[stream] += text));
        }
        child.on("error", reject);
        child.on("close", (code) => resolve({ code, ...printed }));
      }),
    close: () => rm(folder, { recursive: true }),
  };
  await engine.play(first);
  return engine;
}

function settings(secrets: Readonly<Record<string, string>>) {
  const values = Object.entries(secrets).map(([name, value]) => [name, { secret: true, value }]);
  return {
    "technicia:domain": { secret: false, value: "test.technicia.example" },
    ...Object.fromEntries(values),
  } as object;
}

/** One commit, by whoever runs the tests. */
async function commit(project: string): Promise<void> {
  const git = (...args: string[]) =>
    promisify(execFile)("git", ["-c", "user.name=test", "-c", "user.email=test@technicia.example", ...args], {
      cwd: project,
    });
  await writeFile(join(project, "Pulumi.yaml"), "name: technicia\n");
  await git("init", "--quiet");
  await git("add", ".");
  await git("commit", "--quiet", "--message", "Begin");
}
