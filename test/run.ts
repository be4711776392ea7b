/**
 * Everything that CI checks, the set-up included. Prints the totals as its last line; exits 1 when anything failed.
 *
 *   npm test                 all of it
 *   npm test -- parts        without the end-to-end suite
 *   npm test -- end-to-end   that suite alone
 *   npm test -- long         what takes an hour: every drift, every interruption, every failure, the runbook; CI runs it every night
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, statSync } from "node:fs";
import { getPriority, setPriority, tmpdir } from "node:os";
import { join, relative } from "node:path";
import { createInterface } from "node:readline";
import { inspect } from "node:util";

import { aptCommand } from "../rehearsal/apt.ts";
import { UserError } from "../common/user-error.ts";
import { run } from "../common/run.ts";
import { ensureDocker } from "../rehearsal/docker.ts";
import { prepareEngine } from "../rehearsal/engine/prepare.ts";
import { prepareImages } from "../rehearsal/images/build.ts";
import { publishImages } from "../rehearsal/images/publish.ts";

const ROOT = join(import.meta.dirname, "..");

/** The longest way to the end is the engine's building and then the rehearsal: what runs beside them takes what they leave. */
const YIELDING = 5;
const totals = { passed: 0, failed: 0, skipped: 0 };

function say(text: string): void {
  console.log(`[${new Date().toISOString().slice(11, 19)}] ${text}`);
}

/** Runs one check that has no runner of its own; it counts as one test. */
async function check(name: string, command: string, args: readonly string[]): Promise<void> {
  const began = Date.now();
  const run = await collect(command, args, { yields: true });
  const seconds = ((Date.now() - began) / 1000).toFixed(1);
  if (run.status === 0) {
    totals.passed += 1;
    say(`✓ ${name} (${seconds} s)`);
    return;
  }
  totals.failed += 1;
  say(`✗ ${name} (${seconds} s)\n${run.printed}`);
}

/** Runs a program to its end and keeps what it printed; `onLine` is told each line as it comes. */
function collect(
  command: string,
  args: readonly string[],
  { yields, onLine }: { readonly yields: boolean; readonly onLine?: (line: string) => void },
): Promise<{ readonly status: number | null; readonly printed: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
    if (yields && child.pid !== undefined) setPriority(child.pid, Math.min(getPriority() + YIELDING, 19));
    let printed = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => (printed += text));
      if (onLine !== undefined) createInterface({ input: stream }).on("line", onLine);
    }
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, printed }));
  });
}

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly numFailedTestSuites: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

/** Runs one vitest project and adds its totals. A file that could not be loaded counts as one failure. */
async function suite(project: string, { isRehearsal }: { readonly isRehearsal: boolean }): Promise<void> {
  const file = join(mkdtempSync(join(tmpdir(), "technicia-test-")), "report.json");
  // A file of rehearsals takes minutes: each of its tests is told when it ends.
  const reporter = isRehearsal ? "verbose" : "default";
  const reporters = [`--reporter=${reporter}`, "--reporter=json", `--outputFile.json=${file}`];
  // Two suites run at once: each line says whose it is.
  const onLine = (line: string) => {
    if (line.trim() !== "") console.log(`${project} | ${line}`);
  };
  const args = ["run", "--project", project, ...reporters];
  const run = await collect("vitest", args, { yields: !isRehearsal, onLine });
  let report: Report;
  try {
    report = JSON.parse(readFileSync(file, "utf8")) as Report;
  } catch {
    totals.failed += 1;
    say(`✗ ${project}: vitest wrote no report (exit code ${run.status ?? "none"})`);
    return;
  }
  const results = report.testResults.flatMap(({ assertionResults }) => assertionResults);
  const unloaded = report.testResults.filter(
    (result) => result.status === "failed" && result.assertionResults.length === 0,
  );
  totals.passed += report.numPassedTests;
  totals.failed += report.numFailedTests + unloaded.length;
  totals.skipped += report.numPendingTests + report.numTodoTests;
  for (const result of results.filter(({ status }) => status !== "passed" && status !== "failed")) {
    say(`skipped: ${result.fullName}`);
  }
  // Unhandled errors fail the run without failing a test; none may pass unseen.
  if (run.status !== 0 && report.numFailedTests + unloaded.length === 0) {
    totals.failed += 1;
    say(`✗ ${project}: vitest ended with ${run.status ?? "a signal"} although no test failed`);
  }
}

/** Every shell file of the project, by its name or its first line. */
function shellFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory())
      return ["node_modules", ".git", ".rehearsal"].includes(entry.name) ? [] : shellFiles(path);
    if (!entry.isFile() || statSync(path).size > 200_000) return [];
    const isShell =
      entry.name.endsWith(".sh") || /^#!.*\b(ba)?sh\b/.test(readFileSync(path, "utf8").slice(0, 80));
    return isShell ? [relative(ROOT, path)] : [];
  });
}

async function requireShellcheck(): Promise<void> {
  if (spawnSync("shellcheck", ["--version"]).status === 0) return;
  say("installing shellcheck …");
  await run(aptCommand(["shellcheck"]));
}

/** Makes everything that is installed or built, and keeps it for the next time. */
async function setUp(): Promise<void> {
  // The compiler needs the processor and nothing else of this; the others mostly wait for package registries.
  const made = await Promise.allSettled([
    prepareEngine({ progress: say }),
    ensureDocker({ progress: say })
      .then(() => prepareImages({ progress: say }))
      .then((images) => publishImages(images, { progress: say })),
  ]);
  for (const part of made) if (part.status === "rejected") throw part.reason;
}

const wanted = process.argv.slice(2);
const includes = (part: string) => (wanted.length === 0 ? part !== "long" : wanted.includes(part));

/** What needs nothing of the set-up. */
async function plainParts(): Promise<void> {
  if (!includes("parts")) return;
  await requireShellcheck();
  await check("formatting (prettier)", "prettier", ["--check", "."]);
  await check("lint (eslint)", "eslint", ["."]);
  await check("types (tsc)", "tsc", ["--noEmit"]);
  await check("shell scripts (shellcheck)", "shellcheck", shellFiles(ROOT));
  await suite("parts", { isRehearsal: false });
}

async function rehearsed(): Promise<void> {
  if (includes("end-to-end")) await suite("end-to-end", { isRehearsal: true });
  if (includes("long")) await suite("long", { isRehearsal: true });
}

/** Runs one part of the whole; whatever ends it, the others go on and the last line tells the totals. */
async function guarded(what: string, work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    totals.failed += 1;
    say(`✗ ${what}: ${error instanceof UserError ? error.message : inspect(error)}`);
    return false;
  }
}

const plain = guarded("parts", plainParts);
const isReady = await guarded("set-up", setUp);
const rehearsal = isReady && guarded("rehearsal", rehearsed);
await plain;
if (isReady && includes("parts"))
  await guarded("parts in containers", () => suite("containers", { isRehearsal: false }));
await rehearsal;
if (wanted.length === 0)
  say("long tests (*.long.test.ts) did not run: npm test -- long runs them, and so does CI every night");

const skipped = totals.skipped === 0 ? "" : `, ${totals.skipped} skipped`;
console.log(`${totals.passed} passed, ${totals.failed} failed${skipped}`);
process.exitCode = totals.failed === 0 ? 0 : 1;
