/** What the engine really wrote and printed in rehearsals, and events made from it. */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

import { readChanges } from "../../../ops/changes/changes.ts";
import { readEvents } from "../../../ops/engine/events.ts";
import { findIrreversible } from "../../../ops/changes/irreversible.ts";
import type { PreviewReport } from "../../../ops/preview/markdown.ts";

export const recordings = ["quiet", "bump", "domain", "secret", "firewall", "destroy"] as const;

export type Recording = (typeof recordings)[number];

export function eventLog(name: Recording): string {
  return read(`${name}.events.jsonl`);
}

export function diffText(name: Recording): string {
  return read(`${name}.diff.txt`);
}

export function savedPlan(): string {
  return read("bump.plan.json");
}

function read(name: string): string {
  return gunzipSync(readFileSync(new URL(`recorded/${name}.gz`, import.meta.url))).toString();
}

/** The summary that the engine itself made of a recorded run. */
export function engineCounts(name: Recording): Record<string, number> {
  const lines = eventLog(name)
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { summaryEvent?: { resourceChanges: Record<string, number> } });
  const counts = lines.find(({ summaryEvent }) => summaryEvent)?.summaryEvent?.resourceChanges;
  if (!counts) throw new Error(`${name}: the recording has no summary`);
  return counts;
}

export function reportOf(log: string, changed: Partial<PreviewReport> = {}): PreviewReport {
  const { steps, ...changes } = readChanges(readEvents(log));
  return {
    ...changes,
    stack: "test",
    revision: "0123abc",
    refreshed: false,
    violations: [],
    irreversible: findIrreversible(steps),
    diff: "",
    ...changed,
  };
}

/** `count` deletions: the recorded ones again and again, under other names. */
export function manyDeletions(count: number): string {
  const recorded = eventLog("destroy")
    .trim()
    .split("\n")
    .filter((line) => line.includes('"resourcePreEvent"') && line.includes('"custom":true'));
  return Array.from({ length: count }, (_, index) => {
    const line = recorded[index % recorded.length] ?? "";
    const event = JSON.parse(line) as { resourcePreEvent: { metadata: { urn: string } } };
    event.resourcePreEvent.metadata.urn += `-${index}`;
    return JSON.stringify(event);
  }).join("\n");
}

interface State {
  readonly protect?: boolean;
  readonly retainOnDelete?: boolean;
  readonly inputs?: object;
  readonly outputs?: object;
}

export interface MadeStep {
  readonly op: string;
  /** Types of the components around it and its own, joined by `$`. */
  readonly chain: string;
  readonly name: string;
  readonly old?: State;
  readonly new?: State;
  readonly keys?: readonly string[];
  readonly diffs?: readonly string[];
  readonly detailedDiff?: Readonly<Record<string, { diffKind: string; inputDiff: boolean }>>;
}

/** One event in the engine's form, for what no rehearsal did. */
export function stepEvent({ chain, name, old, new: after, ...rest }: MadeStep): string {
  const state = (given: State | undefined) =>
    given === undefined ? null : { custom: true, inputs: {}, outputs: {}, ...given };
  const metadata = {
    urn: `urn:pulumi:test::technicia::${chain}::${name}`,
    type: chain.split("$").at(-1),
    old: state(old),
    new: state(after),
    ...rest,
  };
  return JSON.stringify({ resourcePreEvent: { metadata } });
}

/** How the engine writes a secret into its events. */
export function secretMark(beside: object = { ciphertext: "[secret]" }): object {
  return { "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", ...beside };
}
