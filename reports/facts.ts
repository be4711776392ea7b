/** Facts of each environment, from its state and from the records on its server. */
import type { Cost } from "../common/cost.ts";
import type { StackOutputs } from "../stacks/deployment-status.ts";
import type { AuditEvent, Release } from "../common/release.ts";
import type { EnvironmentName } from "./labels-fr.ts";

export interface Made {
  readonly type: string;
  /** Logical name, the last part of the URN. */
  readonly name: string;
  readonly at: Date | undefined;
}

/** Times in ISO 8601. */
export interface Backups {
  readonly last?: { readonly time: string } | undefined;

  /** The last run that failed. */
  readonly failure?: { readonly at: string; readonly text: string } | undefined;

  /** Rehearsals of a restore, the last one last. */
  readonly drills: readonly {
    readonly set: string;
    readonly at: string;
    readonly took: number;
    readonly passed: boolean;
    readonly findings: readonly string[];
  }[];
}

export interface Records {
  readonly releases: readonly Release[];
  readonly history: readonly AuditEvent[];
  /** Records that cannot be read, one line each. */
  readonly corrupt: readonly string[];

  /** What the server has recorded of its backups; absent where it makes none. */
  readonly backups?: Backups;

  /** Why they are those in a set of backups instead of the server's, and how old they are. */
  readonly copy?: string;
}

/** What the monitoring has measured in the last 30 days. */
export interface Monitored {
  /** By each neighbour, from its own server; empty where none watches. */
  readonly availability: readonly {
    /** Stack of the neighbour. */
    readonly by: string;

    /** Share of the time; what is missing counts as unavailable. Undefined: not measured. */
    readonly percent?: number | undefined;

    /** First measurement of these 30 days. */
    readonly since?: Date | undefined;

    /** Why it could not be read. */
    readonly why?: string;
  }[];

  /** Of P1, P2 and P3, the oldest first. */
  readonly alerts: readonly {
    readonly id: string;
    readonly severity: string;
    readonly from: Date;
    readonly until: Date;
    readonly isActive: boolean;

    /** Why nobody was told of it; undefined where somebody was. */
    readonly quiet: "planned" | "explained" | undefined;
  }[];

  /** Means of equal spans that end at `at`, the oldest first; undefined where nothing was measured. */
  readonly points: readonly {
    readonly at: Date;
    readonly p50Seconds: number | undefined;
    readonly p95Seconds: number | undefined;
    readonly p99Seconds: number | undefined;
    readonly failedPercent: number | undefined;
  }[];

  /** Hours of a point. */
  readonly pointHours: number;
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
      /** Of a month, as it is deployed; absent where nobody asked. */
      readonly cost?: Cost | Missing;
      /** Absent where nobody asked; `off` where nothing is measured. */
      readonly monitoring?: Monitored | "off" | Missing;
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
  readonly what: "state" | "records" | "copy" | "record" | "monitoring";
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
    const { copy, corrupt } = facts.records;
    const { monitoring } = facts;
    return [
      ...(typeof monitoring === "object" && "why" in monitoring ? [gap("monitoring", monitoring.why)] : []),
      ...(copy === undefined ? [] : [gap("copy", copy)]),
      ...corrupt.map((line) => gap("record", line)),
    ];
  });
}
