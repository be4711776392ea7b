/** `technicia:host:State`: a state of the host that one script reads and another one sets. */
import { z } from "zod";
import { nameOf } from "../../common/urn.ts";
import { UserError } from "../../common/user-error.ts";
import { PartialFailure, type Call, type ResourceDefinition } from "../plugin/definition.ts";
import { CommandFailure } from "../ssh/command-failure.ts";
import { loginGuard, runGuarded } from "./login-guard.ts";

const DEFAULT_TIMEOUT_SECONDS = 120;
const SHOWN_LINES = 20;

/** Variables that bash itself uses, or that change how the script runs. */
const RESERVED =
  /^(BASH.*|DIRSTACK|EUID|FUNCNAME|GROUPS|HOME|IFS|LC_ALL|OPTARG|OPTIND|PATH|PPID|PWD|SECONDS|SHELL|SHELLOPTS|SHLVL|UID|_|OBSERVED|DESIRED|PREVIOUS_.*)$/;

const script = z.string().min(1, "bash");
const variables = z.record(
  z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, "the name of a shell variable")
    .refine((name) => !RESERVED.test(name), "a name that bash does not use itself"),
  z.string().refine((text) => !text.includes("\0"), "text without NUL characters"),
);

const schema = z.strictObject({
  observe: script,
  desired: z
    .string()
    .transform((text) => text.trim())
    .refine((text) => text !== "", "text that observe prints; nothing means that the state is not there"),
  apply: script,
  remove: script.optional(),
  variables: variables.optional(),
  secrets: variables.optional(),
  timeoutSeconds: z.int().min(1).max(86_400).default(DEFAULT_TIMEOUT_SECONDS),
  guard: loginGuard.optional(),
});

type Inputs = z.infer<typeof schema>;

interface Outputs {
  readonly observed: string;

  /** How often apply has run; a state from before it was counted has none. */
  readonly applied?: number;
}

type Scripts = Pick<Inputs, "observe" | "desired" | "timeoutSeconds"> &
  Partial<Pick<Inputs, "variables" | "secrets" | "guard">>;

export const state: ResourceDefinition<Inputs, Outputs> = {
  token: "technicia:host:State",
  schema,
  outputs: ["observed", "applied"],
  replaceOn: [],
  secretOutputs: (_outputs, secretInputs) => (secretInputs.has("desired") ? ["observed"] : []),

  checkTogether: ({ variables: plain = {}, secrets = {} }) =>
    Object.keys(secrets)
      .filter((name) => name in plain)
      .map(
        (name) =>
          `secrets.${name}: expected a name of its own, got one that variables has too; keep one of them`,
      ),

  preview(_call, { desired }) {
    return desired === undefined ? {} : { observed: desired };
  },

  async create(call, inputs) {
    const id = nameOf(call.urn);
    const before = await observe(call, inputs);
    if (before === inputs.desired) return { id, outputs: { observed: before, applied: 0 } };
    try {
      return { id, outputs: { observed: await apply(call, inputs, before), applied: 1 } };
    } catch (error) {
      if (!(error instanceof CommandFailure) && !(error instanceof NotReached)) throw error;
      const observed = error instanceof NotReached ? error.observed : before;
      const outputs = { observed, applied: 1 } satisfies Outputs;
      throw new PartialFailure(error.message, { id, outputs, cause: error });
    }
  },

  async read(call, { id, inputs, outputs: { applied: times } }) {
    const { observe: script, desired, apply: applied, timeoutSeconds } = inputs;
    if (
      script === undefined ||
      desired === undefined ||
      applied === undefined ||
      timeoutSeconds === undefined
    ) {
      throw new UserError(
        `import of a State: impossible (id ${id}); leave import out: creating it applies nothing when the state is already reached`,
      );
    }
    const all: Inputs = { ...inputs, observe: script, desired, apply: applied, timeoutSeconds };
    const observed = await observe(call, all);
    if (observed === "") return null;
    return {
      ...{ id, inputs: { ...all, desired: observed } },
      outputs: { observed, ...(times !== undefined && { applied: times }) },
    };
  },

  async update(call, existing, news) {
    const before = await observe(call, news);
    const sameSecrets = JSON.stringify(existing.inputs.secrets ?? {}) === JSON.stringify(news.secrets ?? {});
    const { applied = 0 } = existing.outputs;
    if (before === news.desired && sameSecrets) return { observed: before, applied };
    return { observed: await apply(call, news, before, existing.inputs.secrets), applied: applied + 1 };
  },

  async delete(call, { inputs }) {
    if (inputs.remove === undefined) return;
    const before = await observe(call, inputs);
    if (before === "") return;
    await run(call, inputs, { purpose: "remove", script: inputs.remove, observed: before });
    if ((await observe(call, inputs)) === inputs.desired) {
      // The image may have brought that state: what we did is undone, and what was there before stays.
      call.log.warning(
        `remove of ${nameOf(call.urn)} on ${call.host.name} succeeded, but observe still prints the desired state; the server had it before, or the remove script does nothing`,
      );
    }
  },
};

