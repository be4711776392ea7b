/** `technicia:n8n:Content`: the workflows that n8n runs, and the credentials that they use. */
import { z } from "zod";

import { parseUrn } from "../../common/urn.ts";
import { UserError } from "../../common/user-error.ts";
import { PartialFailure, type Call, type ResourceDefinition } from "../plugin/definition.ts";
import { CommandFailure } from "../ssh/command-failure.ts";
import { N8n, type FilledCredential } from "./api.ts";
import { readDrift, todoIn, writeContent, type Drift } from "./content.ts";
import { asFile, type ComparedWorkflow } from "./differences.ts";
import { asWorkflow, ID, kept, keepWorkflow, type KeptWorkflow } from "./workflow.ts";

const ID_NAME = "n8n";

const id = z.string().regex(ID, "an id of at most 36 letters, digits, - and _");

const value = z.union([z.string(), z.number(), z.boolean()]);

const schema = z.strictObject({
  workflows: z.record(id, kept),
  credentials: z.record(
    id,
    z.strictObject({ name: z.string().min(1), type: z.string().min(1), data: z.record(z.string(), value) }),
  ),
  domain: z.string().min(1, "a host name"),
  owner: z.strictObject({ email: z.string().min(1), password: z.string().min(1) }),
  keyDays: z.int().min(2).max(365),
  webhookSeconds: z.int().min(5).max(600),
  address: z.string().optional(),
});

type Inputs = z.infer<typeof schema>;

interface Outputs {
  /** Id → `as declared`, `other values` or `not in n8n`. */
  readonly credentialStates: Readonly<Record<string, string>>;
}

const AS_DECLARED = "as declared";

export const content: ResourceDefinition<Inputs, Outputs> = {
  token: "technicia:n8n:Content",
  schema,
  outputs: ["credentialStates"],
  replaceOn: [],

  preview(_call, { credentials }) {
    return credentials === undefined ? {} : asDeclared(credentials);
  },

  async create(call, inputs) {
    try {
      return { id: ID_NAME, outputs: await write(call, inputs, []) };
    } catch (error) {
      throw partial(error, { credentialStates: {} });
    }
  },

  async read(call, { inputs: given }) {
    const { workflows, credentials, domain, owner, keyDays, webhookSeconds } = given;
    if (!workflows || !credentials || !domain || !owner || !keyDays || !webhookSeconds)
      throw new UserError(
        `import of n8n's content: impossible; leave import out: creating it changes nothing where n8n has what is declared`,
      );
    const inputs: Inputs = { ...given, workflows, credentials, domain, owner, keyDays, webhookSeconds };
    const n8n = connect(call, inputs);
    await n8n.ensureKey();
    const live = await n8n.listWorkflows();
    const drift = await readDrift(n8n, wantedOf(inputs), live);
    const found = drift.workflows.flatMap((one): [string, KeptWorkflow][] => {
      const kept = keptFrom(one, {
        declared: inputs.workflows[one.id],
        live: live.find(({ id }) => id === one.id),
      });
      return kept === undefined ? [] : [[one.id, kept]];
    });
    const { missing, changed } = drift.credentials;
    const held = Object.entries(inputs.credentials).flatMap(([id, one]) =>
      missing.includes(id) ? [] : [[id, changed.includes(id) ? { ...one, data: {} } : one] as const],
    );
    return {
      id: ID_NAME,
      inputs: { ...inputs, workflows: Object.fromEntries(found), credentials: Object.fromEntries(held) },
      outputs: { credentialStates: statesOf(inputs.credentials, drift) },
    };
  },

  async update(call, existing, news) {
    const gone = Object.keys(existing.inputs.workflows).filter((id) => news.workflows[id] === undefined);
    try {
      return await write(call, news, gone);
    } catch (error) {
      throw partial(error, existing.outputs);
    }
  },

  // What was declared is no longer managed: n8n keeps it, as a volume outlives its service.
  delete() {
    return Promise.resolve();
  },
};

