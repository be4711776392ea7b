/** The server: its memory, disks, clock and load, what it writes, and who tries to come in. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { run, tryRun } from "../../common/run.ts";
import { DATACENTRE } from "../../rehearsal/addresses.ts";
import { MEMORY } from "./faults-services.ts";
import type { Fault } from "./faults.ts";
import { onServer } from "./rehearsal.ts";

const LIES = "/run/technicia-lies.json";
const DISK = 'device="/dev/vdb1",fstype="ext4",mountpoint="/srv"';
const GIB = 1024 ** 3;

/** Series of the exporter → value; of a server that lacks nothing, whatever the machine is that the rehearsal's server shares. */
const WELL: Readonly<Record<string, number>> = {
  node_memory_MemTotal_bytes: 8 * GIB,
  node_memory_MemAvailable_bytes: 4 * GIB,
  node_load5: 0.2,
  node_timex_sync_status: 1,
  node_timex_offset_seconds: 0,
  [`node_filesystem_size_bytes{${DISK}}`]: 100 * GIB,
  [`node_filesystem_avail_bytes{${DISK}}`]: 60 * GIB,
  [`node_filesystem_files{${DISK}}`]: 1_000_000,
  [`node_filesystem_files_free{${DISK}}`]: 900_000,
};

const LIAR = `
import http.server, json, pathlib, urllib.request
class Liar(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        lies = json.loads(pathlib.Path("${LIES}").read_text())
        lines = urllib.request.urlopen("http://127.0.0.1:9101/metrics").read().decode().splitlines()
        kept = [line for line in lines if line.rpartition(" ")[0] not in lies]
        said = "".join(f"{line}\\n" for line in [*kept, *(f"{name} {value}" for name, value in lies.items())]).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", 9100), Liar).serve_forever()
`;

/**
 * Puts a program in the place of the host's exporter, which tells what the real one tells, but for some values. The server's memory, disk,
 * clock and load are this machine's: nobody may take all of them, and no container can set the clock.
 */
export async function decideHost(): Promise<void> {
  await onServer(`set -e
echo '${JSON.stringify(WELL)}' > ${LIES}
cat > /run/technicia-liar.py <<'P'${LIAR}P
systemctl stop prometheus-node-exporter.service
systemd-run --quiet --unit technicia-honest prometheus-node-exporter --web.listen-address=127.0.0.1:9101
systemd-run --quiet --unit technicia-liar python3 /run/technicia-liar.py
until curl --silent --fail --output /dev/null http://127.0.0.1:9100/metrics; do sleep 0.2; done`);
}

export async function leaveHost(): Promise<void> {
  await onServer(`systemctl stop technicia-liar.service technicia-honest.service
systemctl start prometheus-node-exporter.service; rm --force ${LIES} /run/technicia-liar.py`);
}

const say = (facts: Readonly<Record<string, number>>) => `python3 - '${JSON.stringify(facts)}' <<'P'
import json, os, pathlib, sys
path = pathlib.Path("${LIES}")
new = path.with_suffix(".new")
new.write_text(json.dumps({**json.loads(path.read_text()), **json.loads(sys.argv[1])}))
os.replace(new, path)
P`;

function host(
  name: string,
  facts: Readonly<Record<string, number>>,
  more: Pick<Fault, "alerts"> & Partial<Fault>,
): Fault {
  const well = Object.fromEntries(Object.keys(facts).map((series) => [series, WELL[series] ?? 0]));
  return {
    ...{ name, inject: say(facts), repair: say(well) },
    moves: "the server has its machine's memory, disk, load and clock: the exporter's answer is changed",
    ...more,
  };
}