/** apply succeeded, but observe still reports a different state. */
class NotReached extends UserError {
  readonly observed: string;

  constructor(message: string, observed: string) {
    super(message);
    this.observed = observed;
  }
}

async function apply(
  call: Call,
  inputs: Inputs,
  before: string,
  previous: Readonly<Record<string, string>> = {},
): Promise<string> {
  const renamed = Object.entries(previous).map(([name, value]) => [`PREVIOUS_${name}`, value]);
  const secrets = { ...inputs.secrets, ...(Object.fromEntries(renamed) as Record<string, string>) };
  await run(call, { ...inputs, secrets }, { purpose: "apply", script: inputs.apply, observed: before });
  const after = await observe(call, inputs);
  if (after !== inputs.desired) throw new NotReached(describe(call, inputs.desired, after), after);
  return after;
}

async function observe(call: Call, inputs: Scripts): Promise<string> {
  const output = await run(call, inputs, { purpose: "observe", script: inputs.observe, observed: "" });
  const observed = output.trim();
  if (call.secretInputs.has("desired")) call.hide(observed);
  return observed;
}

interface Step {
  readonly purpose: string;
  readonly script: string;
  readonly observed: string;
}

async function run(call: Call, inputs: Scripts, { purpose, script: text, observed }: Step): Promise<string> {
  const { stdout } = await runGuarded(call, purpose === "observe" ? undefined : inputs.guard, {
    purpose: `${purpose} ${nameOf(call.urn)}`,
    script: text,
    variables: { ...inputs.variables, OBSERVED: observed, DESIRED: inputs.desired },
    ...(inputs.secrets === undefined ? {} : { secrets: inputs.secrets }),
    timeoutSeconds: inputs.timeoutSeconds,
    signal: call.signal,
    ...(purpose === "observe" ? {} : { onLine: call.log.status }),
    onWaiting: call.log.status,
  });
  return stdout;
}

function describe(call: Call, desired: string, observed: string): string {
  const what = `${nameOf(call.urn)} on ${call.host.name}: apply succeeded, but observe prints something other than the desired state`;
  if (call.secretInputs.has("desired")) {
    return `${what}; both are secret (${desired.split("\n").length} and ${observed.split("\n").length} lines)`;
  }
  return `${what}:\n${lineDifference(desired, observed)}`;
}

/** Lines that only one of the two texts has: `-` desired, `+` observed. */
export function lineDifference(desired: string, observed: string): string {
  const [wanted, seen] = [desired.split("\n"), observed.split("\n")];
  const missing = wanted.filter((line) => !seen.includes(line)).map((line) => `  - ${line}`);
  const extra = seen.filter((line) => !wanted.includes(line)).map((line) => `  + ${line}`);
  const lines =
    missing.length + extra.length === 0
      ? ["  the same lines in another order or number"]
      : [...missing, ...extra];
  const rest = lines.length - SHOWN_LINES;
  return [...lines.slice(0, SHOWN_LINES), ...(rest > 0 ? [`  … and ${rest} more lines`] : [])].join("\n");
}
