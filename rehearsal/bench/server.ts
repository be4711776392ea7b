/** The rehearsal's server, as the bench uses it. */
import { z } from "zod";

import { AFTERMATH } from "../../common/planned-alerts.ts";
import { run } from "../../common/run.ts";
import { until } from "../../common/until.ts";
import { effectsAfter, type Span, SYMPTOMS } from "../../components/monitoring/inhibitions.ts";
import { SERVER } from "../world.ts";

export function onServer(script: string): Promise<string> {
  return run(["docker", "exec", SERVER, "bash", "-euc", script]);
}

/** Services that started anew are counted for a quarter of an hour. */
const CALM_MS = 20 * 60_000;

const alerts = z.array(z.object({ labels: z.record(z.string(), z.string()) }));
type Labels = z.infer<typeof alerts>[number]["labels"];

/** Whether an alert would take back a release, or keeps back messages about requests: what came before would be measured. */
export function disturbs({ alertname, rollback, cause = "", span }: Labels): boolean {
  if (alertname === AFTERMATH)
    return effectsAfter(cause, span as Span).some((name) => SYMPTOMS.includes(name));
  return rollback === "yes";
}

/** Waits until nothing of before disturbs a measure. */
export async function untilCalm(): Promise<void> {
  let left: readonly Labels[] = [];
  const isCalm = async () => {
    const answer = await onServer("curl --silent --fail http://127.0.0.1:9093/api/v2/alerts");
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