function wantedOf({ workflows, credentials }: Pick<Inputs, "workflows" | "credentials">) {
  return {
    workflows: Object.entries(workflows).map(([id, one]) => asWorkflow(id, one)),
    credentials: Object.entries(credentials).map(([id, one]): FilledCredential => ({ id, ...one })),
  };
}

function connect(call: Call, { domain, owner, keyDays, address }: Inputs): N8n {
  const server = {
    name: call.host.name,
    run: (command: { readonly purpose: string; readonly script: string }) =>
      call.host.run({ ...command, signal: call.signal, onWaiting: call.log.status }),
  };
  const stack = parseUrn(call.urn).stack;
  return new N8n(server, { domain, owner, keyDays, address, stack, now: () => new Date() });
}

async function write(call: Call, inputs: Inputs, gone: readonly string[]): Promise<Outputs> {
  const n8n = connect(call, inputs);
  const stack = parseUrn(call.urn).stack;
  const wanted = wantedOf(inputs);
  await n8n.ensureKey();
  await writeContent(n8n, wanted, {
    ...{ stack, webhookSeconds: inputs.webhookSeconds, signal: call.signal, say: call.log.status },
  });
  const drift = await readDrift(n8n, wanted);
  for (const { id } of drift.workflows.filter(({ id, state }) => state === "extra" && gone.includes(id)))
    await n8n.unpublish(id);
  const left = todoIn(drift);
  if (left.length > 0)
    throw new UserError(
      `n8n of ${stack} does not have what was written: ${left.join(", ")}; npm run workflows -- ${stack} diff shows it. n8n keeps settings that a file leaves out: name each of them in the file, or change it in the editor`,
    );
  return asDeclared(inputs.credentials);
}

/** Undefined where n8n does not have it. */
function keptFrom(
  { id, name, state }: ComparedWorkflow,
  {
    declared,
    live,
  }: { readonly declared: KeptWorkflow | undefined; readonly live: Parameters<typeof asFile>[0] | undefined },
): KeptWorkflow | undefined {
  switch (state) {
    case "missing":
      return undefined;
    case "same":
      return declared;
    case "unpublished":
      return { ...declared!, runs: "nothing" };
    case "outdated":
      return { ...declared!, runs: "an earlier version" };
    case "extra":
      return { name, runs: "this" };
    case "changed": {
      const found = live && asFile(live, asWorkflow(id, declared!));
      return found === undefined ? { name, runs: "this" } : withPlacesOf(declared!, keepWorkflow(found));
    }
  }
}

/** Where a node is in the editor says nothing. */
function withPlacesOf(declared: KeptWorkflow, found: KeptWorkflow): KeptWorkflow {
  const nodes = Object.entries(found.nodes ?? {}).map(([name, one]) => {
    const position = declared.nodes?.[name]?.position ?? one.position;
    return [name, { ...one, position }] as const;
  });
  return { ...found, nodes: Object.fromEntries(nodes) };
}

function asDeclared(credentials: Readonly<Record<string, unknown>>): Outputs {
  const states = Object.keys(credentials).map((id) => [id, AS_DECLARED]);
  return { credentialStates: Object.fromEntries(states) as Record<string, string> };
}

function statesOf(credentials: Inputs["credentials"], drift: Drift): Record<string, string> {
  const { missing, changed } = drift.credentials;
  return {
    ...asDeclared(credentials).credentialStates,
    ...Object.fromEntries(missing.map((id) => [id, "not in n8n"])),
    ...Object.fromEntries(changed.map((id) => [id, "other values"])),
  };
}

/** Some of it may be written: the next update compares again. */
function partial(error: unknown, outputs: Outputs): unknown {
  if (!(error instanceof UserError) && !(error instanceof CommandFailure)) return error;
  return new PartialFailure(error.message, { id: ID_NAME, outputs, cause: error });
}
