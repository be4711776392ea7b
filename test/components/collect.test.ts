/** The collector of an only server. */
import { createHash } from "node:crypto";
import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { describe, expect, it } from "vitest";

import { run } from "../../common/run.ts";
import { until } from "../support/until.ts";
import { begin, ENDED, ID, replace, write, writeSeparate, writeUnified } from "./collector.ts";

const specOf = (image: string) =>
  createHash("sha256")
    .update(JSON.stringify({ ContainerSpec: { Image: image } }).replace(/([:,])(?=["{])/g, "$1 "))
    .digest("hex")
    .slice(0, 8);

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
    `technicia_task_started_timestamp_seconds{service="n8n",spec="${specOf("n8n:1")}"} ${Date.parse("2026-11-27T10:00:00Z") / 1000}`,
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

  it("has another series of starts for another version of a service, which is no restart", async () => {
    const before = `technicia_task_started_timestamp_seconds{service="n8n",spec="${specOf("n8n:1")}"}`;
    const after = `technicia_task_started_timestamp_seconds{service="n8n",spec="${specOf("n8n:2")}"}`;
    const collector = await begin();
    collector.start();
    await collector.samples(before);
    // The old task runs on for a while.
    collector.world.image = "n8n:2";
    const meanwhile = await collector.samples();
    collector.world.containers = [{ id: ENDED, started: "2026-11-27T11:00:00Z" }];
    const updated = await collector.samples(after);
    collector.world.containers = [{ id: "f".repeat(64), started: "2026-11-27T12:00:00Z" }];
    const restarted = await collector.samples(`${after} ${Date.parse("2026-11-27T12:00:00Z") / 1000}`);

    const starts = (samples: readonly string[]) =>
      samples.filter((line) => line.startsWith("technicia_task_started_timestamp_seconds"));
    expect(starts(meanwhile)).toEqual([`${before} ${Date.parse("2026-11-27T10:00:00Z") / 1000}`]);
    expect(starts(updated)).toEqual([`${after} ${Date.parse("2026-11-27T11:00:00Z") / 1000}`]);
    expect(starts(restarted)).toEqual([`${after} ${Date.parse("2026-11-27T12:00:00Z") / 1000}`]);
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
