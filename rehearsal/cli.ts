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

import { type Accounts, addSecrets, type Answers, ensureAccounts, writeSettings } from "./stack-settings.ts";
import { entryOf, type SecretName, secretNames } from "../secrets/catalog.ts";
import { isAlive } from "../common/is-alive.ts";
import { UserError } from "../common/user-error.ts";
import { ensureDocker } from "./docker.ts";
import { type Engine, prepareEngine } from "./engine/prepare.ts";
import { type Images, prepareImages } from "./images/build.ts";
import { publishImages } from "./images/publish.ts";
import { runAsOperator } from "./run-as-operator.ts";
import { ROOT, STATE } from "./addresses.ts";
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
        title: "what a deployment needs",
        task: async (_, task) => {
          const accounts = await ensureAccounts();
          prepared.accounts = accounts;
          await ensureOperator();
          return task.newListr(
            [
              {
                title: "Pulumi",
                task: (_context, branch) =>
                  branch.newListr(
                    [
                      {
                        title: "engine",
                        task: async (_engine, sub) => {
                          prepared.engine = await prepareEngine({ progress: (text) => (sub.output = text) });
                          sub.title = `engine: ${prepared.engine.description}`;
                        },
                      },
                      {
                        title: `stack and secrets of ${stack}`,
                        task: () => ensureStack(stack, known(prepared.engine), accounts),
                      },
                    ],
                    { concurrent: false },
                  ),
              },
              {
                title: "the outside world",
                task: (_context, branch) =>
                  branch.newListr(
                    [
                      {
                        title: "images",
                        task: async (_images, sub) => {
                          prepared.images = await prepareImages({ progress: (text) => (sub.output = text) });
                        },
                      },
                      {
                        title: "OVH, Cloudflare, name server, registry and ACME",
                        task: async (_world, sub) => {
                          const images = known(prepared.images);
                          const progress = (text: string) => (sub.output = text);
                          await Promise.all([
                            publishImages(images, { progress }),
                            ensureWorld(images, accounts),
                          ]);
                        },
                      },
                    ],
                    { concurrent: false },
                  ),
              },
            ],
            { concurrent: true },
          );
        },
      },
      {
        title: `settings of ${stack}`,
        task: () => ensureSettings(stack, known(prepared.accounts), known(prepared.images).overrides),
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

async function ensureSettings(stack: string, accounts: Accounts, images: Answers["images"]): Promise<void> {
  await writeSettings(stack, { publicKey: await operatorPublicKey(), images }, accounts);
}

/** Makes what is missing: the passphrase, the stack and, in its settings, its secrets. */
async function ensureStack(stack: string, engine: Engine, accounts: Accounts): Promise<void> {
  await mkdir(join(STATE, "backend"), { recursive: true });
  const passphrase = join(STATE, "passphrase");
  if (!existsSync(passphrase)) await writeFile(passphrase, randomBytes(24).toString("hex"), { mode: 0o600 });
  // The CLI wants a file to write to; which images it has to name is known later.
  if (!existsSync(join(STATE, `Pulumi.${stack}.yaml`))) await ensureSettings(stack, accounts, {});

  const checkpoint = join(STATE, "backend", ".pulumi", "stacks", "technicia", `${stack}.json`);
  if (!existsSync(checkpoint)) {
    await runPulumi(["stack", "init", stack, "--secrets-provider", "passphrase"], { stack, engine });
  }
  await addSecrets(stack, secretsOf(accounts), { checkpoint, passphrase });
}

/** Those that a user would be given, and of ours a value for each. */
function secretsOf(accounts: Accounts): Map<SecretName, () => string> {
  const ours = secretNames.flatMap((name) => {
    const { generate } = entryOf(name);
    return generate === undefined ? [] : [[name, generate] as const];
  });
  return new Map([...GIVEN_SECRETS.map((name) => [name, () => accounts[name]] as const), ...ours]);
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
  operator: { stack: string; engine: Engine },
): Promise<void> {
  const outcome = await runAsOperator(["pulumi", ...args], operator);
  if (outcome.code !== 0) throw new UserError(`pulumi ${args[0] ?? ""}: ${outcome.stderr || outcome.stdout}`);
}

/** A lock whose process is gone was left by a run that was killed; another's is not touched. Says whether there was one. */
async function releaseDeadLock(stack: string, engine: Engine): Promise<boolean> {
  const folder = join(STATE, "backend", ".pulumi", "locks", "organization", "technicia", stack);
  const locks = existsSync(folder) ? await readdir(folder) : [];
  for (const file of locks) {
    const { pid } = JSON.parse(await readFile(join(folder, file), "utf8")) as { pid: number };
    if (isAlive(pid)) {
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
