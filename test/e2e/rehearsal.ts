/** What the end-to-end suite does as a user at a terminal, and what it sees from outside. */
import { readFileSync } from "node:fs";
import https from "node:https";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";

import { expect } from "vitest";

import { type Ended, run, tryRun } from "../../common/run.ts";
import { prepareEngine, type Engine } from "../../rehearsal/engine/prepare.ts";
import { type OperatorOptions, runAsOperator } from "../../rehearsal/run-as-operator.ts";
import { countLogins, closeConnections } from "../../rehearsal/logins.ts";
import { DATACENTRE, INTERNET, ROOT, STATE } from "../../rehearsal/addresses.ts";
import { SERVER } from "../../rehearsal/world.ts";
import { until as untilSo } from "../../common/until.ts";

export const DOMAIN = "test.technicia.example";

/** The engine's totals where nothing changes: no other word stands before this one. */
export const QUIET = /Resources:\s+\d+ unchanged\s/;
let engine: Engine | undefined;

/** Runs an npm script as typed; resolves with its code and everything it printed. */
export function npm(...args: string[]): Promise<Ended> {
  return tryRun(["npm", ...args], { cwd: ROOT });
}

/** Runs any command as the rehearsal's operator, on the stack `test`. */
export async function operator(
  command: readonly string[],
  options: Partial<OperatorOptions> = {},
): Promise<Ended> {
  engine ??= await prepareEngine({ progress: () => undefined });
  return runAsOperator(command, { stack: "test", engine, ...options });
}

export function pulumi(...args: string[]): Promise<Ended> {
  return operator(["pulumi", ...args, "--stack", "test", "--non-interactive"]);
}

/** Applies the settings as they are; fails the test with what the engine said when that does not succeed. */
export async function up(...args: string[]): Promise<Ended> {
  const outcome = await pulumi("up", "--yes", "--skip-preview", ...args);
  if (outcome.code !== 0)
    throw new Error(`pulumi up ended with ${outcome.code}\n${outcome.stdout}\n${outcome.stderr}`);
  return outcome;
}

/** Fails the test with the whole difference when a preview, after looking at everything, would change something. */
export async function expectQuiet(): Promise<void> {
  const { code, stdout, stderr } = await pulumi("preview", "--refresh", "--diff", "--expect-no-changes");
  if (code !== 0) throw new Error(`expected a quiet preview, got\n${stdout}\n${stderr}`);
}

/** A deployment for a file of tests that runs alone; one that answers stays as it is. */
export async function ensureStarted(): Promise<void> {
  await askHealth().catch(startAgain);
}

/** Rewrites the settings and deploys them, which reverts what the tests changed. */
export async function startAgain(): Promise<void> {
  const { code, stdout, stderr } = await npm("start");
  if (code !== 0) throw new Error(`npm start ended with ${code}\n${stdout}\n${stderr}`);
}

export async function set(path: string, value: string): Promise<void> {
  const outcome = await pulumi("config", "set", "--path", path, value);
  if (outcome.code !== 0) throw new Error(outcome.stderr);
}

/** One login of the command itself, one for Docker's plugin, and one of each engine run. */
const LOGINS_OF_ONE_RUN = 3;

/** Fails the test when the command, begun without any connection, logs in to the server more often. */
export async function withFewLogins<T>(
  command: () => Promise<T>,
  atMost: number = LOGINS_OF_ONE_RUN,
): Promise<T> {
  await closeConnections();
  const before = (await countLogins()) ?? 0;
  const outcome = await command();
  const logins = ((await countLogins()) ?? 0) - before;
  expect(logins).toBeGreaterThan(0);
  expect(logins).toBeLessThanOrEqual(atMost);
  return outcome;
}

/** Runs a script as root on the server, or on another one's container, without the deployment's own connection. */
export function onServer(script: string, container: string = SERVER): Promise<string> {
  return run(["docker", "exec", container, "bash", "-c", script]);
}

/** Restarts the server, as a reboot does. */
export function restart(): Promise<string> {
  return run(["docker", "restart", "--time", "30", SERVER]);
}

/** What somebody else does to the clouds, and what there is: the fake clouds' management port. */
export async function management<T>(path: string, method = "GET", body?: unknown): Promise<T> {
  const response = await fetch(`http://${INTERNET.clouds}:8090/${path}`, {
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return (await response.json()) as T;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** Asks the public address over HTTPS, trusting nothing but the ACME server's root. */
export function ask(
  path: string,
  options: {
    method?: string;
    body?: string | Buffer;
    headers?: Record<string, string>;
    timeoutMs?: number;
  } = {},
): Promise<Answer> {
  const { method = "GET", body, headers = {}, timeoutMs = 10_000 } = options;
  return new Promise((resolve, reject) => {
    const request = https.request(
      {
        host: DATACENTRE.server,
        servername: DOMAIN,
        path,
        method,
        ca: readFileSync(join(STATE, "acme-root.pem")),
        headers: { host: DOMAIN, ...headers },
        agent: false,
        timeout: timeoutMs,
      },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => (text += part));
        response.on("end", () => {
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text });
        });
      },
    );
    request.on("timeout", () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    request.on("error", reject);
    request.end(body);
  });
}

/** Waits for a condition; a failure to ask counts as "not yet". */
/** A condition that takes minutes is asked for once per second: each asking begins a process on the server, and so would slow it down. */
export async function until(what: string, isSo: () => Promise<boolean>, seconds = 60): Promise<void> {
  await untilSo(() => isSo().catch(() => false), {
    ...{ limit: seconds * 1000, every: 25, growth: 1.3, longest: 1000 },
    late: () => new Error(`waited ${seconds} s in vain until ${what}`),
  });
}

export interface Traffic {
  /** Stops asking and returns the results. */
  stop(): Promise<{ readonly asked: number; readonly failures: readonly string[] }>;
}

/** Asks `once` again and again, one request at a time, until stopped. */
export function traffic(once: () => Promise<void>): Traffic {
  const failures: string[] = [];
  let asked = 0;
  let goesOn = true;
  const loop = (async () => {
    while (goesOn) {
      asked += 1;
      await once().catch((error: unknown) => {
        failures.push(
          `${new Date().toISOString()} ${error instanceof Error ? error.message : String(error)}`,
        );
      });
      await wait(20);
    }
  })();
  return {
    async stop() {
      goesOn = false;
      await loop;
      return { asked, failures };
    },
  };
}

/** Expects 200 of the path that the gateway answers through everything behind it. */
export async function askHealth(): Promise<void> {
  const { status, body } = await ask("/healthz");
  if (status !== 200) throw new Error(`status ${status}: ${body}`);
}
