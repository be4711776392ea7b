/** The stores, asked as the intake asks them for what one of several servers sends. */
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { run } from "../../../common/run.ts";
import { ACCESS_SOCKET } from "../../../components/gateway-monitoring.ts";
import { STORED_AS } from "../../../components/monitoring/intake.ts";
import {
  describePrograms,
  type ProgramSecrets,
  type ProgramSettings,
} from "../../../components/monitoring/programs.ts";
import { until } from "../../support/until.ts";
import { post, rowsOf, type RunningProgram, startMetrics, startProgram } from "./program.ts";

/** Not of this second: the store of metrics shows the newest one late. */
const NOW = Date.now() - 10_000;
let metrics: RunningProgram;
let logs: RunningProgram;

const memoryMib = { metrics: 128, logs: 128, metricRules: 48, logRules: 48, alerts: 64, probes: 32 };
const settings: ProgramSettings = {
  ...{ stack: "prod", timeZone: "Europe/Paris", scrapeSeconds: 15, metricsDays: 35, logsDays: 14 },
  ...{ logsMaxGib: 2, minFreeGib: 1, memoryMib, hasGateway: true, server: "gra-1" },
};

/** Those arguments of the store that decide what becomes of a line. */
const lineArgs = (folder: string) =>
  describePrograms(settings, {} as ProgramSecrets)
    .logs.args!.filter((arg) => /^-(journald|syslog)\./.test(arg))
    .map((arg) => arg.replace(ACCESS_SOCKET.container, folder));

beforeAll(async () => {
  metrics = await startMetrics();
  logs = await startProgram("victoria-logs", {
    ready: "/health",
    args: ({ folder, port }) => [
      `-storageDataPath=${folder}`,
      `-httpListenAddr=127.0.0.1:${port}`,
      ...lineArgs(folder),
    ],
  });
});

afterAll(async () => {
  await metrics.stop();
  await logs.stop();
});

/** Entries as `systemd-journal-upload` sends them. */
const journal = (entries: readonly Readonly<Record<string, string>>[]) =>
  entries
    .map((fields) =>
      Object.entries(fields)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(""),
    )
    .map((entry) => `__REALTIME_TIMESTAMP=${NOW * 1000}\n${entry}\n`)
    .join("");

async function upload(server: string, entries: Parameters<typeof journal>[0]): Promise<void> {
  const answer = await fetch(`${logs.url}${STORED_AS.journal(server)}`, {
    method: "POST",
    headers: { "content-type": "application/vnd.fdo.journal" },
    body: journal(entries),
  });
  expect(answer.status).toBe(200);
}

async function ask(query: string): Promise<readonly Readonly<Record<string, string>>[]> {
  const text = await post(`${logs.url}/select/logsql/query`, new URLSearchParams({ query }));
  return text
    .split("\n")
    .flatMap((line) => (line === "" ? [] : [JSON.parse(line) as Record<string, string>]));
}

describe("what a server sends", () => {
  it("gets its name as a label of every series, whatever the sender says itself", async () => {
    for (const server of ["gra-1", "gra-2"])
      await post(
        `${metrics.url}${STORED_AS.metrics(server)}`,
        `node_load5{job="host"} 1 ${NOW}\nnode_load5{job="forged",server="gra-9"} 1 ${NOW}\n`,
      );
    await post(`${metrics.url}/internal/force_flush`, "");
    const query = new URLSearchParams({ query: "node_load5", time: String(NOW / 1000) });
    const rows = rowsOf(await post(`${metrics.url}/api/v1/query`, query));

    expect(rows.map(({ metric }) => [metric["server"], metric["job"]]).sort()).toEqual([
      ["gra-1", "forged"],
      ["gra-1", "host"],
      ["gra-2", "forged"],
      ["gra-2", "host"],
    ]);
  });

  it("gets its name as a field of every line, and of its stream", async () => {
    await upload("gra-2", [
      { MESSAGE: "Started.", _SYSTEMD_UNIT: "ssh.service", _HOSTNAME: "vps-2a2b3c4d" },
      { MESSAGE: "ready", CONTAINER_TAG: "vector-store", _SYSTEMD_UNIT: "docker.service" },
    ]);
    await upload("sbg-1", [{ MESSAGE: "Started.", _SYSTEMD_UNIT: "ssh.service" }]);
    await post(`${logs.url}/internal/force_flush`, "");
    const lines = await ask('{server="gra-2"} | fields _msg, server, _stream');
    expect(lines.map(({ _msg, server }) => [_msg, server]).sort()).toEqual([
      ["Started.", "gra-2"],
      ["ready", "gra-2"],
    ]);
    expect(await ask("* | stats by (server) count() lines | sort by (server)")).toEqual([
      { server: "gra-2", lines: "2" },
      { server: "sbg-1", lines: "1" },
    ]);
  });

  it("gets its name in the stream of its gateway's lines, which rules find like those of the first", async () => {
    const line = {
      _time: new Date(NOW).toISOString(),
      app_name: "gateway",
      _msg: '{"uri":"/a","status":502}',
    };
    // Without a type, as the program sends it: a form's body would be read as one.
    const sent = { method: "POST", body: Buffer.from(JSON.stringify(line)) };
    expect((await fetch(`${logs.url}${STORED_AS.accessLines("gra-2")}`, sent)).ok).toBe(true);
    await post(`${logs.url}/internal/force_flush`, "");

    expect(await ask('{app_name="gateway"} server:="gra-2" | fields _msg, server, _stream')).toEqual([
      { _msg: line._msg, server: "gra-2", _stream: '{app_name="gateway",server="gra-2"}' },
    ]);
  });

  it("has the gateway's lines on the server of the stores named like those of the others", async () => {
    const send = `import socket, sys; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(sys.argv[2].encode(), sys.argv[1])`;
    const line = `<190>Nov 28 12:00:00 gateway: {"uri":"/","status":200}`;
    await run(["python3", "-c", send, join(logs.folder, ACCESS_SOCKET.file), line]);

    const found = await until("the line is there", async () => {
      await post(`${logs.url}/internal/force_flush`, "");
      const lines = await ask('{app_name="gateway",server="gra-1"} | fields _msg, server, _stream');
      return lines.length > 0 ? lines : undefined;
    });
    expect(found).toEqual([
      { _msg: '{"uri":"/","status":200}', server: "gra-1", _stream: '{app_name="gateway",server="gra-1"}' },
    ]);
  });
});
