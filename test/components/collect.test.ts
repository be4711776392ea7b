/** The collector against a fake Docker, fake cgroups, a fake exporter and a fake store. */
import { type ChildProcess, spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterEach, describe, expect, it } from "vitest";

import { run } from "../../common/run.ts";
import { until } from "../support/until.ts";

const PROGRAM = fileURLToPath(new URL("../../components/scripts/monitoring/collect.py", import.meta.url));
const ID = "a".repeat(64);
const ENDED = "e".repeat(64);
const STARTED = "2026-11-27T10:00:00.123456789Z";

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
}

/** What the fakes say; a test changes it while the collector runs. */
interface World {
  containers: Container[];
  services: Record<string, number>;
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
          Spec: { Name, Mode: { Replicated: { Replicas } } },
        }))
      : url.startsWith("/containers/json")
        ? world.containers.map(({ id = ID, service = "technicia-n8n", ...rest }) => ({
            Id: id,
            Names: [`/${service}.1.${id}`],
            State: rest.state ?? "running",
            Status: rest.status ?? "Up 3 minutes (healthy)",
            Labels: { "com.docker.swarm.service.name": service },
          }))
        : one && { State: { StartedAt: STARTED, Pid: 42, OOMKilled: one.killed ?? false } };
    response.writeHead(answer === undefined ? 404 : 200).end(JSON.stringify(answer ?? {}));
  });
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(join(path, ".."), { recursive: true });
  await writeFile(path, text);
}

