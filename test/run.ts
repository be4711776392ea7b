/**
 * Everything that CI checks, the set-up included. Prints the totals as its last line; exits 1 when anything failed.
 *
 *   npm test                  everything but the long tests
 *   npm test -- parts         without the end-to-end suite
 *   npm test -- end-to-end    that suite alone
 *   npm test -- long          all long tests: every drift, every interruption, every failure, the runbook
 *   npm test -- long <part>   one part of them, at most an hour; CI runs each part every night
 */
import { mkdtempSync, readdirSync, readFileSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { inspect } from "node:util";

import { type Ended, run, tryRun } from "../common/run.ts";
import { UserError } from "../common/user-error.ts";
import { aptCommand } from "../rehearsal/apt.ts";
import { ensureDocker } from "../rehearsal/docker.ts";
import { prepareEngine } from "../rehearsal/engine/prepare.ts";
import { prepareImages } from "../rehearsal/images/build.ts";
import { publishImages } from "../rehearsal/images/publish.ts";
import { LONG_PARTS } from "./long-parts.ts";

const ROOT = join(import.meta.dirname, "..");
const SUITES = ["parts", "end-to-end", "long"];

/** The engine's building and then the rehearsal take longest. What runs meanwhile gets only the processor time that they leave. */
const YIELDING = ["nice", "-n", "5"];
const totals = { passed: 0, failed: 0, skipped: 0 };

/** What failed, named once more at the end: two suites print at the same time, and a log may be cut to its last lines. */
const failures: string[] = [];

/**
 * Ctrl-C reaches the programs by themselves, because a terminal sends it to all of them; SIGTERM is passed on. Either way this process waits for
 * them, begins no other one, and reports.
 */
const stop = new AbortController();
let isStopped = false;
process
  .on("SIGINT", () => (isStopped = true))
  .on("SIGTERM", () => {
    isStopped = true;
    stop.abort();
  });

const ENDED_BY_SIGNAL = { signal: stop.signal, stopWith: "SIGTERM" } as const;

interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

interface Suite {
  /** Project of vitest. */
  readonly project: string;

  /** Beginnings of paths. @default all files of the project */
  readonly files?: readonly string[];
}

function print(text: string): void {
  console.log(`[${new Date().toISOString().slice(11, 19)}] ${text}`);
}

function fail(text: string): void {
  totals.failed += 1;
  failures.push(firstLine(text));
  print(`✗ ${text}`);
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? "";
}

/** Runs one check that has no runner of its own; it counts as one test. */
async function check(name: string, command: readonly string[]): Promise<void> {
  if (isStopped) return fail(`${name}: interrupted`);
  const began = Date.now();
  const { code, stdout, stderr } = await tryRun([...YIELDING, ...command], { cwd: ROOT, ...ENDED_BY_SIGNAL });
  const timed = `${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`;
  if (code !== 0) return fail(`${timed}\n${stdout}${stderr}`);
  totals.passed += 1;
  print(`✓ ${timed}`);
}

/** Runs a suite at the same time as the rehearsal. */
function runPlainSuite(suite: Suite): Promise<void> {
  return runSuite(suite, { reporter: "default", before: YIELDING });
}

/** Runs a suite of rehearsals. Its files take minutes, so each test is reported when it ends. */
function runRehearsedSuite(suite: Suite): Promise<void> {
  return runSuite(suite, { reporter: "verbose", before: [] });
}

async function runSuite(
  { project, files = [] }: Suite,
  { reporter, before }: { readonly reporter: string; readonly before: readonly string[] },
): Promise<void> {
  if (isStopped) return fail(`${project}: interrupted`);
  const file = join(mkdtempSync(join(tmpdir(), "technicia-test-")), "report.json");
  const reporters = [`--reporter=${reporter}`, "--reporter=json", `--outputFile.json=${file}`];
  const ended = await tryRun([...before, "vitest", "run", "--project", project, ...reporters, ...files], {
    cwd: ROOT,
    ...ENDED_BY_SIGNAL,
    // Two suites run at the same time: each line says whose it is.
    onLine: (line) => {
      if (line.trim() !== "") console.log(`${project} | ${line}`);
    },
  });
  const report = readReport(file);
  if (report === undefined) return fail(`${project}: vitest wrote no report (exit code ${ended.code})`);
  count(report, { project, ended });
}

function readReport(file: string): Report | undefined {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Report;
  } catch {
    return undefined;
  }
}

