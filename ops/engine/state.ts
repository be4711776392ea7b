/** The state of a stack, as `pulumi stack export` prints it. */
import { z } from "zod";

import { parsePrinted, type Pulumi } from "./cli.ts";

const properties = z.record(z.string(), z.unknown());

/** Only what is used here is named. Everything else is kept, so that an import puts back the whole state. */
const resource = z.looseObject({
  urn: z.string(),
  type: z.string(),
  id: z.string().optional(),
  custom: z.boolean().optional(),
  provider: z.string().optional(),
  /** When the engine created and last changed the resource. */
  created: z.string().optional(),
  modified: z.string().optional(),
  dependencies: z.array(z.string()).nullish(),
  propertyDependencies: z.record(z.string(), z.array(z.string()).nullable()).nullish(),
  /** Secrets are encrypted in it. */
  inputs: properties.optional(),
  outputs: properties.optional(),
});

const exported = z.looseObject({
  deployment: z
    .looseObject({
      resources: z.array(resource).nullish(),
      pending_operations: z.array(z.looseObject({ type: z.string(), resource })).nullish(),
    })
    .nullish(),
});

export type StateResource = z.output<typeof resource>;

export interface PendingOperation {
  /** `creating`, `updating`, `deleting`, `reading` or `importing`. */
  readonly type: string;
  readonly resource: StateResource;
}

export interface StateContent {
  /** Components, providers and the stack itself are among them. */
  readonly resources: readonly StateResource[];

  /** What a run that was killed left unfinished. */
  readonly pending: readonly PendingOperation[];
}

export interface State extends StateContent {
  /** Imports the state with other content. */
  replace(content: StateContent): Promise<void>;
}

export async function readState(stack: string, pulumi: Pulumi): Promise<State> {
  const printed = await pulumi({ args: ["stack", "export", "--stack", stack] });
  const whole = parsePrinted("pulumi stack export", printed, exported);
  const { resources, pending_operations: pending } = whole.deployment ?? {};
  return {
    resources: resources ?? [],
    pending: pending ?? [],
    async replace(content) {
      const operations = content.pending.length > 0 || pending ? { pending_operations: content.pending } : {};
      const deployment = { ...whole.deployment, resources: content.resources, ...operations };
      const input = JSON.stringify({ ...whole, deployment });
      await pulumi({ args: ["stack", "import", "--stack", stack], input });
    },
  };
}
