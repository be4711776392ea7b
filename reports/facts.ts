/** Facts of each environment, from its state and from the records on its server. */
import type { StackOutputs } from "../stacks/deployment-status.ts";
import type { AuditEvent, Release } from "../common/release.ts";
import type { EnvironmentName } from "./labels-fr.ts";

export interface Made {
  readonly type: string;
  /** Logical name, the last part of the URN. */
  readonly name: string;
  readonly at: Date | undefined;
}

export interface Records {
  readonly releases: readonly Release[];
  readonly history: readonly AuditEvent[];
  /** Records that cannot be read, one line each. */
  readonly corrupt: readonly string[];
}

/** Why something could not be read. */
export interface Missing {
  readonly why: string;
}

export type EnvironmentFacts = { readonly stack: string; readonly name: EnvironmentName } & (
  | { readonly state: "absent" }
  | ({ readonly state: "unreadable" } & Missing)
  | {
      readonly state: "present";
      readonly made: readonly Made[];
      /** Undefined until a deployment has ended. */
      readonly outputs: StackOutputs | undefined;
      readonly records: Records | Missing;
    }
);

export type PresentFacts = Extract<EnvironmentFacts, { state: "present" }>;

export function recordsOf(facts: EnvironmentFacts): Records | undefined {
  return facts.state === "present" && "releases" in facts.records ? facts.records : undefined;
}

/** Something that could not be read. */
export interface Gap extends Missing {
  readonly stack: string;
  readonly name: EnvironmentName;
  readonly what: "state" | "records" | "record";
}

export function gapsOf(all: readonly EnvironmentFacts[]): Gap[] {
  return all.flatMap((facts): Gap[] => {
    const gap = (what: Gap["what"], why: string): Gap => ({
      stack: facts.stack,
      name: facts.name,
      what,
      why,
    });
    if (facts.state === "unreadable") return [gap("state", facts.why)];
    if (facts.state === "absent") return [];
    if ("why" in facts.records) return facts.outputs ? [gap("records", facts.records.why)] : [];
    return facts.records.corrupt.map((line) => gap("record", line));
  });
}
