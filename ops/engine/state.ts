/** The state of a stack, as `pulumi stack export` prints it, and the outputs of its last deployment. */
import { z } from "zod";

import { nameOf } from "../../common/urn.ts";
import { asWorkflow, kept, type Workflow } from "../../provider/n8n/workflow.ts";
import { UserError } from "../../common/user-error.ts";
import { stackOutputs } from "../../stacks/deployment-status.ts";
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

interface StateContent {
  /** Components, providers and the stack itself are among them. */
  readonly resources: readonly StateResource[];

  /** What a run that was killed left unfinished; type: `creating`, `updating`, `deleting`, `reading` or `importing`. */
  readonly pending: readonly { readonly type: string; readonly resource: StateResource }[];
}

export interface State extends StateContent {
  /** Imports the state with other content; fails when the state has changed since it was read. */
  replace(content: StateContent): Promise<void>;
}

export async function readState(
  stack: string,
  pulumi: Pulumi,
  { showSecrets = false }: { readonly showSecrets?: boolean } = {},
): Promise<State> {
  const options = showSecrets ? ["--show-secrets"] : [];
  const read = () => pulumi({ args: ["stack", "export", "--stack", stack, ...options] });
  const printed = await read();
  const whole = parsePrinted("pulumi stack export", printed, exported);
  const { resources, pending_operations: pending } = whole.deployment ?? {};
  return {
    resources: resources ?? [],
    pending: pending ?? [],
    async replace(content) {
      const operations = content.pending.length > 0 || pending ? { pending_operations: content.pending } : {};
      const deployment = { ...whole.deployment, resources: content.resources, ...operations };
      const input = JSON.stringify({ ...whole, deployment });
      // An import replaces everything, also what another run has written meanwhile.
      if ((await read()) !== printed)
        throw new UserError(
          `the state of stack ${stack}: another run has changed it meanwhile, so nothing was put back; wait for it to end, then run this again`,
        );
      await pulumi({ args: ["stack", "import", "--stack", stack], input });
    },
  };
}

/**
 * `outputs`: undefined before the first successful deployment, and when another version of the program wrote them.
 * `ssh`: how to log in to the server; known after any successful deployment, whatever its version.
 */
export async function readDeployed(stack: string, pulumi: Pulumi) {
  const outputs: unknown = JSON.parse(
    await pulumi({ args: ["stack", "output", "--json", "--stack", stack] }),
  );
  return {
    outputs: stackOutputs.safeParse(outputs).data,
    ssh: stackOutputs.pick({ ssh: true }).safeParse(outputs).data?.ssh,
  };
}

/** Key of the setting `images` → image with the digest that the server runs. */
export async function readDeployedImages(stack: string, pulumi: Pulumi): Promise<Record<string, string>> {
  const { resources } = await readState(stack, pulumi);
  return Object.fromEntries(
    resources.flatMap(({ urn, type, outputs: { reference } = {} }) => {
      if (type !== "technicia:host:Image" || typeof reference !== "string") return [];
      // The program names the resource of the setting `vectorStore` `image-vector-store`.
      const name = nameOf(urn).replace(/^image-/, "");
      return [[name.replace(/-(.)/g, (_match, letter: string) => letter.toUpperCase()), reference] as const];
    }),
  );
}

/** The workflows that the state says n8n has; undefined where it has none, or such that this version cannot read. */
export async function readDeployedWorkflows(stack: string, pulumi: Pulumi): Promise<Workflow[] | undefined> {
  const { resources } = await readState(stack, pulumi);
  const content = resources.find(({ type }) => type === "technicia:n8n:Content");
  const read = z.record(z.string(), kept).safeParse(content?.inputs?.["workflows"]);
  if (!read.success) return undefined;
  return Object.entries(read.data).map(([id, one]) => asWorkflow(id, one));
}
