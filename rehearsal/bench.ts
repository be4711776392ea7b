/**
 * Measures the deployment on this machine, beside what nobody can be faster than.
 *
 *   npm run bench             with warm caches
 *   npm run bench -- --cold   also from empty caches, which are then built again
 */
import { mkdtemp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import Table from "cli-table3";

import { cacheFolder } from "../common/cache-folder.ts";
import { domainOf } from "./stack-settings.ts";
import { docker } from "./docker.ts";
import { run } from "../common/run.ts";
import { type Engine, prepareEngine } from "./engine/prepare.ts";
import { countLogins, hangUp } from "./logins.ts";
import { runAsOperator } from "./run-as-operator.ts";
import { DATACENTRE, ROOT, STATE } from "./addresses.ts";
import { SERVER } from "./world.ts";

const SAMPLE_MS = 500;

/** What takes seconds is taken as often as this, one after the other, and its median counts. */
const TIMES = 5;

interface Measure {
  readonly name: string;
  readonly seconds: number;
  readonly peakMib: number;
  readonly logins: number | undefined;
  /** Requests that failed meanwhile, of those that were made. */
  readonly requests?: string;
  readonly target?: string;
}

const measures: Measure[] = [];

interface MeasureOptions {
  /** How often the step is run. @default 1 */
  readonly times?: number;
  readonly target?: (seconds: number) => string;
}

/** Runs one step and keeps its median time, the most memory that its processes held at once, and the most ssh logins that it caused. */
async function measure(
  name: string,
  step: () => Promise<unknown>,
  { times = 1, target }: MeasureOptions = {},
): Promise<number> {
  console.error(`measuring: ${name} …`);
  const memory = watchMemory();
  const seconds: number[] = [];
  const opened: number[] = [];
  for (let time = 0; time < times; time++) {
    await hangUp();
    const before = await countLogins();
    const began = performance.now();
    await step();
    seconds.push((performance.now() - began) / 1000);
    // Where there was no server before, all that it has seen came of this.
    const after = await countLogins();
    if (after !== undefined) opened.push(after - (before ?? 0));
  }
  const median = seconds.toSorted((a, b) => a - b)[Math.floor(times / 2)] ?? 0;
  measures.push({
    name,
    seconds: median,
    peakMib: memory.stop(),
    logins: opened.length === 0 ? undefined : Math.max(...opened),
    ...(target ? { target: target(median) } : {}),
  });
  return median;
}

/** Samples the resident memory of this process's descendants, and reads no other process: what is measured needs every core. */
function watchMemory(): { stop(): number } {
  let peak = 0;
  const ended = new AbortController();
  void (async () => {
    while (!ended.signal.aborted) {
      peak = Math.max(peak, await descendantsKib(process.pid));
      await delay(SAMPLE_MS);
    }
  })();
  return {
    stop() {
      ended.abort();
      return Math.round(peak / 1024);
    },
  };
}

async function descendantsKib(root: number): Promise<number> {
  let total = 0;
  for (const child of await childrenOf(root)) {
    const status = await readFile(`/proc/${child}/status`, "utf8").catch(() => "");
    total += Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) + (await descendantsKib(child));
  }
  return total;
}

/** A process that ends meanwhile has none. */
async function childrenOf(pid: number): Promise<number[]> {
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  const listed = threads.map((id) => readFile(`/proc/${pid}/task/${id}/children`, "utf8").catch(() => ""));
  return (await Promise.all(listed)).join(" ").split(/\s+/).filter(Boolean).map(Number);
}

async function npm(...args: string[]): Promise<void> {
  await run(["npm", ...args], { cwd: ROOT });
}

