import { spawn } from "node:child_process";
import process from "node:process";

import { textOf } from "../plugin.ts";
import type { Run } from "./command.ts";

/** Runs a script on this machine, by `/bin/sh -c` unless another interpreter is given. */
export function runLocally({ script, inputs, previousOutput, output, call }: Run): Promise<void> {
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
