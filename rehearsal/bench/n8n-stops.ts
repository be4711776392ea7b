/** How long n8n takes to stop, as Docker tells it on the rehearsal's server: from the signal to the end of its container. */
import { onServer, tasksOf } from "./server.ts";

const UNIT = "technicia-bench-stops";
const FILE = "/var/tmp/technicia-bench.stops";

const EVENTS =
  `docker events --filter type=container --filter ${tasksOf("n8n")} --filter event=kill --filter event=die ` +
  `--format "{{.TimeNano}} {{.Action}} {{.Actor.ID}}"`;

/** Watches until stopped, which gives the seconds of each stop. */
export async function watchStops(): Promise<{ readonly stop: () => Promise<readonly number[]> }> {
  // Docker keeps 256 events, which the health checks use up within minutes.
  await onServer(
    `systemctl stop ${UNIT} 2>/dev/null || true; rm --force ${FILE}; systemd-run --quiet --unit ${UNIT} bash -c '${EVENTS} > ${FILE}'`,
  );
  return {
    async stop() {
      await onServer(`systemctl stop ${UNIT}`);
      return stopsIn(await onServer(`cat ${FILE}`));
    },
  };
}

/** Lines such as `1764327000123456789 kill 4f5e…`; a container that ended by itself was not stopped. */
export function stopsIn(events: string): number[] {
  const told = new Map<string, bigint>();
  const stops: number[] = [];
  for (const line of events.split("\n")) {
    const [time = "", action, id = ""] = line.split(" ");
    if (action === "kill" && !told.has(id)) told.set(id, BigInt(time));
    const since = told.get(id);
    if (action === "die" && since !== undefined)
      stops.push(Number((BigInt(time) - since) / 1_000_000n) / 1000);
  }
  return stops;
}
