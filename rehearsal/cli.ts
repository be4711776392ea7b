/**
 * The rehearsal's command line.
 *
 *   start [--stack <name>] [--image <name>]
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
import { prepare } from "./prepare.ts";
import { runAsOperator } from "./run-as-operator.ts";
import { outlived } from "./signals.ts";
import { retireFirstKey } from "./stack.ts";
import { ensureAccounts, isMonitored } from "./stack-settings.ts";
import { type Outputs, renderSummary } from "./summary.ts";
import { removeWorld } from "./world.ts";

async function start(stack: string, asked: Asked): Promise<number> {
  requireLinux();
  const began = Date.now();
  const { engine, rest } = await prepare(stack, asked);
  const readyAt = Date.now();
  const deploy = () =>
    runInTerminal(["pulumi", "up", "--yes", "--skip-preview", "--stack", stack, ...upFlags()], {
      stack,
      engine,
    });
  let up = await deploy();
  if (up.code === 0) {
    // The state keeps the keys of the clouds, so a changed key is deployed, too.
    const isKeyNew = await retireFirstKey({ stack, engine }, await ensureAccounts());
    await rest?.finish();
    if (isKeyNew || rest !== undefined) up = await deploy();
  }
  if (up.code !== 0) {
    rest?.stop();
    console.error(
      "\nthe deployment did not finish; fix what the error above names and run npm start again, which continues from here",
    );
    return up.code;
  }
  const outputs = await runAsOperator(["pulumi", "stack", "output", "--json", "--stack", stack], {
    stack,
    engine,
  });
  const deployedAt = Date.now();
  const backups = await ensureFirstSet({ stack, engine });
  const seconds = { preparation: (readyAt - began) / 1000, deployment: (deployedAt - readyAt) / 1000 };
  console.log(
    renderSummary({
      ...{ stack, outputs: JSON.parse(outputs.stdout) as Outputs, engine, backups, seconds },
      isMonitored: await isMonitored(stack),
    }),
  );
  return 0;
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
      `the rehearsal: expected Linux, got ${process.platform}; a deployment itself runs anywhere: npx pulumi up`,
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
