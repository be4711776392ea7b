/** What is known of each environment: from its state, and from the records on its server. */
import { z } from "zod";

import { stackOutputs, type StackOutputs } from "../../stacks/deployment-status.ts";
import type { AuditEvent, Release } from "../deploy/release.ts";
import { PulumiFailure, type Pulumi } from "../pulumi.ts";
import { UserError } from "../user-error.ts";
import { ENVIRONMENTS, type EnvironmentName } from "./french.ts";

/** A resource that the state holds, and since when. */
const resource = z.object({
  urn: z.string(),
  type: z.string(),
  created: z.iso.datetime({ precision: null }).optional(),
});

const exported = z.object({
  deployment: z.object({ resources: z.array(resource).optional() }).nullish(),
});

export interface Made {
  readonly type: string;
  /** Logical name, the last part of the URN. */
  readonly name: string;
  readonly at: Date | undefined;
}

export interface Records {
  readonly releases: readonly Release[];
  readonly history: readonly AuditEvent[];
  /** Records that are there and cannot be read, one line each. */
  readonly corrupt: readonly string[];
}

/** What could not be had, and why. */
export interface Missing {
  readonly why: string;
}

export type EnvironmentFacts = { readonly stack: string; readonly name: EnvironmentName } & (
  | { readonly state: "absent" }
  | ({ readonly state: "unreadable" } & Missing)
  | {
      readonly state: "present";
      readonly made: readonly Made[];
      /** Undefined as long as no deployment has come to its end. */
      readonly outputs: StackOutputs | undefined;
      readonly records: Records | Missing;
    }
);

export type PresentFacts = Extract<EnvironmentFacts, { state: "present" }>;

export interface FactSources {
  readonly pulumi: Pulumi;
  readonly readRecords: (outputs: StackOutputs) => Promise<Records>;
}

export function readAllFacts(sources: FactSources): Promise<EnvironmentFacts[]> {
  return Promise.all(ENVIRONMENTS.map((environment) => readFacts(environment, sources)));
}

async function readFacts(
  { stack, name }: (typeof ENVIRONMENTS)[number],
  { pulumi, readRecords }: FactSources,
): Promise<EnvironmentFacts> {
  try {
    const made = readResources(await pulumi({ args: ["stack", "export", "--stack", stack] }));
    if (made.length === 0) return { stack, name, state: "absent" };

    const outputs = readOutputs(
      stack,
      await pulumi({ args: ["stack", "output", "--json", "--stack", stack] }),
    );
    return {
      stack,
      name,
      state: "present",
      made,
      outputs,
      records: outputs ? await orWhy(readRecords(outputs)) : { why: "no server to read them from yet" },
    };
  } catch (error) {
    if (error instanceof PulumiFailure && /no stack named/.test(error.stderr)) {
      return { stack, name, state: "absent" };
    }
    if (error instanceof UserError) return { stack, name, state: "unreadable", why: error.message };
    throw error;
  }
}

function readResources(printed: string): Made[] {
  const { deployment } = exported.parse(JSON.parse(printed));
  return (deployment?.resources ?? [])
    .filter(({ type }) => type !== "pulumi:pulumi:Stack" && !type.startsWith("pulumi:providers:"))
    .map(({ urn, type, created }) => ({
      type,
      name: urn.split("::").at(-1) ?? "",
      at: created === undefined ? undefined : new Date(created),
    }));
}

function readOutputs(stack: string, printed: string): StackOutputs | undefined {
  const outputs = JSON.parse(printed) as Record<string, unknown>;
  if (outputs["deploymentStatus"] === undefined) return undefined;
  const read = stackOutputs.safeParse(outputs);
  if (read.success) return read.data;
  throw new UserError(
    `${stack}: expected the outputs of this version of the program, got others; deploy it again\n` +
      z.prettifyError(read.error),
  );
}

async function orWhy<T>(reading: Promise<T>): Promise<T | Missing> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof UserError) return { why: error.message };
    throw error;
  }
}

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
