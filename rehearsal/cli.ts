/**
 * The rehearsal's command line.
 *
 *   start [--stack <name>]           a whole deployment on this machine, with no account
 *   pulumi [--stack <name>] <args>   the pulumi CLI against the rehearsal
 *   exec [--stack <name>] <command>  any command, as the rehearsal's operator
 *   stop                             takes all of it away; caches stay
 */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { join } from "node:path";

import { Listr } from "listr2";

import { type Accounts, ensureAccounts, writeSettings } from "./answers.ts";
import { ensureDocker, UserError } from "./docker.ts";
import { type Engine, prepareEngine } from "./engine/prepare.ts";
import { type Images, prepareImages } from "./images/build.ts";
import { publishImages } from "./images/publish.ts";
import { type Outcome, runAsOperator } from "./operator.ts";
import { ROOT, STATE } from "./places.ts";
import { type Outputs, renderSummary } from "./summary.ts";
import { ensureOperator, ensureWorld, operatorPublicKey, removeWorld } from "./world.ts";

const STACKS = ["test", "staging", "prod"];
const GIVEN_SECRETS = [
  "ovhApplicationKey",
  "ovhApplicationSecret",
  "ovhConsumerKey",
  "cloudflareApiToken",
  "voyageApiKey",
  "anthropicApiKey",
] as const;

interface Prepared {
  engine: Engine;
  images: Images;
  accounts: Accounts;
}

async function start(stack: string): Promise<number> {
  const began = Date.now();
  const prepared = await prepare(stack);
  const readyAt = Date.now();
  const up = await runAsOperator(
    ["pulumi", "up", "--yes", "--skip-preview", "--stack", stack, ...upFlags()],
    {
      stack,
      engine: prepared.engine,
      attached: true,
    },
  );
  if (up.code !== 0) {
    console.error(
      "\nthe deployment did not finish; mend what the error above names and run npm start again: it goes on from here",
    );
    return up.code;
  }
  const outputs = await runAsOperator(["pulumi", "stack", "output", "--json", "--stack", stack], {
    stack,
    engine: prepared.engine,
  });
  const seconds = { preparation: (readyAt - began) / 1000, deployment: (Date.now() - readyAt) / 1000 };
  console.log(renderSummary(JSON.parse(outputs.stdout) as Outputs, prepared.engine, seconds, stack));
  return 0;
}

function upFlags(): string[] {
  return process.stdout.isTTY ? [] : ["--non-interactive"];
}

/** Engine, images, world, settings: whatever is there already stays as it is. */
async function prepare(stack: string): Promise<Prepared> {
  requireLinux();
  await mkdir(STATE, { recursive: true, mode: 0o700 });
  const prepared: Partial<Prepared> = {};
  const tasks = new Listr<unknown, "default", "simple">(
    [
      {
        title: "Docker's engine",
        task: (_, task) => ensureDocker({ progress: (text) => (task.output = text) }),
      },
      {
        title: "Pulumi's engine and images",
        task: (_, task) =>
          task.newListr(
            [
              {
                title: "engine",
                task: async (_context, sub) => {
                  prepared.engine = await prepareEngine({ progress: (text) => (sub.output = text) });
                  sub.title = `engine: ${prepared.engine.description}`;
                },
              },
              {
                title: "images",
                task: async (_context, sub) => {
                  const progress = (text: string) => (sub.output = text);
                  prepared.images = await prepareImages({ progress });
                  await publishImages(prepared.images, { progress });
                },
              },
            ],
            { concurrent: true },
          ),
      },
      {
        title: "the outside world and the settings",
        task: async (_, task) => {
          prepared.accounts = await ensureAccounts();
          await ensureOperator();
          return task.newListr(
            [
              {
                title: "OVH, Cloudflare, name server, registry and ACME",
                task: () => ensureWorld(known(prepared.images), known(prepared.accounts)),
              },
              {
                title: `settings and secrets of ${stack}`,
                task: () => ensureStack(stack, prepared as Prepared),
              },
            ],
            { concurrent: true },
          );
        },
      },
      {
        title: "what a killed run left",
        task: async (_, task) => {
          const left = await settle(stack, known(prepared.engine));
          if (left !== undefined) task.title = `the last run was killed: ${left}`;
        },
      },
    ],
    { rendererOptions: { collapseSubtasks: false, timer: undefined as never }, fallbackRenderer: "simple" },
  );
  await tasks.run();
  return prepared as Prepared;
}

/** Writes the settings and, where they are missing, the passphrase, the stack and its secrets. */
async function ensureStack(stack: string, { engine, images, accounts }: Prepared): Promise<void> {
  await mkdir(join(STATE, "backend"), { recursive: true });
  const passphrase = join(STATE, "passphrase");
  if (!existsSync(passphrase)) await writeFile(passphrase, randomBytes(24).toString("hex"), { mode: 0o600 });
  await writeSettings(stack, { publicKey: await operatorPublicKey(), images: images.overrides }, accounts);

  const pulumi = (args: readonly string[], stdin?: string) => runPulumi(args, { stack, engine, stdin });
  const listed = JSON.parse((await pulumi(["stack", "ls", "--json"])).stdout) as { name: string }[];
  if (!listed.some(({ name }) => name === stack)) {
    await pulumi(["stack", "init", stack, "--secrets-provider", "passphrase"]);
  }
  const settings = await readFile(join(STATE, `Pulumi.${stack}.yaml`), "utf8");
  for (const name of GIVEN_SECRETS) {
    if (settings.includes(`technicia:${name}:`)) continue;
    await pulumi(["config", "set", "--secret", `technicia:${name}`, "--stack", stack], accounts[name]);
  }
  if (settings.includes("technicia:n8nEncryptionKey:")) return;
  const made = await runAsOperator(["node", "ops/main.ts", "secrets", stack, "--init"], { stack, engine });
  if (made.code !== 0) throw new UserError(`secrets of ${stack}: ${made.stderr || made.stdout}`);
}