/** Adds a suite's totals. A file that could not be loaded counts as one failure. */
function count(
  report: Report,
  { project, ended }: { readonly project: string; readonly ended: Ended },
): void {
  const results = report.testResults.flatMap(({ name, assertionResults }) =>
    assertionResults.map((result) => ({ ...result, file: relative(ROOT, name) })),
  );
  const unloaded = report.testResults.filter(
    (result) => result.status === "failed" && result.assertionResults.length === 0,
  );
  totals.passed += report.numPassedTests;
  totals.failed += report.numFailedTests + unloaded.length;
  totals.skipped += report.numPendingTests + report.numTodoTests;
  for (const result of results.filter(({ status }) => status !== "passed" && status !== "failed")) {
    print(`skipped: ${result.fullName}`);
  }
  for (const { file, fullName, failureMessages } of results.filter(({ status }) => status === "failed")) {
    failures.push(`${file}: ${fullName}: ${firstLine(failureMessages[0] ?? "")}`);
  }
  for (const { name, message } of unloaded) failures.push(`${relative(ROOT, name)}: ${firstLine(message)}`);
  // Unhandled errors end vitest with a failure that no test has.
  if (ended.code !== 0 && report.numFailedTests + unloaded.length === 0) {
    fail(`${project}: vitest ended with ${ended.code} although no test failed`);
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
  const isInstalled = await tryRun(["shellcheck", "--version"]).then(
    () => true,
    () => false,
  );
  if (isInstalled) return;
  print("installing shellcheck …");
  await run(aptCommand(["shellcheck"]));
}

/** Installs and builds everything, and keeps it for the next run. */
async function setUp(): Promise<void> {
  // The compiler needs only the processor; the others mostly wait for package registries.
  const made = await Promise.allSettled([
    prepareEngine({ progress: print }),
    ensureDocker({ progress: print })
      .then(() => prepareImages({ progress: print }))
      .then((images) => publishImages(images, { progress: print })),
  ]);
  for (const part of made) if (part.status === "rejected") throw part.reason;
}

/** What needs nothing of the set-up. */
async function runPlainParts(): Promise<void> {
  await requireShellcheck();
  await check("formatting (prettier)", ["prettier", "--check", "."]);
  await check("lint (eslint)", ["eslint", "."]);
  await check("types (tsc)", ["tsc", "--noEmit"]);
  await check("shell scripts (shellcheck)", ["shellcheck", ...shellFiles(ROOT)]);
  await runPlainSuite({ project: "parts" });
}

/** Runs one part of the whole. The others go on when it throws, and the totals count a failure. */
async function guarded(what: string, work: () => Promise<void>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    fail(`${what}: ${error instanceof UserError ? error.message : inspect(error)}`);
    return false;
  }
}

/** What the arguments ask for: suites, and of the long tests perhaps one part. */
function readWanted(args: readonly string[]): { suites: readonly string[]; files: readonly string[] } {
  if (args.length === 0) return { suites: ["parts", "end-to-end"], files: [] };
  const [suite, part = "", ...rest] = args;
  const files = LONG_PARTS[part];
  if (suite === "long" && files !== undefined && rest.length === 0) return { suites: ["long"], files };
  if (args.every((arg) => SUITES.includes(arg))) return { suites: args, files: [] };
  throw new UserError(
    `npm test: expected ${SUITES.join(", ")} or long <${Object.keys(LONG_PARTS).join("|")}>, got "${args.join(" ")}"`,
  );
}

async function main(args: readonly string[]): Promise<void> {
  const { suites, files } = readWanted(args);
  const hasParts = suites.includes("parts");
  const plain = hasParts && guarded("parts", runPlainParts);
  const isReady = await guarded("set-up", setUp);
  const rehearsed =
    isReady &&
    guarded("rehearsal", async () => {
      if (suites.includes("end-to-end")) await runRehearsedSuite({ project: "end-to-end" });
      if (suites.includes("long")) await runRehearsedSuite({ project: "long", files });
    });
  // Most of their time is waiting, which leaves the processor to the others.
  const contained =
    isReady && hasParts && guarded("parts in containers", () => runPlainSuite({ project: "containers" }));
  await Promise.all([plain, contained, rehearsed]);
  if (args.length === 0) {
    print("long tests (*.long.test.ts) did not run: npm test -- long runs them, and so does CI every night");
  }
}

try {
  await main(process.argv.slice(2));
  for (const failure of failures) console.log(`✗ ${failure}`);
  const skipped = totals.skipped === 0 ? "" : `, ${totals.skipped} skipped`;
  console.log(`${totals.passed} passed, ${totals.failed} failed${skipped}`);
  process.exitCode = totals.failed === 0 ? 0 : 1;
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
