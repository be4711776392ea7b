/** A fake Docker, fake cgroups, a fake exporter and a fake store, and a collector that runs among them. */
import { type ChildProcess, spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach } from "vitest";

import { until } from "../support/until.ts";

const SCRIPTS = new URL("../../components/scripts/", import.meta.url);
export const ID = "a".repeat(64);
export const ENDED = "e".repeat(64);
export const STARTED = "2026-11-27T10:00:00.123456789Z";

/** As the real one lists failed units: nothing but lines that begin with a name. */
const SYSTEMCTL = `#!/bin/sh
[ "$*" = "list-units --failed --full --plain --no-legend" ] || exit 2
exec cat "$(dirname "$0")/failed-units"
`;

interface Container {
  readonly id?: string;
  readonly service?: string;
  readonly state?: string;
  readonly status?: string;
  readonly killed?: boolean;
  readonly started?: string;
}

/** What the fakes say; a test changes it while the collector runs. */
export interface World {
  containers: Container[];
  services: Record<string, number>;

  /** What the services' tasks are made from. */
  image: string;

  /** Of a Swarm's worker: nobody may ask it for services. */
  isWorker?: boolean;
  exporter: string | undefined;
  isStoreUp: boolean;
}

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

function listen(server: Server, at: string | 0): Promise<string> {
  closing.push(() => new Promise((resolve) => server.close(resolve)));
  return new Promise((resolve) => {
    server.listen(typeof at === "string" ? { path: at } : { port: at, host: "127.0.0.1" }, () => {
      const address = server.address();
      resolve(typeof address === "string" ? address : `127.0.0.1:${(address as AddressInfo).port}`);
    });
  });
}

function fakeDocker(world: World): Server {
  return createServer(({ url = "" }, response) => {
    const one = world.containers.find(({ id = ID }) => url === `/containers/${id}/json`);
    const answer = url.startsWith("/services")
      ? Object.entries(world.services).map(([Name, Replicas]) => ({
          Spec: {
            Name,
            Mode: { Replicated: { Replicas } },
            TaskTemplate: { ContainerSpec: { Image: world.image } },
          },
          ...(url === "/services?status=true" ? { ServiceStatus: { DesiredTasks: Replicas } } : {}),
        }))
      : url.startsWith("/containers/json")
        ? world.containers.map(({ id = ID, service = "technicia-n8n", ...rest }) => ({
            Id: id,
            Names: [`/${service}.1.${id}`],
            State: rest.state ?? "running",
            Status: rest.status ?? "Up 3 minutes (healthy)",
            Labels: { "com.docker.swarm.service.name": service },
          }))
        : one && { State: { StartedAt: one.started ?? STARTED, Pid: 42, OOMKilled: one.killed ?? false } };
    if (world.isWorker === true && url.startsWith("/services")) return void response.writeHead(503).end("{}");
    response.writeHead(answer === undefined ? 404 : 200).end(JSON.stringify(answer ?? {}));
  });
}

export async function write(path: string, text: string): Promise<void> {
  await mkdir(join(path, ".."), { recursive: true });
  await writeFile(path, text);
}

/** At once, so that nobody reads half of it. */
export async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

/** One container's accounts as the second version of cgroups keeps them. */
export async function writeUnified(root: string, folder = `system.slice/docker-${ID}.scope`): Promise<void> {
  await write(join(root, "cgroup.controllers"), "cpu memory\n");
  const at = join(root, folder);
  await write(join(at, "memory.current"), "300\n");
  await write(join(at, "memory.max"), "1000\n");
  await write(join(at, "memory.stat"), "anon 200\ninactive_file 100\n");
  await write(join(at, "memory.events"), "low 0\noom 0\noom_kill 0\n");
  await write(join(at, "cpu.stat"), "usage_usec 2500000\nuser_usec 1\n");
}