/** Goes on from a run that was killed; tells what it had left, undefined when there was none. */
async function settle(stack: string, engine: Engine): Promise<string | undefined> {
  if (!(await releaseDeadLock(stack, engine))) return undefined;
  const resumed = await runAsOperator(["node", "ops/main.ts", "resume", stack], { stack, engine });
  if (resumed.code !== 0) throw new UserError(`resuming ${stack}: ${resumed.stderr || resumed.stdout}`);
  return resumed.stdout.trim().replaceAll("\n", ", ");
}

async function runPulumi(
  args: readonly string[],
  { stdin, ...operator }: { stack: string; engine: Engine; stdin?: string | undefined },
): Promise<Outcome> {
  const given = stdin === undefined ? {} : { stdin };
  const outcome = await runAsOperator(["pulumi", ...args], { ...operator, ...given });
  if (outcome.code !== 0) throw new UserError(`pulumi ${args[0] ?? ""}: ${outcome.stderr || outcome.stdout}`);
  return outcome;
}

/** A lock whose process is gone was left by a run that was killed; another's is not touched. Says whether there was one. */
async function releaseDeadLock(stack: string, engine: Engine): Promise<boolean> {
  const folder = join(STATE, "backend", ".pulumi", "locks", "organization", "technicia", stack);
  const locks = existsSync(folder) ? await readdir(folder) : [];
  for (const file of locks) {
    const { pid } = JSON.parse(await readFile(join(folder, file), "utf8")) as { pid: number };
    if (existsSync(`/proc/${pid}`)) {
      throw new UserError(
        `the rehearsal of ${stack}: expected no other run, got one with process id ${pid}; wait for it or end it`,
      );
    }
  }
  if (locks.length === 0) return false;
  await runPulumi(["cancel", "--yes", "--stack", stack], { stack, engine });
  return true;
}

async function attached(command: readonly string[], stack: string): Promise<number> {
  requireLinux();
  if (!existsSync(join(STATE, `Pulumi.${stack}.yaml`))) {
    throw new UserError(
      `the rehearsal of ${stack}: expected a started one, got none; run npm start -- --stack ${stack}`,
    );
  }
  const engine = await prepareEngine({ progress: (text) => console.error(text) });
  return (await runAsOperator(command, { stack, engine, attached: true })).code;
}

async function stop(): Promise<number> {
  requireLinux();
  await ensureDocker({ progress: (text) => console.error(text) });
  const removed = await removeWorld();
  for (const line of removed) console.log(`removed ${line}`);
  if (existsSync(STATE)) {
    await rm(STATE, { recursive: true });
    console.log("removed .rehearsal (state, settings, keys)");
  }
  console.log(
    removed.length === 0 ? "nothing was running" : "kept the caches: engine, images, registry storage",
  );
  return 0;
}

function requireLinux(): void {
  if (process.platform !== "linux") {
    throw new UserError(
      `the rehearsal: expected Linux, got ${process.platform}; a deployment itself runs anywhere: npx pulumi up`,
    );
  }
  if (process.getuid?.() !== 0) {
    throw new UserError(
      "the rehearsal: expected root, which its networks and its server need; run sudo npm start",
    );
  }
}

function known<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("a step ran before the one that it needs");
  return value;
}

/** Takes `--stack <name>` (or `-s`) out of the arguments. */
function takeStack(args: readonly string[]): { stack: string; rest: string[] } {
  const rest = [...args];
  const at = rest.findIndex((arg) => arg === "--stack" || arg === "-s" || arg.startsWith("--stack="));
  if (at < 0) return { stack: "test", rest };
  const [flag = ""] = rest.splice(at, 1);
  const stack = flag.includes("=") ? flag.slice(flag.indexOf("=") + 1) : (rest.splice(at, 1)[0] ?? "");
  if (!STACKS.includes(stack)) {
    throw new UserError(
      `--stack: expected ${STACKS.join(", ")}, got "${stack}"; say for example --stack test`,
    );
  }
  return { stack, rest };
}

async function main(argv: readonly string[]): Promise<number> {
  const [verb = "start", ...args] = argv;
  const { stack, rest } = takeStack(args);
  switch (verb) {
    case "start":
      return start(stack);
    case "pulumi":
      return attached(
        ["pulumi", ...rest, ...(rest.length > 0 && !rest.includes("--help") ? ["--stack", stack] : [])],
        stack,
      );
    case "exec":
      return attached(rest, stack);
    case "stop":
      return stop();
    default:
      throw new UserError(`expected start, pulumi, exec or stop, got "${verb}"; see the README`);
  }
}

process.chdir(ROOT);
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}
