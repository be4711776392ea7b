import { randomBytes } from "node:crypto";

import {
  hasUnknown,
  isEqual,
  textOf,
  UNKNOWN,
  type Call,
  type Change,
  type Existing,
  type Failure,
  type Properties,
  type ResourceType,
} from "../plugin.ts";
import { OutputRecorder, type Logging } from "./output.ts";

/** One run of one script. */
export interface Run {
  readonly script: string;
  readonly inputs: Properties;

  /** Variables from the last run, when the resource is to have them. */
  readonly previousOutput: Readonly<Record<string, string>>;
  readonly output: OutputRecorder;
  readonly call: Call;
}

/** What distinguishes the two types of command. */
export interface CommandPlace {
  /** Inputs beside those that both have. */
  readonly inputs: readonly string[];
  readonly check: (inputs: Properties) => readonly Failure[];

  /** Runs to the end; rejects with the reason, such as `exit status 3`, when the script fails. */
  readonly run: (run: Run) => Promise<void>;
}

const SCRIPTS = ["create", "update", "delete"];
const COMMON = [...SCRIPTS, "stdin", "environment", "logging", "addPreviousOutputInEnv", "triggers"];
const LOGGING = ["stdout", "stderr", "stdoutAndStderr", "none"];

/** Commands as version 1.2.1 of the official plugin has them: actions, of which nothing can be read back. */
export function createCommandType(place: CommandPlace): ResourceType {
  const names = [...COMMON, ...place.inputs];

  return {
    check: (inputs) => [...checkCommon(inputs, names), ...place.check(inputs)],

    diff: ({ state }, inputs) => names.flatMap((name) => diffInput(name, state, inputs)),

    create: async (call, inputs) => {
      const id = `${call.name}${randomBytes(4).toString("hex")}`;
      if (call.preview) {
        return { id, state: { ...inputs, stdout: UNKNOWN, stderr: UNKNOWN } };
      }
      return { id, state: await runScript(place, { call, inputs, script: inputs.create, last: {} }) };
    },

    read: (_call, existing, inputs) => Promise.resolve({ ...existing, inputs }),

    update: async (call, existing, inputs) => {
      if (call.preview) {
        return { ...inputs, stdout: UNKNOWN, stderr: UNKNOWN };
      }
      return runScript(place, { call, inputs, script: inputs.update ?? inputs.create, last: existing.state });
    },

    delete: async (call, { state }: Existing) => {
      await runScript(place, { call, inputs: state, script: state.delete, last: state });
    },
  };
}

function checkCommon(inputs: Properties, names: readonly string[]): Failure[] {
  const failures: Failure[] = [];
  for (const [property, value] of Object.entries(inputs)) {
    if (!names.includes(property)) {
      failures.push({ property, reason: "the rehearsal's command plugin does not have this input" });
    } else if ([...SCRIPTS, "stdin"].includes(property) && typeof value !== "string") {
      failures.push({ property, reason: `expected a string, got ${JSON.stringify(value)}` });
    }
  }

  const { logging } = inputs;
  if (logging !== undefined && logging !== UNKNOWN && !LOGGING.includes(textOf(logging))) {
    failures.push({ property: "logging", reason: `expected one of ${LOGGING.join(", ")}` });
  }
  return failures;
}

function diffInput(name: string, state: Properties, inputs: Properties): Change[] {
  const [old, fresh] = [state[name], inputs[name]];
  if (isEqual(old, fresh) && !hasUnknown(fresh)) {
    return [];
  }
  const kind = old === undefined ? "add" : fresh === undefined ? "delete" : "update";
  return [{ property: name, kind, replace: name === "triggers" }];
}

interface ScriptRun {
  readonly call: Call;
  readonly inputs: Properties;
  readonly script: Properties[string] | undefined;
  readonly last: Properties;
}

async function runScript(
  place: CommandPlace,
  { call, inputs, script, last }: ScriptRun,
): Promise<Properties> {
  const { stdout = "", stderr = "" } = last;
  if (typeof script !== "string") {
    return { ...inputs, stdout, stderr };
  }

  const output = new OutputRecorder((inputs.logging ?? "stdoutAndStderr") as Logging, call.status);
  const previous = { PULUMI_COMMAND_STDOUT: textOf(stdout), PULUMI_COMMAND_STDERR: textOf(stderr) };
  const previousOutput =
    inputs.addPreviousOutputInEnv === false
      ? {}
      : Object.fromEntries(Object.entries(previous).filter(([, value]) => value !== ""));

  try {
    await place.run({ script, inputs, previousOutput, output, call });
  } catch (error) {
    throw new Error(`${(error as Error).message}: running ${JSON.stringify(script)}:\n${output.everything}`, {
      cause: error,
    });
  }
  output.finish();
  return { ...inputs, stdout: output.stdout, stderr: output.stderr };
}
