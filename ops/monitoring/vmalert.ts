/** vmalert, which evaluates the rules: one over metrics, one over logs. */
import { z } from "zod";

import type { UserError } from "../../common/user-error.ts";
import { parseAnswer, type StoreCall, type StoreName, type Stores } from "./stores.ts";
import type { Labels } from "./alertmanager.ts";

export const EVALUATORS = ["metric-rules", "log-rules"] as const satisfies readonly StoreName[];

const labels = z.record(z.string(), z.string()).nullish();

const alert = z.looseObject({
  state: z.string(),
  activeAt: z.string(),
  labels,
  annotations: labels,
  value: z.string().optional(),
});

const rule = z.looseObject({
  name: z.string(),
  type: z.string().default("alerting"),
  state: z.string().default(""),
  health: z.string().default(""),
  lastError: z.string().default(""),
  lastEvaluation: z.string().default(""),
  query: z.string().default(""),
  /** Seconds for which it must hold. */
  duration: z.number().default(0),
  labels,
  annotations: labels,
  alerts: z.array(alert).nullish(),
});

const answer = z.looseObject({
  data: z.looseObject({
    groups: z.array(z.looseObject({ name: z.string(), rules: z.array(rule).nullish() })).nullish(),
  }),
});

export interface FiringAlert {
  /** `firing`, or `pending` while its time runs. */
  readonly state: string;

  /** Since when its condition holds. */
  readonly activeAt: string;
  readonly labels: Labels;
  readonly annotations: Labels;
}

export interface Rule {
  readonly store: StoreName;
  readonly group: string;
  readonly name: string;
  readonly isAlerting: boolean;
  readonly state: string;

  /** What is wrong with the rule itself; undefined where it was evaluated. */
  readonly error: string | undefined;

  /** As vmalert gives it; empty before the first evaluation. */
  readonly lastEvaluation: string;
  readonly query: string;
  readonly forSeconds: number;
  readonly labels: Labels;
  readonly annotations: Labels;
  readonly alerts: readonly FiringAlert[];
}

export interface Rules {
  readonly rules: readonly Rule[];

  /** Evaluators that do not answer. */
  readonly silent: readonly UserError[];
}

/** The rules of both evaluators, as far as they answer. */
export async function readRules(stores: Pick<Stores, "askAll">): Promise<Rules> {
  const calls: StoreCall[] = EVALUATORS.map((store) => ({ store, path: "/api/v1/rules" }));
  const answers = await stores.askAll(calls);
  const silent = answers.flatMap((each) => (typeof each === "string" ? [] : [each]));
  const rules = answers.flatMap((text, index) =>
    typeof text === "string" ? rulesIn(calls[index]!, text) : [],
  );
  return { rules, silent };
}

function rulesIn(call: StoreCall, text: string): Rule[] {
  const { groups } = parseAnswer(call, { text, shape: answer }).data;
  return (groups ?? []).flatMap(({ name: group, rules }) =>
    (rules ?? []).map((each) => ({
      store: call.store,
      group,
      name: each.name,
      isAlerting: each.type === "alerting",
      state: each.state,
      error: each.health === "err" || each.lastError !== "" ? each.lastError || "it failed" : undefined,
      lastEvaluation: /^0001-/.test(each.lastEvaluation) ? "" : each.lastEvaluation,
      query: each.query,
      forSeconds: each.duration,
      labels: each.labels ?? {},
      annotations: each.annotations ?? {},
      alerts: (each.alerts ?? []).map((one) => ({
        state: one.state,
        activeAt: one.activeAt,
        labels: one.labels ?? {},
        annotations: one.annotations ?? {},
      })),
    })),
  );
}
