import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import process from "node:process";
import { isDeepStrictEqual } from "node:util";

import { hasUnknown, UNKNOWN } from "../../../provider/plugin/wire.ts";
import {
  textOf,
  type Call,
  type Change,
  type Existing,
  type Failure,
  type Properties,
  type ResourceType,
} from "../plugin.ts";
import { OutputRecorder, type Logging } from "./output.ts";

const SCRIPTS = ["create", "update", "delete"];
const INPUTS = [
  ...SCRIPTS,
  "stdin",
  "environment",
  "logging",
  "addPreviousOutputInEnv",
  "triggers",
  "interpreter",
  "dir",
];
const LOGGING = ["stdout", "stderr", "stdoutAndStderr", "none"];

/** `command.local.Command` as version 1.2.1 of the official plugin has it: actions whose effect cannot be read back. */
export const localCommand: ResourceType = {
  check: checkInputs,
  diff: ({ state }, inputs) => INPUTS.flatMap((name) => diffInput(name, state, inputs)),

  create: async (call, inputs) => {
    const id = `${call.name}${randomBytes(4).toString("hex")}`;
    if (call.preview) {
      return { id, state: { ...inputs, stdout: UNKNOWN, stderr: UNKNOWN } };
    }
    return { id, state: await runScript({ call, inputs, script: inputs.create, last: {} }) };
  },

  read: (_call, existing, inputs) => Promise.resolve({ ...existing, inputs }),

  update: async (call, existing, inputs) => {
    if (call.preview) {
      return { ...inputs, stdout: UNKNOWN, stderr: UNKNOWN };
    }
    return runScript({ call, inputs, script: inputs.update ?? inputs.create, last: existing.state });
  },

  delete: async (call, { state }: Existing) => {
    await runScript({ call, inputs: state, script: state.delete, last: state });
  },
};

function checkInputs(inputs: Properties): Failure[] {
  const failures: Failure[] = [];
  for (const [property, value] of Object.entries(inputs)) {
    if (!INPUTS.includes(property)) {
      failures.push({ property, reason: "the rehearsal's command plugin does not have this input" });
    } else if ([...SCRIPTS, "stdin"].includes(property) && typeof value !== "string" && value !== UNKNOWN) {
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
  if (isDeepStrictEqual(old, fresh) && !hasUnknown(fresh)) {
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

async function runScript({ call, inputs, script, last }: ScriptRun): Promise<Properties> {
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
    await run({ script, inputs, previousOutput, output, call });
  } catch (error) {
    throw new Error(`${(error as Error).message}: running ${JSON.stringify(script)}:\n${output.everything}`, {
      cause: error,
    });
  }
  output.finish();
  return { ...inputs, stdout: output.stdout, stderr: output.stderr };
}

interface Run {
  readonly script: string;
  readonly inputs: Properties;

  /** Variables from the last run, unless the resource refuses them. */
  readonly previousOutput: Readonly<Record<string, string>>;
  readonly output: OutputRecorder;
  readonly call: Call;
}

// Rejects with the reason, such as `exit status 3`, when the script fails.
function run({ script, inputs, previousOutput, output, call }: Run): Promise<void> {
  const interpreter = inputs.interpreter as readonly string[] | undefined;
  const [file = "/bin/sh", ...flags] = interpreter?.length ? interpreter : ["/bin/sh", "-c"];

  return new Promise((resolve, reject) => {
    const child = spawn(file, [...flags, script], {
      cwd: typeof inputs.dir === "string" ? inputs.dir : process.cwd(),
      env: {
        ...process.env,
        ...(inputs.environment as Record<string, string> | undefined),
        ...previousOutput,
      },
      signal: call.signal,
      killSignal: "SIGKILL",
    });
    const record = (stream: "stdout" | "stderr") => (chunk: Buffer) => {
      const problem = output.add(stream, chunk);
      if (problem !== undefined) {
        child.kill("SIGKILL");
        reject(problem);
      }
    };

    child.stdout.on("data", record("stdout"));
    child.stderr.on("data", record("stderr"));
    // A script that does not read its input closes it; that is no failure.
    child.stdin.on("error", () => undefined);
    child.stdin.end(textOf(inputs.stdin));
    child.on("error", reject);
    child.on("close", (code, signal) => {
      if (code === 0) {
        resolve();
      } else {
        reject(new Error(code === null ? `signal: ${signal ?? "unknown"}` : `exit status ${code}`));
      }
    });
  });
}