/** All of a measure of its own. */
export const SHORT_OF_EVERYTHING: readonly Fault[] = [
  host(
    "the server's memory is nearly taken",
    // 97 %, and less than 256 MiB: beyond every limit.
    { node_memory_MemAvailable_bytes: 0.24 * GIB },
    {
      alerts: { HostMemoryCritical: "P1" },
      follows: ["HostMemoryExhausted", "AvailableMemoryCritical", "AvailableMemoryLow"],
    },
  ),
  host(
    "a disk is nearly full",
    { [`node_filesystem_avail_bytes{${DISK}}`]: 8 * GIB },
    { alerts: { "DiskCritical-/srv": "P1" }, follows: ["DiskFreeLow", "DiskWarning"] },
  ),
  host(
    "a disk has hardly room for another file",
    { [`node_filesystem_files_free{${DISK}}`]: 50_000 },
    { alerts: { "InodesLow-/srv": "P2" } },
  ),
  // More than 1.5 for each core, of however many.
  host(
    "programs wait for a processor",
    { node_load5: 1000 },
    { alerts: { LoadCritical: "P2" }, follows: ["LoadHigh"] },
  ),
  host(
    "the clock is off by two seconds",
    { node_timex_offset_seconds: 2 },
    { alerts: { ClockOffset: "P3" } },
  ),
  host(
    "nothing keeps the clock in time",
    { node_timex_sync_status: 0 },
    { alerts: { ClockUnsynchronised: "P3" } },
  ),
  MEMORY.full,
];

const container = (alias: string) =>
  `$(docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-${alias} --filter status=running | head -n 1)`;

/** Has a service write a line that often, as its own program does. */
export const write = (alias: string, { line, times }: { readonly line: string; readonly times: number }) =>
  `docker exec --interactive ${container(alias)} sh -c 'line=$(cat); for at in $(seq ${times}); do echo "$line" > /proc/1/fd/1; done' <<'L'
${line}
L`;

/** A line that counts as an error of its service. */
export const ERROR = "ERROR: panne simulée";
const answer = (sources: number) => JSON.stringify({ event: "answer", sources });

export const LINES: readonly Fault[] = [
  {
    name: "a service writes an error now and then",
    // In any minute fewer than the ten of which a person is told at once.
    inject: Array.from({ length: 3 }, () => write("vector-store", { line: ERROR, times: 8 })).join(
      "\nsleep 65\n",
    ),
    repair: "true",
    alerts: { "ServiceErrors-vector-store": "P3" },
    endsSeconds: 900,
  },
  {
    name: "a service writes errors only",
    inject: write("n8n", { line: ERROR, times: 12 }),
    repair: "true",
    alerts: { CriticalErrors: "P1" },
    endsSeconds: 60,
  },
  {
    name: "a unit floods the journal",
    inject: `systemd-run --quiet --unit technicia-flood bash -c 'while :; do for at in {1..20}; do echo "line $at"; done; sleep 0.1; done'`,
    repair: "systemctl stop technicia-flood.service",
    alerts: { "LogFlood-technicia-flood.service": "P3" },
    windowSeconds: 45,
    endsSeconds: 60,
  },
  {
    name: "answers name no document",
    inject: write("vector-store", { line: answer(0), times: 20 }),
    // So that fewer than 30 % of the hour's answers name none.
    repair: write("vector-store", { line: answer(3), times: 60 }),
    alerts: { AnswersWithoutSource: "P3" },
  },
];

/** More than twenty within an hour, from a network that may open ssh. */
const GUESSES = 22;

async function guess(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "technicia-guess-"));
  try {
    const key = join(folder, "key");
    await run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key]);
    const options = ["BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=no"];
    const set = [...options, "UserKnownHostsFile=/dev/null"].flatMap((option) => ["-o", option]);
    for (let time = 0; time < GUESSES; time += 1) {
      const command = ["ssh", "-F", "none", "-i", key, ...set, `debian@${DATACENTRE.server}`, "true"];
      const { code, stderr } = await tryRun(command);
      if (code !== 255 || !stderr.includes("Permission denied"))
        throw new Error(`ssh with a strange key: expected a refusal, got ${code}: ${stderr}`);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}

export const LAST: readonly Fault[] = [
  MEMORY.exceeded,
  {
    name: "somebody guesses keys",
    inject: guess,
    repair: "true",
    alerts: { SshLoginsFailing: "P3" },
    endsSeconds: Infinity,
  },
];
