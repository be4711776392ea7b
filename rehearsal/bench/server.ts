/** The rehearsal's server, as the bench uses it. */
import { parse } from "yaml";
import { z } from "zod";

import { LOOPBACK_PORTS } from "../../common/monitoring.ts";
import { AFTERMATH } from "../../common/planned-alerts.ts";
import { run } from "../../common/run.ts";
import { until } from "../../common/until.ts";
import { SERVER } from "../world.ts";

export function onServer(script: string): Promise<string> {
  return run(["docker", "exec", SERVER, "bash", "-euc", script]);
}

/** For `docker ps --filter`: containers of a service, by its alias. */
export const tasksOf = (alias: string): string => `label=com.docker.swarm.service.name=technicia-${alias}`;

export const scale = (alias: string, count: number): Promise<string> =>
  onServer(`docker service scale --detach technicia-${alias}=${count} >/dev/null`);

/** Scales a service to nothing, and waits until it is gone. */
export async function stopService(alias: string): Promise<void> {
  await scale(alias, 0);
  await until(async () => (await onServer(`docker ps --quiet --filter ${tasksOf(alias)}`)) === "", {
    limit: 60_000,
    late: () => new Error(`${alias}: expected it to stop within a minute`),
  });
}

/** Services that started anew are counted for a quarter of an hour. */
const CALM_MS = 20 * 60_000;

const alerts = z.array(z.object({ labels: z.record(z.string(), z.string()) }));
type Labels = z.infer<typeof alerts>[number]["labels"];

/** Whether an alert would take back a release, or keeps back messages about requests: what came before would be measured. */
export function disturbs({ alertname, rollback, span }: Labels): boolean {
  // What lasts for a moment only holds back what shows at once.
  return alertname === AFTERMATH ? span !== "moment" : rollback === "yes";
}

/** Waits until nothing of before disturbs a measure. */
export async function untilCalm(): Promise<void> {
  let left: readonly Labels[] = [];
  const isCalm = async () => {
    const answer = await onServer(
      `curl --silent --fail http://127.0.0.1:${LOOPBACK_PORTS.alerts}/api/v2/alerts`,
    );
    left = alerts
      .parse(JSON.parse(answer))
      .map(({ labels }) => labels)
      .filter(disturbs);
    return left.length === 0;
  };
  const named = () => left.map(({ id, alertname, cause = "" }) => id ?? `${alertname ?? "?"} ${cause}`);
  const late = () => new Error(`the alerts: expected none that disturbs, got ${named().join(", ")}`);
  await until(isCalm, { limit: CALM_MS, every: 1000, late });
}

const status = z.object({ config: z.object({ original: z.string() }) });
const routes = z.object({
  route: z.object({
    routes: z.array(
      z.object({ matchers: z.array(z.string()).default([]), group_wait: z.string().default("") }),
    ),
  }),
});

/** Seconds for which the first message about an alert waits on purpose, as Alertmanager has it. */
export async function firstWaitOf(alertname: string, severity: string): Promise<number> {
  const answer = await onServer(
    `curl --silent --fail http://127.0.0.1:${LOOPBACK_PORTS.alerts}/api/v2/status`,
  );
  return readFirstWait(status.parse(JSON.parse(answer)).config.original, { alertname, severity });
}

/** From the text of Alertmanager's configuration: `1m35s`, of the route that names the alert. */
export function readFirstWait(
  config: string,
  { alertname, severity }: { readonly alertname: string; readonly severity: string },
): number {
  const isOf = (matcher: string) => new RegExp(`^alertname=~".*\\b${alertname}\\b`).test(matcher);
  const found = routes
    .parse(parse(config))
    .route.routes.find(({ matchers }) => matchers.some(isOf) && matchers.includes(`severity="${severity}"`));
  const [whole, minutes = 0, seconds = 0] = /^(?:(\d+)m)?(?:(\d+)s)?$/.exec(found?.group_wait ?? "") ?? [];
  if (found === undefined || !whole)
    throw new Error(
      `Alertmanager: expected a route of ${alertname} with a wait, got ${found?.group_wait ?? "none"}`,
    );
  return 60 * Number(minutes) + Number(seconds);
}
