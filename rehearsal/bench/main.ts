/**
 * Measures the deployment on this machine, next to what nobody can be faster than.
 *
 *   npm run bench             with warm caches
 *   npm run bench -- --cold   also from empty caches, which are then built again
 *   npm run bench -- backups  only one part: starts, commands, deployments, questions, changes, backups or monitoring
 */
import { rm } from "node:fs/promises";
import { parseArgs } from "node:util";

import Table from "cli-table3";

import { cacheFolder } from "../../common/cache-folder.ts";
import { run } from "../../common/run.ts";
import { ROOT } from "../addresses.ts";
import { docker } from "../docker.ts";
import { prepareEngine } from "../engine/prepare.ts";
import { runAsOperator } from "../run-as-operator.ts";
import { measureBackups } from "./backups.ts";
import { measureChanges } from "./changes.ts";
import { measureOneResource, type Operate, startPlainly } from "./floors.ts";
import { judged, measure, type Measure } from "./measure.ts";
import { measureMonitoring } from "./monitoring.ts";
import { measureQuestions } from "./questions.ts";
import type { Follow } from "./recovery.ts";
import { measureUnderTraffic } from "./traffic.ts";

/** Commands that take seconds are run this many times, and the median counts. */
const TIMES = 5;

/** What the policy pack may add to a preview. */
const POLICY_SECONDS = 1.5;

async function measureStarts({ isCold }: { readonly isCold: boolean }): Promise<Measure[]> {
  const start = (name: string) => measure(name, { step: () => npm("start") });
  await npm("run", "rehearsal:stop");
  const measures: Measure[] = [];
  if (isCold) {
    await emptyCaches();
    measures.push(await start("nothing → HTTPS, cold caches"));
    await npm("run", "rehearsal:stop");
  }
  measures.push(judged(await start("nothing → HTTPS, warm caches"), 90));
  return [...measures, await start("second npm start")];
}

/** Commands that change nothing. */
async function measureQuietCommands(operate: Operate): Promise<Measure[]> {
  const several = (name: string, step: () => Promise<void>) => measure(name, { step, times: TIMES });
  const pulumi = pulumiWith(operate);
  const floor = await measureOneResource(operate, TIMES);
  const up = await measure("second up", { step: () => pulumi("up", "--yes", "--skip-preview") });
  const preview = await several("quiet preview", () => pulumi("preview", "--expect-no-changes"));
  const refresh = await several("floor: refresh of this stack", () =>
    pulumi("refresh", "--preview-only", "--expect-no-changes"),
  );
  const drift = await several("drift check", () => operate(npmRun("drift", "test")));
  return [
    floor,
    up,
    // The floor's program has no policy pack.
    judged(preview, 2 * floor.seconds + POLICY_SECONDS),
    refresh,
    // Docker's plugin sleeps for two seconds in each refresh, so the refresh itself is the floor.
    judged(drift, 1.3 * refresh.seconds),
  ];
}

async function measureDeployments(operate: Operate): Promise<Measure[]> {
  const pulumi = pulumiWith(operate);
  const release = (version: string) =>
    pulumi("config", "set", "--path", "technicia:images.vectorStore", `technicia/vector-store:${version}`);
  const deploy = () => operate(npmRun("deploy", "test", "--yes"));

  await release("1.0.1");
  const bare = await measureUnderTraffic("rollout of one service", () =>
    pulumi("up", "--yes", "--skip-preview"),
  );
  await release("1.0.0");
  const gated = await measureUnderTraffic("npm run deploy, of one service", deploy);
  await release("1.0.3-faulty");
  const rolledBack = await measureUnderTraffic("npm run deploy, rolled back", () =>
    // Exit code 4: the previous release runs again.
    deploy().catch(expectCode(4)),
  );
  const plain = await measure("floor: the same containers by a plain script", { step: startPlainly });
  const gates = { name: "  of which gates", seconds: gated.seconds - bare.seconds };
  return [bare, gated, gates, rolledBack, plain];
}

async function npm(...args: string[]): Promise<void> {
  await run(["npm", ...args], { cwd: ROOT });
}

function npmRun(script: string, ...args: string[]): string[] {
  return ["npm", "run", "--silent", script, "--", ...args];
}

/** Runs commands as the operator of the stack `test`. */
async function readyOperator(): Promise<Operate> {
  const engine = await prepareEngine({ progress: () => undefined });
  return async (command, environment = {}) => {
    const { code, stdout, stderr } = await runAsOperator(command, { stack: "test", engine, environment });
    if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}\n${stdout}\n${stderr}`);
  };
}

/** The same, of which each line is seen, and whose code is the result. */
async function readyFollower(): Promise<Follow> {
  const engine = await prepareEngine({ progress: () => undefined });
  return async (command, onLine) => (await runAsOperator(command, { stack: "test", engine, onLine })).code;
}

function pulumiWith(operate: Operate): (...args: string[]) => Promise<void> {
  return (...args) => operate(["pulumi", "--non-interactive", "--stack", "test", ...args]);
}

function expectCode(code: number): (error: Error) => void {
  return (error) => {
    if (!error.message.includes(`ended with ${code}`)) throw error;
  };
}

async function emptyCaches(): Promise<void> {
  await rm(cacheFolder(), { recursive: true, force: true });
  const listed = await docker(["images", "--filter", "reference=technicia-rehearsal/*", "--quiet"]);
  const images = new Set(listed.split("\n").filter((id) => id !== ""));
  if (images.size > 0) await docker(["rmi", "--force", ...images]);
  await docker(["volume", "rm", "--force", "technicia-rehearsal-registry"]);
}

function renderTable(measures: readonly Measure[]): string {
  const table = new Table({
    head: ["what", "seconds", "peak MiB", "ssh logins", "failed requests", "target"],
    style: { head: [], border: [] },
  });
  for (const { name, seconds, peakMib, logins, requests, target } of measures) {
    const time = Number.isNaN(seconds) ? "-" : seconds.toFixed(1);
    table.push([name, time, peakMib ?? "-", logins ?? "-", requests ?? "-", target ?? ""]);
  }
  return table.toString();
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { cold: { type: "boolean", default: false } },
});
const PARTS = {
  starts: () => measureStarts({ isCold: values.cold }),
  commands: async () => measureQuietCommands(await readyOperator()),
  deployments: async () => measureDeployments(await readyOperator()),
  questions: async () => measureQuestions(await readyOperator(), await readyFollower()),
  changes: async () => measureChanges(await readyOperator()),
  backups: async () => measureBackups(await readyOperator()),
  monitoring: async () => measureMonitoring(await readyOperator(), await readyFollower()),
};
const unknown = positionals.filter((name) => !Object.hasOwn(PARTS, name));
if (unknown.length > 0)
  throw new Error(`expected parts out of ${Object.keys(PARTS).join(", ")}, got ${unknown.join(", ")}`);

const measures: Measure[] = [];
for (const [name, part] of Object.entries(PARTS))
  if (positionals.length === 0 || positionals.includes(name)) measures.push(...(await part()));
console.log(renderTable(measures));