async function operate(
  engine: Engine,
  command: readonly string[],
  environment: Record<string, string> = {},
): Promise<void> {
  const { code, stdout, stderr } = await runAsOperator(command, { stack: "test", engine, environment });
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}\n${stdout}\n${stderr}`);
}

/** The engine, its Node.js host and one resource: what any Pulumi program costs. */
async function measureFloor(engine: Engine): Promise<{ preview: number; refresh: number }> {
  const folder = await mkdtemp(join(tmpdir(), "technicia-floor-"));
  const environment = {
    PULUMI_BACKEND_URL: `file://${folder}/state`,
    PULUMI_CONFIG_PASSPHRASE_FILE: join(STATE, "passphrase"),
  };
  await mkdir(join(folder, "state"));
  await writeFile(
    join(folder, "Pulumi.yaml"),
    "name: floor\nruntime: { name: nodejs, options: { typescript: false } }\nmain: index.js\n",
  );
  await writeFile(join(folder, "package.json"), '{ "name": "floor", "type": "module" }\n');
  await writeFile(
    join(folder, "index.js"),
    'import * as command from "@pulumi/command";\nnew command.local.Command("one", { create: "true" });\n',
  );
  await run(["ln", "-s", join(ROOT, "node_modules"), join(folder, "node_modules")]);
  const pulumi = (...args: string[]) =>
    operate(engine, ["pulumi", "--cwd", folder, "--non-interactive", ...args], environment);
  try {
    await pulumi("stack", "init", "floor");
    await pulumi("up", "--yes", "--skip-preview");
    const preview = await measure(
      "floor: preview of one resource",
      () => pulumi("preview", "--expect-no-changes"),
      { times: TIMES },
    );
    const refresh = await measure(
      "floor: refresh of one resource",
      () => pulumi("refresh", "--preview-only", "--expect-no-changes"),
      { times: TIMES },
    );
    return { preview, refresh };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The same images, networks and volumes, started by a plain script over ssh: what Docker itself takes. */
async function startPlainly(): Promise<void> {
  const images = (await docker(["exec", SERVER, "docker", "service", "ls", "--format", "{{.Image}}"]))
    .trim()
    .split("\n");
  const starts = images.map(
    (image, index) => `docker run --detach --name plain-${index} --entrypoint sleep ${image} 300`,
  );
  const script = [...starts, ...images.map((_, index) => `docker rm --force plain-${index}`)].join("\n");
  const key = join(STATE, "id_ed25519");
  await run(
    [
      "ssh",
      "-i",
      key,
      "-o",
      "StrictHostKeyChecking=no",
      "-o",
      "UserKnownHostsFile=/dev/null",
      `debian@${DATACENTRE.server}`,
      "sudo bash -es",
    ],
    { input: script },
  );
}

async function emptyCaches(): Promise<void> {
  await rm(cacheFolder(), { recursive: true, force: true });
  const images = (await docker(["images", "--filter", "reference=technicia-rehearsal/*", "--quiet"]))
    .split("\n")
    .filter((id) => id !== "");
  if (images.length > 0) await docker(["rmi", "--force", ...new Set(images)]);
  await docker(["volume", "rm", "--force", "technicia-rehearsal-registry"]);
}

await npm("run", "rehearsal:stop");
if (process.argv.includes("--cold")) {
  await emptyCaches();
  await measure("nothing → HTTPS, cold caches", () => npm("start"));
  await npm("run", "rehearsal:stop");
}
await measure("nothing → HTTPS, warm caches", () => npm("start"), {
  target: (seconds) => verdict(seconds, 90),
});
await measure("second npm start", () => npm("start"));

const engine = await prepareEngine({ progress: () => undefined });
const floor = await measureFloor(engine);
const pulumi = (...args: string[]) =>
  operate(engine, ["pulumi", "--non-interactive", "--stack", "test", ...args]);

await measure("second up", () => pulumi("up", "--yes", "--skip-preview"));
await measure("quiet preview", () => pulumi("preview", "--expect-no-changes"), {
  times: TIMES,
  target: (seconds) => verdict(seconds, 2 * floor.preview),
});
await measure("drift check", () => ops("drift", "--", "test"), {
  times: TIMES,
  target: (seconds) => verdict(seconds, 3 * floor.preview),
});
await release("1.0.1");
const bare = await underTraffic("rollout of one service", () => pulumi("up", "--yes", "--skip-preview"));
await release("1.0.0");
const gated = await underTraffic("npm run deploy, of one service", () =>
  ops("deploy", "--", "test", "--yes"),
);
measures.push({ name: "  of which gates", seconds: gated - bare, peakMib: 0, logins: undefined });
await release("1.0.3-faulty");
// Exit code 4: the previous release is back.
await underTraffic("npm run deploy, rolled back", () =>
  ops("deploy", "--", "test", "--yes").catch(expectCode(4)),
);
await measure("floor: the same containers by a plain script", startPlainly);

function ops(script: string, ...args: string[]): Promise<void> {
  return operate(engine, ["npm", "run", "--silent", script, ...args]);
}

async function release(version: string): Promise<void> {
  const image = `technicia/vector-store:${version}`;
  await pulumi("config", "set", "--path", "technicia:images.vectorStore", image);
}

function expectCode(code: number): (error: Error) => void {
  return (error) => {
    if (!error.message.includes(`ended with ${code}`)) throw error;
  };
}

/** Measures a step while the public address is asked again and again. */
async function underTraffic(name: string, step: () => Promise<unknown>): Promise<number> {
  const ca = await readFile(join(STATE, "acme-root.pem"));
  const seen = { asked: 0, failed: 0 };
  const ended = new AbortController();
  const asking = (async () => {
    while (!ended.signal.aborted) {
      seen.asked += 1;
      if (!(await answersWell(ca))) seen.failed += 1;
      await delay(20);
    }
  })();
  const seconds = await measure(name, step);
  ended.abort();
  await asking;
  const last = measures.pop()!;
  measures.push({ ...last, requests: `${seen.failed} of ${seen.asked}` });
  return seconds;
}

function answersWell(ca: Buffer): Promise<boolean> {
  const name = domainOf("test");
  const options = {
    host: DATACENTRE.server,
    servername: name,
    headers: { host: name },
    path: "/healthz",
    ca,
  };
  return new Promise((resolve) => {
    const request = get({ ...options, agent: false, timeout: 10_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.on("timeout", () => request.destroy(new Error("no answer")));
    request.on("error", () => resolve(false));
  });
}

function verdict(seconds: number, limit: number): string {
  return `${seconds <= limit ? "met" : "missed"}: at most ${limit.toFixed(1)} s`;
}

const table = new Table({
  head: ["what", "seconds", "peak MiB", "ssh logins", "failed requests", "target"],
  style: { head: [], border: [] },
});
for (const { name, seconds, peakMib, logins: opened, requests, target } of measures) {
  table.push([name, seconds.toFixed(1), peakMib || "-", opened ?? "-", requests ?? "-", target ?? ""]);
}
console.log(table.toString());
