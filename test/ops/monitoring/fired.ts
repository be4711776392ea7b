/** Alerts that the double of the store has seen, as the rules write them. */
import type { DoubleStores } from "./double-stores.ts";

export interface Fired {
  readonly labels: Readonly<Record<string, string>>;

  /** In ISO 8601: the first sample and the last one. */
  readonly from: string;
  readonly until: string;
}

export const SERVICE_DOWN = {
  ...{ alertname: "ServiceDown", severity: "P1", id: "ServiceDown-qdrant", service: "qdrant" },
};

/** Answers the questions about alerts in the order of time, and leaves all others to what answers them now. */
export function fire(stores: DoubleStores, ...fired: readonly Fired[]): void {
  const key = "metrics /api/v1/query_range";
  const others = stores.answers.get(key);
  stores.answers.set(key, (call) => {
    const { query = "", start, end } = call.form;
    if (!query.includes("ALERTS{alertstate")) return others?.(call);
    const [least, most] = [Number(start), Number(end)];
    const isFirst = query.startsWith("tfirst");
    const result = fired
      .map(({ labels, from, until }, index) => ({
        index,
        labels,
        from: Math.max(least, Date.parse(from) / 1000),
        until: Math.min(most, Date.parse(until) / 1000),
      }))
      .filter(({ from, until }) => from <= until)
      .map(({ index, labels, from, until }) => ({
        metric: labels,
        values: [[index, String(isFirst ? from : until)]],
      }));
    return { body: { data: { result: mergedByLabels(result) } } };
  });
}

interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: (string | number)[][];
}

function mergedByLabels(series: readonly Series[]): Series[] {
  const merged = Map.groupBy(series, ({ metric }) => JSON.stringify(metric));
  return [...merged.values()].map((all) => ({
    metric: all[0]!.metric,
    values: all.flatMap(({ values }) => values),
  }));
}