/** At once, so that nobody reads half of it. */
async function replace(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

/** One container's accounts as the second version of cgroups keeps them. */
async function writeUnified(root: string, folder = `system.slice/docker-${ID}.scope`): Promise<void> {
  await write(join(root, "cgroup.controllers"), "cpu memory\n");
  const at = join(root, folder);
  await write(join(at, "memory.current"), "300\n");
  await write(join(at, "memory.max"), "1000\n");
  await write(join(at, "memory.stat"), "anon 200\ninactive_file 100\n");
  await write(join(at, "memory.events"), "low 0\noom 0\noom_kill 0\n");
  await write(join(at, "cpu.stat"), "usage_usec 2500000\nuser_usec 1\n");
}

/** The same as the first version keeps them. */
async function writeSeparate(root: string, folder: string): Promise<void> {
  const memory = join(root, "memory", folder);
  await write(join(memory, "memory.usage_in_bytes"), "300\n");
  await write(join(memory, "memory.limit_in_bytes"), "1000\n");
  await write(join(memory, "memory.stat"), "cache 1\ninactive_file 5\ntotal_inactive_file 100\n");
  await write(join(memory, "memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n");
  await write(join(root, "cpuacct", folder, "cpuacct.usage"), "2500000000\n");
}

async function begin(change: Partial<World> = {}) {
  const folder = await mkdtemp(join(tmpdir(), "collect-"));
  closing.push(() => rm(folder, { recursive: true }));
  const world: World = {
    containers: [{}],
    services: { "technicia-n8n": 1 },
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
  };
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
      child = spawn("python3", ["-B", PROGRAM], { env: variables, stdio: ["ignore", "ignore", "pipe"] });
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

describe("the collector", () => {
  it("sends what the exporter measures under the job host, with the time of the measurement", async () => {
    const collector = await begin();
    collector.start();

    expect(await collector.samples()).toEqual(
      expect.arrayContaining([
        'node_load1{job="host"} 0.5',
        'node_cpu_seconds_total{job="host",cpu="0",mode="idle"} 7',
      ]),
    );
    const [, time] = /node_load1\{job="host"\} 0.5 (\d+)$/m.exec(collector.pushed[0]!)!;
    expect(Math.abs(Number(time) - Date.now())).toBeLessThan(60_000);
  });

  const accounted = [
    'technicia_service_desired{service="n8n"} 1',
    'technicia_service_running{service="n8n"} 1',
    `technicia_task_started_timestamp_seconds{service="n8n"} ${Date.parse("2026-11-27T10:00:00Z") / 1000}`,
    'technicia_container_memory_working_set_bytes{service="n8n"} 200',
    'technicia_container_memory_limit_bytes{service="n8n"} 1000',
    'technicia_container_cpu_seconds_total{service="n8n"} 2.500',
    'technicia_container_oom_kills_total{service="n8n"} 0',
    'technicia_task_starts_total{service="n8n"} 0',
    'technicia_collector_up{source="docker"} 1',
  ];

  it.each([
    ["the second version", (root: string) => writeUnified(root)],
    ["the second version with Docker's own driver", (root: string) => writeUnified(root, `docker/${ID}`)],
    ["the first version", (root: string) => writeSeparate(root, `docker/${ID}`)],
    [
      "the first version with systemd's driver",
      (root: string) => writeSeparate(root, `system.slice/docker-${ID}.scope`),
    ],
  ])("measures a container where %s of cgroups accounts for it", async (_version, prepare) => {
    const collector = await begin();
    await prepare(collector.at("cgroup"));
    collector.start();

    expect(await collector.samples()).toEqual(expect.arrayContaining(accounted));
  });

  it("follows a container's process to accounts that are elsewhere", async () => {
    const collector = await begin();
    await writeUnified(collector.at("cgroup"), "outer/inner");
    await write(join(collector.at("proc"), "42", "cgroup"), "0::/outer/inner\n");
    collector.start();

    expect(await collector.samples()).toEqual(expect.arrayContaining(accounted));
  });

  it("counts only containers that run, and that are healthy where they say so", async () => {
    const collector = await begin({
      containers: [
        { status: "Up 2 seconds (health: starting)" },
        { id: "b".repeat(64), service: "technicia-qdrant", status: "Up 2 minutes (unhealthy)" },
        { id: "c".repeat(64), service: "technicia-frontend", status: "Up 2 minutes" },
        { id: "d".repeat(64), service: "somebody-else" },
      ],
      services: {
        "technicia-n8n": 1,
        "technicia-qdrant": 1,
        "technicia-frontend": 1,
        "technicia-gateway": 1,
      },
    });
    collector.start();
    const samples = await collector.samples();

    expect(samples.filter((line) => line.startsWith("technicia_service_running"))).toEqual([
      'technicia_service_running{service="n8n"} 0',
      'technicia_service_running{service="qdrant"} 0',
      'technicia_service_running{service="frontend"} 1',
      'technicia_service_running{service="gateway"} 0',
    ]);
    expect(samples.join("\n")).not.toContain("somebody");
  });

  it("adds up starts and kills beyond the containers that they happened to, and beyond its own restart", async () => {
    const collector = await begin();
    collector.start();
    await collector.samples('technicia_task_starts_total{service="n8n"} 0');
    collector.world.containers = [
      { id: ENDED },
      { state: "exited", status: "Exited (137) 1 second ago", killed: true },
    ];
    const after = await collector.samples('technicia_task_starts_total{service="n8n"} 1');
    await collector.stop();
    collector.world.containers = [{ id: ENDED }];
    collector.start();
    const restarted = await collector.samples();

    for (const samples of [after, restarted]) {
      expect(samples).toEqual(
        expect.arrayContaining([
          'technicia_task_starts_total{service="n8n"} 1',
          'technicia_container_oom_kills_total{service="n8n"} 1',
        ]),
      );
    }
  });

  it("goes on with the other sources while one fails, and says so once", async () => {
    const collector = await begin({ exporter: undefined });
    collector.start();
    await collector.samples();
    const samples = await collector.samples();

    expect(samples).toEqual(
      expect.arrayContaining([
        'technicia_collector_up{source="host"} 0',
        'technicia_collector_up{source="docker"} 1',
        'technicia_collector_up{source="records"} 1',
        'technicia_service_running{service="n8n"} 1',
      ]),
    );
    expect(collector.said().match(/host: /g)).toHaveLength(1);
    collector.world.exporter = "node_load1 1\n";
    await collector.samples('technicia_collector_up{source="host"} 1');
    expect(collector.said()).toContain("host: answers again");
  });

  it("names each unit of the host that has failed, and says when it no longer has", async () => {
    const collector = await begin();
    const failed = (...units: string[]) =>
      replace(
        collector.at("failed-units"),
        units.map((unit) => `${unit} loaded failed failed Do something\n`).join(""),
      );
    await failed("technicia-certificate.service", "mnt-a\\x2db.mount");
    collector.start();
    const some = await collector.samples("technicia_unit_failed{");
    await failed("mnt-a\\x2db.mount");
    const fewer = await collector.samples('technicia_unit_failed{unit="technicia-certificate.service"} 0');

    const mount = 'technicia_unit_failed{unit="mnt-a\\\\x2db.mount"} 1';
    expect(some).toEqual(
      expect.arrayContaining([
        'technicia_unit_failed{unit="technicia-certificate.service"} 1',
        mount,
        'technicia_collector_up{source="units"} 1',
      ]),
    );
    expect(fewer).toContain(mount);
  });

  it("keeps what the store does not take, and sends it with its time once the store is back", async () => {
    const collector = await begin({ isStoreUp: false });
    collector.start();
    await until("the store is missed", () => collector.said().includes("store: "));
    collector.world.isStoreUp = true;
    await collector.samples("node_load1{");

    expect(collector.pushed[0]).toContain('node_load1{job="host"} 0.5');
    const times = collector.pushed.map((body) => Number(/ (\d{13})$/m.exec(body)![1]));
    expect(times).toEqual([...times].sort((a, b) => a - b));
  });

  it("needs less than 20 MiB", async () => {
    const collector = await begin();
    await writeUnified(collector.at("cgroup"));
    collector.start();
    await collector.samples();
    const status = await readFile(`/proc/${collector.pid()}/status`, "utf8");

    expect(Number(/VmRSS:\s+(\d+) kB/.exec(status)![1])).toBeLessThan(20 * 1024);
  });
});

describe("the records that the collector reads", () => {
  it("are those of backups and rehearsals, failures included", async () => {
    const collector = await begin();
    const records = collector.at("records");
    await write(
      join(records, "metrics", "backup.prom"),
      "technicia_backup_last_success_timestamp_seconds 100\n",
    );
    const status = {
      last: { time: "2026-11-27T09:00:00Z" },
      failure: { command: "make", at: "2026-11-27T10:00:00Z", text: "no space" },
      drills: [{ at: "2026-11-20T02:30:00Z", passed: true }],
    };
    await write(join(records, "backup", "status.json"), JSON.stringify(status));
    collector.start();

    expect(await collector.samples()).toEqual(
      expect.arrayContaining([
        "technicia_backup_last_success_timestamp_seconds 100",
        "technicia_backup_failed 1",
        "technicia_drill_failed 0",
      ]),
    );
    const repaired = { ...status, last: { time: "2026-11-27T11:00:00Z" } };
    await write(join(records, "backup", "status.json"), JSON.stringify(repaired));
    await collector.samples("technicia_backup_failed 0");
  });

  it("are the last check for drift, the last test of alerts and the release that runs", async () => {
    const collector = await begin();
    const records = collector.at("records");
    const at = "2026-11-27T10:00:00.000Z";
    const seconds = Date.parse(at) / 1000;
    const line = (event: object) => `${JSON.stringify({ at, who: "a", detail: "b", ...event })}\n`;
    await write(
      join(records, "history.jsonl"),
      `${line({ action: "drift", findings: 3 })}{"record":"x"}\nnot JSON "drift"\n${line({ action: "deploy" })}`,
    );
    await write(
      join(records, "releases", "000001.end.json"),
      JSON.stringify({ number: 1, outcome: "succeeded" }),
    );
    await write(
      join(records, "releases", "000002.end.json"),
      JSON.stringify({ number: 2, outcome: "rolled-back", restored: 1 }),
    );
    collector.start();

    expect(await collector.samples()).toEqual(
      expect.arrayContaining([
        `technicia_drift_last_check_timestamp_seconds ${seconds}`,
        "technicia_drift_findings 3",
        "technicia_release_number 1",
      ]),
    );
    await writeFile(join(records, "history.jsonl"), line({ action: "alert-test" }), { flag: "a" });
    await collector.samples(`technicia_alert_test_timestamp_seconds ${seconds}`);
  });

  it("are what each part of the question took that a release was verified with", async () => {
    const collector = await begin();
    const verify = [
      { id: "functional-question", measures: { uploadMs: 1 } },
      { id: "performance-question", measures: { uploadMs: 210, searchMs: 40, ownMs: 90 } },
    ];
    await write(
      join(collector.at("records"), "releases", "000001.end.json"),
      JSON.stringify({ number: 1, outcome: "succeeded", verify }),
    );
    collector.start();

    const samples = await collector.samples("technicia_release_number 1");
    expect(samples.filter((line) => line.startsWith("technicia_release_hop_seconds"))).toEqual([
      'technicia_release_hop_seconds{hop="upload"} 0.21',
      'technicia_release_hop_seconds{hop="search"} 0.04',
    ]);
  });

  it("are the certificate's end, and whether it is the placeholder", async () => {
    const collector = await begin();
    const certificate = async (name: string) => {
      await run([
        "openssl",
        ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
        ...["-days", "30", "-subj", `/CN=${name}`],
        ...["-keyout", collector.at("key.pem"), "-out", collector.at("new.pem")],
      ]);
      await cp(collector.at("new.pem"), collector.at("fullchain.pem"));
    };
    await certificate("placeholder.invalid");
    collector.start();
    const placeholder = await collector.samples("technicia_certificate_placeholder 1");
    await certificate("technicia.exemple.fr");
    await collector.samples("technicia_certificate_placeholder 0");

    const line = placeholder.find((one) => one.startsWith("technicia_certificate_not_after"))!;
    const days = (Number(line.split(" ")[1]) - Date.now() / 1000) / 86_400;
    expect(days).toBeGreaterThan(29);
    expect(days).toBeLessThan(31);
  });

  it("are apt's pending patches, asked once, and whether the server has to be rebooted", async () => {
    const collector = await begin();
    await write(
      collector.at("patches.sh"),
      `echo asked >> '${collector.at("asked")}'; printf 'security\\ta\\nupgrade\\ta\\nupgrade\\tb\\n'`,
    );
    collector.start();
    const samples = await collector.samples("technicia_patches_pending");
    await writeFile(collector.at("reboot-required"), "");
    await collector.samples("technicia_reboot_required 1");

    expect(samples).toEqual(
      expect.arrayContaining([
        "technicia_patches_pending 2",
        "technicia_patches_security 1",
        "technicia_reboot_required 0",
      ]),
    );
    expect(await readFile(collector.at("asked"), "utf8")).toBe("asked\n");
  });
});