/** The same as the first version keeps them. */
export async function writeSeparate(root: string, folder: string): Promise<void> {
  const memory = join(root, "memory", folder);
  await write(join(memory, "memory.usage_in_bytes"), "300\n");
  await write(join(memory, "memory.limit_in_bytes"), "1000\n");
  await write(join(memory, "memory.stat"), "cache 1\ninactive_file 5\ntotal_inactive_file 100\n");
  await write(join(memory, "memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n");
  await write(join(root, "cpuacct", folder, "cpuacct.usage"), "2500000000\n");
}

/** Its modules in one folder, as a server has them; gives the one that is run. */
async function placePrograms(folder: string, ofSeveral: boolean): Promise<string> {
  await cp(new URL("monitoring", SCRIPTS), folder, { recursive: true });
  if (ofSeveral) await cp(new URL("monitoring-server", SCRIPTS), folder, { recursive: true });
  return join(folder, ofSeveral ? "collect_server.py" : "collect.py");
}

export async function begin(
  change: Partial<World> = {},
  { ofSeveral = false, manages = false, signSeconds = 600 } = {},
) {
  const folder = await mkdtemp(join(tmpdir(), "collect-"));
  closing.push(() => rm(folder, { recursive: true }));
  const world: World = {
    containers: [{}],
    services: { "technicia-n8n": 1 },
    image: "n8n:1",
    exporter: '# HELP x y\nnode_load1 0.5\nnode_cpu_seconds_total{cpu="0",mode="idle"} 7\n',
    isStoreUp: true,
    ...change,
  };
  const pushed: string[] = [];
  const store = createServer((request, response) => {
    let body = "";
    request.on("data", (part: Buffer) => (body += part.toString()));
    request.on("end", () => {
      if (world.isStoreUp && request.url === "/api/v1/import/prometheus") pushed.push(body);
      response.writeHead(world.isStoreUp ? 204 : 503).end();
    });
  });
  const exporter = createServer((_request, response) => {
    response.writeHead(world.exporter === undefined ? 500 : 200).end(world.exporter);
  });
  const at = (name: string) => join(folder, name);
  for (const name of ["cgroup", "records", "run", "proc"]) await mkdir(at(name));
  await listen(fakeDocker(world), at("docker.sock"));
  const variables = {
    PATH: process.env["PATH"],
    SECONDS_BETWEEN: "1",
    STORE: await listen(store, 0),
    EXPORTER: await listen(exporter, 0),
    DOCKER_SOCKET: at("docker.sock"),
    CGROUPS: at("cgroup"),
    PROCESSES: at("proc"),
    RECORDS: at("records"),
    CERTIFICATE: at("fullchain.pem"),
    PATCHES: at("patches.sh"),
    REBOOT: at("reboot-required"),
    RUNTIME_DIRECTORY: at("run"),
    SYSTEMCTL: at("systemctl"),
    SIGN_SECONDS: String(signSeconds),
    ...(manages ? { MANAGES_SWARM: "yes" } : {}),
  };
  const program = await placePrograms(at("programs"), ofSeveral);
  await writeFile(at("systemctl"), SYSTEMCTL, { mode: 0o755 });
  await writeFile(at("failed-units"), "");
  let child: ChildProcess | undefined;
  let said = "";
  const stop = async () => {
    if (child === undefined || child.exitCode !== null) return;
    const ended = new Promise((resolve) => child!.once("close", resolve));
    child.kill("SIGTERM");
    await ended;
  };
  closing.push(stop);
  return {
    at,
    world,
    pushed,
    stop,
    said: () => said,
    pid: () => child!.pid!,
    start() {
      child = spawn("python3", ["-B", program], { env: variables, stdio: ["ignore", "ignore", "pipe"] });
      child.stderr!.setEncoding("utf8").on("data", (text: string) => (said += text));
    },
    /** The samples of the newest push that has this text, without their times. */
    async samples(text = "technicia_collector_seconds"): Promise<string[]> {
      const from = pushed.length;
      return await until(`the collector sends ${text}`, () =>
        pushed
          .slice(from)
          .findLast((body) => body.includes(text))
          ?.split("\n")
          .map((line) => line.replace(/ \d{13}$/, "")),
      );
    },
  };
}
