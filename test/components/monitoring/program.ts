import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { freePorts } from "../../support/free-ports.ts";
import { monitoringProgram, type MonitoringProgramName } from "../../support/monitoring-programs.ts";
import { until } from "../../support/until.ts";

/** A program of the monitoring that runs on the loopback. */
export interface RunningProgram {
  readonly url: string;
  readonly folder: string;

  /** What it wrote, for the error of a test. */
  readonly log: () => string;

  /** Ends it and starts it again with the same data. */
  readonly restart: (pause?: () => Promise<void>) => Promise<void>;

  /** Ends it and removes its data. */
  readonly stop: () => Promise<void>;
}

interface Start {
  readonly args: (place: { readonly folder: string; readonly port: number }) => readonly string[];

  /** Writes what it reads into its folder. */
  readonly prepare?: (folder: string) => Promise<void>;

  /** Path that answers 200 as soon as the program is ready. */
  readonly ready: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** Starts a program on a free port, with a folder of its own, and waits until it answers. */
export async function startProgram(name: MonitoringProgramName, start: Start): Promise<RunningProgram> {
  const file = await monitoringProgram(name);
  const [port = 0] = await freePorts(1);
  const folder = await mkdtemp(join(tmpdir(), `${name}-`));
  await start.prepare?.(folder);
  const url = `http://127.0.0.1:${port}`;
  let log = "";
  const run = async (): Promise<ChildProcess> => {
    const child = spawn(file, start.args({ folder, port }), {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...start.environment },
    });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text: string) => (log += text));
    await until(`${name} answers`, async () => {
      if (child.exitCode !== null)
        throw new Error(`${name} ended with ${child.exitCode}: ${log.slice(-2000)}`);
      const answer = await fetch(`${url}${start.ready}`).catch(() => undefined);
      return answer?.ok === true;
    });
    return child;
  };
  let child = await run();
  const end = async () => {
    if (child.exitCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  };
  return {
    ...{ url, folder, log: () => log },
    restart: async (pause) => {
      await end();
      await pause?.();
      child = await run();
    },
    stop: async () => {
      await end();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** As the services start it, but on the loopback. */
export const startMetrics = (): Promise<RunningProgram> =>
  startProgram("victoria-metrics", {
    ready: "/health",
    args: ({ folder, port }) => [
      `-storageDataPath=${folder}`,
      `-httpListenAddr=127.0.0.1:${port}`,
      "-search.latencyOffset=1s",
      "-retentionPeriod=100d",
      "-memory.allowedBytes=64MiB",
    ],
  });

export const startLogs = (): Promise<RunningProgram> =>
  startProgram("victoria-logs", {
    ready: "/health",
    args: ({ folder, port }) => [
      `-storageDataPath=${folder}`,
      `-httpListenAddr=127.0.0.1:${port}`,
      "-retentionPeriod=14d",
      "-memory.allowedBytes=64MiB",
    ],
  });

export async function post(url: string, body: string | URLSearchParams): Promise<string> {
  const answer = await fetch(url, { method: "POST", body });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${url}: expected status 200, got ${answer.status}: ${text.slice(0, 500)}`);
  return text;
}

/** One row of an instant query. */
export interface Row {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [time: number, value: string];
}

export function rowsOf(answer: string): readonly Row[] {
  return (JSON.parse(answer) as { data: { result: readonly Row[] } }).data.result;
}
