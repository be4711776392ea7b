/**
 * The rehearsal's command line.
 *
 *   start [--stack <name>] [--image <name>] [--servers 3] [--variant <name>] [--neighbour]
 *                                    a whole deployment on this machine, without any account
 *   pulumi [--stack <name>] <args>   the pulumi CLI against the rehearsal
 *   exec [--stack <name>] <command>  any command, as the rehearsal's operator
 *   stop                             removes the rehearsal and keeps the caches
 */
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";

import { UserError } from "../common/user-error.ts";
import { ROOT, STATE } from "./addresses.ts";
import { type Asked, readAsked, takeStack } from "./arguments.ts";
import { ensureDocker } from "./docker.ts";
import { type Engine, prepareEngine } from "./engine/prepare.ts";
import { ensureFirstSet } from "./first-set.ts";
import { takeBackImages } from "./images/lend.ts";
import { type Neighbour, prepare, type Rest } from "./prepare.ts";
import { rehearsedEntry, showAnswer } from "./question.ts";
import { runAsOperator } from "./run-as-operator.ts";
import { outlived } from "./signals.ts";
import { type RehearsedStack, retireFirstKey } from "./stack.ts";
import type { StackName } from "./stack-names.ts";
import { answersQuestions, ensureAccounts, isMonitored } from "./stack-settings.ts";
import { type Outputs, renderSummary } from "./summary.ts";
import { removeWorld } from "./world.ts";

async function start(stack: StackName, asked: Asked): Promise<number> {
  requireLinux();
  const began = Date.now();
  const { engine, rest, neighbour } = await prepare(stack, asked);
  const readyAt = Date.now();
  const at = { stack, engine };
  const code = await deploy(at, rest);
  if (code !== 0) return code;
  const printed = await runAsOperator(["pulumi", "stack", "output", "--json", "--stack", stack], at);
  const outputs = JSON.parse(printed.stdout) as Outputs;
  const deployedAt = Date.now();
  const backups = await ensureFirstSet(at);
  const ofNeighbour = neighbour === undefined ? 0 : await deployNeighbour(neighbour, at);
  if (ofNeighbour !== 0) return ofNeighbour;
  const shown = (await answersQuestions(stack))
    ? await showAnswer(await rehearsedEntry(outputs.url))
    : undefined;
  const seconds = { preparation: (readyAt - began) / 1000, deployment: (deployedAt - readyAt) / 1000 };
  console.log(
    renderSummary({
      ...{ stack, outputs, engine, backups, shown, seconds },
      isMonitored: await isMonitored(stack),
      ...(neighbour && { neighbour: neighbour.stack }),
    }),
  );
  return 0;
}

/** Deploys a stack, and once more where the first key or the lack of monitoring was only for the beginning. Returns the exit code. */
async function deploy(at: RehearsedStack, rest?: Rest): Promise<number> {
  let code = await up(at);
  if (code === 0) {
    // The state keeps the keys of the clouds, so a changed key is deployed, too.
    const isKeyNew = await retireFirstKey(at, await ensureAccounts());
    await rest?.finish();
    if (isKeyNew || rest !== undefined) code = await up(at);
  }
  if (code !== 0) rest?.stop();
  return code;
}

/** Each is deployed before another watches it: nobody is told of an environment that has never been there. */
async function deployNeighbour(neighbour: Neighbour, first: RehearsedStack): Promise<number> {
  await neighbour.prepare();
  const code = await deploy({ stack: neighbour.stack, engine: first.engine });
  return code === 0 && (await neighbour.join()) ? await up(first) : code;
}

async function up(at: RehearsedStack): Promise<number> {
  const command = ["pulumi", "up", "--yes", "--skip-preview", "--stack", at.stack, ...upFlags()];
  const { code } = await runInTerminal(command, at);
  if (code !== 0) {
    console.error(
      `\nthe deployment of ${at.stack} did not finish; fix what the error above names and run npm start again, which continues from here`,
    );
  }
  return code;
}

function upFlags(): string[] {
  return process.stdout.isTTY ? [] : ["--non-interactive"];
}

async function runCommand(command: readonly string[], stack: string): Promise<number> {
  requireLinux();
  if (!existsSync(join(STATE, `Pulumi.${stack}.yaml`))) {
    throw new UserError(`the rehearsal of ${stack} is not started; run npm start -- --stack ${stack}`);
  }
  const engine = await prepareEngine({ progress: (text) => console.error(text) });
  return (await runInTerminal(command, { stack, engine })).code;
}

/** As the operator's at this terminal; a signal that ends this process ends the command first. */
function runInTerminal(command: readonly string[], at: { readonly stack: string; readonly engine: Engine }) {
  return outlived((onStart) => runAsOperator(command, { ...at, onStart, terminal: true }));
}

async function stop(): Promise<number> {
  requireLinux();
  await ensureDocker({ progress: (text) => console.error(text) });
  const removed = [...(await removeWorld()), ...(await takeBackImages())];
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
      `the rehearsal: expected Linux, got ${process.platform}; a deployment itself runs anywhere: npm run deploy`,
    );
  }
  if (process.getuid?.() !== 0) {
    throw new UserError("the rehearsal needs root for its networks and its server; run sudo npm start");
  }
}

async function main([verb = "start", ...args]: readonly string[]): Promise<number> {
  const { stack, rest } = takeStack(args, { onlyBefore: verb === "exec" });
  switch (verb) {
    case "start":
      return start(stack, readAsked(rest));
    case "pulumi": {
      const flags = rest.length > 0 && !rest.includes("--help") ? ["--stack", stack] : [];
      return runCommand(["pulumi", ...rest, ...flags], stack);
    }
    case "exec":
      return runCommand(rest, stack);
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
