/**
 * Faults that people were told of: grave alerts from their beginning to their end, without planned work, without what another alert explains, and
 * with the pauses of an alert that flaps.
 */
import { parse } from "yaml";
import { z } from "zod";

import { readEpisodes, type Episode } from "./alert-history.ts";
import { AFTERMATH, PLANNED, readEverySilence, type Labels, type Matcher } from "./alertmanager.ts";
import { matches, parseMatcher } from "./matchers.ts";
import type { Stores } from "./stores.ts";

/** A pause that is shorter is part of the fault. */
export const CALM_SECONDS = 900;

/** Rules look back some minutes: an alert of planned work may begin and end this much after it. */
const SLACK_SECONDS = 300;

const GRAVE: readonly string[] = ["P1", "P2"];

export interface Fault extends Episode {
  /** Why nobody was told of it; undefined where somebody was. */
  readonly quiet: "planned" | "explained" | undefined;

  /** Whether it has been over for so long that it will not go on. */
  readonly isOver: boolean;
}

interface Span {
  readonly from: Date;
  readonly until: Date;

  /** Time between two evaluations of a rule. */
  readonly evaluationSeconds: number;

  /** @default P1 and P2 */
  readonly severities?: readonly string[];
}

/** Oldest first. */
export async function readFaults(stores: Pick<Stores, "read">, span: Span): Promise<readonly Fault[]> {
  const episodes = (await readEpisodes(stores, span)).filter(({ labels }) => labels["test"] !== "yes");
  const planned = (await readEverySilence(stores))
    .filter(({ comment }) => comment.startsWith(PLANNED))
    .map(({ matchers, startsAt, endsAt }) => ({
      matchers,
      from: new Date(startsAt),
      until: new Date(endsAt),
    }));
  const inhibitions = await readInhibitions(stores);
  return joined(episodes.filter(({ labels }) => labels["alertname"] !== AFTERMATH))
    .filter(({ severity }) => (span.severities ?? GRAVE).includes(severity))
    .map((fault): Fault => {
      const isPlanned = planned.some(
        (silence) => matches(silence.matchers, fault.labels) && covers(silence, fault),
      );
      const isExplained = episodes.some(
        (cause) =>
          cause.id !== fault.id &&
          covers(cause, fault) &&
          inhibitions.some((inhibition) => inhibits(inhibition, cause.labels, fault.labels)),
      );
      const calm = (span.until.getTime() - fault.until.getTime()) / 1000;
      const quiet = isPlanned ? "planned" : isExplained ? "explained" : undefined;
      return { ...fault, quiet, isOver: !fault.isActive && calm >= CALM_SECONDS };
    })
    .sort((one, other) => one.from.getTime() - other.from.getTime());
}

interface Period {
  readonly from: Date;
  readonly until: Date;
}

/** Whether the fault lasted no longer than that. */
function covers(period: Period, fault: Period): boolean {
  const slack = SLACK_SECONDS * 1000;
  return (
    period.from.getTime() - slack <= fault.from.getTime() &&
    period.from <= fault.until &&
    period.until.getTime() + slack >= fault.until.getTime()
  );
}

function joined(episodes: readonly Episode[]): readonly Episode[] {
  const faults: Episode[] = [];
  for (const own of Map.groupBy(episodes, ({ id }) => id).values()) {
    for (const next of own.toSorted((one, other) => one.from.getTime() - other.from.getTime())) {
      const last = faults.at(-1);
      const isSame = last?.id === next.id && next.from.getTime() - last.until.getTime() < CALM_SECONDS * 1000;
      if (!isSame) faults.push(next);
      else
        faults[faults.length - 1] = {
          ...last,
          until: new Date(Math.max(last.until.getTime(), next.until.getTime())),
          isActive: last.isActive || next.isActive,
        };
    }
  }
  return faults;
}

interface Inhibition {
  readonly source: readonly Matcher[];
  readonly target: readonly Matcher[];
  readonly equal: readonly string[];
}

const status = z.looseObject({ config: z.looseObject({ original: z.string() }) });
const config = z.looseObject({
  inhibit_rules: z
    .array(
      z.looseObject({
        source_matchers: z.array(z.string()).default([]),
        target_matchers: z.array(z.string()).default([]),
        equal: z.array(z.string()).default([]),
      }),
    )
    .default([]),
});

/** As Alertmanager applies them now. */
async function readInhibitions(stores: Pick<Stores, "read">): Promise<readonly Inhibition[]> {
  const { original } = (await stores.read({ store: "alerts", path: "/api/v2/status" }, status)).config;
  const rules = config.safeParse(parse(original)).data?.inhibit_rules ?? [];
  return rules.map(({ source_matchers: source, target_matchers: target, equal }) => ({
    source: source.map(parseMatcher),
    target: target.map(parseMatcher),
    equal,
  }));
}

function inhibits({ source, target, equal }: Inhibition, cause: Labels, effect: Labels): boolean {
  return (
    matches(source, cause) &&
    matches(target, effect) &&
    equal.every((name) => (cause[name] ?? "") === (effect[name] ?? ""))
  );
}
