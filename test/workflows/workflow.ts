/** Reads the workflow files, and gives their `run:` steps the environment that a runner would. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { parse } from "yaml";
import { z } from "zod";

export const workflowNames = ["preview", "drift", "deploy", "rollback", "scan", "follow-up"] as const;

export type WorkflowName = (typeof workflowNames)[number];

const env = z.record(z.string(), z.union([z.string(), z.number()])).default({});
const permissions = z.record(z.string(), z.string());

const step = z.strictObject({
  uses: z.string().optional(),
  run: z.string().optional(),
  if: z.string().optional(),
  with: z.record(z.string(), z.unknown()).default({}),
  env,
});

const job = z.strictObject({
  name: z.string().optional(),
  if: z.string().optional(),
  needs: z.string().optional(),
  strategy: z
    .object({
      "fail-fast": z.boolean(),
      "max-parallel": z.number().optional(),
      matrix: z.record(z.string(), z.unknown()),
    })
    .optional(),
  "runs-on": z.string(),
  "timeout-minutes": z.number(),
  environment: z.string().optional(),
  permissions,
  concurrency: z.object({ group: z.string(), "cancel-in-progress": z.boolean() }).optional(),
  steps: z.array(step),
});

const workflow = z.strictObject({
  name: z.string(),
  "run-name": z.string().optional(),
  on: z.record(z.string(), z.unknown()),
  permissions,
  concurrency: z.object({ group: z.string(), "cancel-in-progress": z.boolean() }).optional(),
  env,
  jobs: z.record(z.string(), job),
});

export type Workflow = z.output<typeof workflow>;
export type Job = z.output<typeof job>;

export interface RunStep {
  readonly workflow: WorkflowName;
  readonly job: string;
  readonly run: string;
  /** As the file has it, expressions and all. */
  readonly env: Readonly<Record<string, string | number>>;
}

export function pathOf(name: string): string {
  return fileURLToPath(new URL(`../../.github/workflows/${name}.yml`, import.meta.url));
}

export function textOf(name: string): string {
  return readFileSync(pathOf(name), "utf8");
}

export function read(name: WorkflowName): Workflow {
  return workflow.parse(parse(textOf(name)));
}

export function runSteps(name: WorkflowName): RunStep[] {
  const { jobs, env: shared } = read(name);
  return Object.entries(jobs).flatMap(([id, { steps }]) =>
    steps.flatMap(({ run, env: own }) =>
      run === undefined ? [] : [{ workflow: name, job: id, run, env: { ...shared, ...own } }],
    ),
  );
}

/** What GitHub would put in place of the expressions in a step's `env`; one that no test foresaw is an error. */
export function environmentOf(
  step: RunStep,
  values: Readonly<Record<string, string>>,
): Record<string, string> {
  const fill = (text: string) =>
    text.replace(/\$\{\{\s*(.*?)\s*\}\}/g, (_whole, expression: string) => {
      const value = values[expression];
      if (value === undefined) throw new Error(`${step.workflow}: no value for ${expression}`);
      return value;
    });
  return Object.fromEntries(Object.entries(step.env).map(([name, text]) => [name, fill(String(text))]));
}
