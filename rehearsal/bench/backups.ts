/** Sets of backups with 1 GiB of documents, next to plain restic and plain tar on the same data. */
import { setTimeout as delay } from "node:timers/promises";

import { run } from "../../common/run.ts";
import { reinstall } from "../reinstall.ts";
import { SERVER } from "../world.ts";
import type { Operate } from "./floors.ts";
import { judged, measure, type Measure } from "./measure.ts";
import { measureUnderTraffic, N8N } from "./traffic.ts";

/** How long requests are measured while nothing else is done. */
const QUIET_MS = 10_000;

/** Most memory that restic may take on the server, in MiB. */
const PEAK_MIB = 150;

/** n8n's folder of documents; 256 files of 4 MiB that cannot be compressed. */
const FILL = `
folder=$(docker volume inspect technicia-n8n-data --format '{{.Mountpoint}}')/binaryData/workflows/bench
mkdir --parents "$folder"
for at in $(seq 256); do head --bytes 4M /dev/urandom > "$folder/$at.pdf"; done
chown --recursive --reference "$folder/../../../config" "$folder/../.."`;

/** What an hour adds. */
const CHANGE = `
folder=$(docker volume inspect technicia-n8n-data --format '{{.Mountpoint}}')/binaryData/workflows/bench
head --bytes 4M /dev/urandom > "$folder/1.pdf"
chown --reference "$folder/2.pdf" "$folder/1.pdf"`;

/** The same folder, storage, key and program, and nothing around them. */
const PLAIN_RESTIC = `
folder=$(docker volume inspect technicia-n8n-data --format '{{.Mountpoint}}')/binaryData
known() { python3 -c 'import json, sys; print(json.load(open("/etc/technicia/backup.json"))[sys.argv[1]])' "$1"; }
plain() {
  docker run --rm --network host --volume "$folder:/set:ro" --volume /etc/technicia/backup/writer:/run/key:ro \
    --volume /etc/technicia/backup/password:/run/password:ro --volume /etc/ssl/certs/ca-certificates.crt:/run/authorities:ro \
    --env AWS_SHARED_CREDENTIALS_FILE=/run/key --env AWS_DEFAULT_REGION="$(known region)" --entrypoint restic "$(known restic)" \
    --repo "$(known repository)/plain-$1" --password-file /run/password --cacert /run/authorities --no-cache "\${@:2}"
}
plain "$1" init
plain "$1" backup /set`;

const PLAIN_TAR = `
folder=$(docker volume inspect technicia-n8n-data --format '{{.Mountpoint}}')/binaryData
tar --create --file /var/tmp/bench.tar --directory "$folder" .
rm /var/tmp/bench.tar`;

export async function measureBackups(operate: Operate): Promise<Measure[]> {
  const npm = (script: string, ...args: string[]) =>
    operate(["npm", "run", "--silent", script, "--", "test", ...args]);
  const quiet = await measureUnderTraffic("floor: requests alone", () => delay(QUIET_MS));
  await onServer(FILL);
  const first = await measureSet("first set of 1 GiB", { limit: 60, step: () => npm("backup") });
  await onServer(CHANGE);
  const next = await measureSet("hourly set of 1 GiB", { limit: 15, step: () => npm("backup") });
  const measures = [
    quiet,
    ...first,
    ...next,
    await measure("floor: plain restic", { step: () => onServer(PLAIN_RESTIC, String(Date.now())) }),
    await measure("floor: plain tar, to the same disk", { step: () => onServer(PLAIN_TAR) }),
    judged(await measure("drill", { step: () => npm("drill") }), 300),
    await measureUnderTraffic(
      "restore of Qdrant alone, n8n asked",
      () => npm("restore", "--only", "qdrant", "--yes"),
      N8N,
    ),
    judged(await measureUnderTraffic("restore of 1 GiB", () => npm("restore", "--yes")), 60),
  ];
  await reinstall();
  const recovery = await measure("recovery from nothing", { step: () => npm("recover", "--yes") });
  return [...measures, judged(recovery, 360)];
}

/** A set under traffic, and the most memory that restic has taken on the server. */
async function measureSet(
  name: string,
  { limit, step }: { readonly limit: number; readonly step: () => Promise<void> },
): Promise<Measure[]> {
  const peak = "/var/tmp/bench.peak";
  // The kernel keeps the peak of each process, so that looking once a second is enough: looking is work, too, on the server's two cores.
  const watch = `highest=0
while sleep 1; do
  for id in $(pgrep --exact restic); do
    kib=$(awk '/^VmHWM:/ { print $2 }' "/proc/$id/status" 2>/dev/null)
    if [ "\${kib:-0}" -gt "$highest" ]; then highest=$kib; fi
  done
  echo "$highest" > ${peak}
done`;
  // From a file: systemd-run expands \${…} in what it is given.
  const start = `rm --force ${peak}; printf %s "$1" > ${peak}.sh; systemd-run --quiet --unit technicia-bench --nice 19 bash ${peak}.sh`;
  await onServer(start, watch);
  const measured = judged(await measureUnderTraffic(name, step), limit, { failed: 0 });
  await onServer("systemctl stop technicia-bench");
  const peakMib = Math.round(Number(await onServer(`cat ${peak}`)) / 1024);
  const verdict = peakMib <= PEAK_MIB ? "met" : "missed";
  return [
    measured,
    {
      name: "  memory on the server: restic",
      seconds: measured.seconds,
      peakMib,
      target: `${verdict}: at most ${PEAK_MIB} MiB`,
    },
  ];
}

function onServer(script: string, ...args: string[]): Promise<string> {
  return run(["docker", "exec", SERVER, "bash", "-euc", script, "-", ...args]);
}
