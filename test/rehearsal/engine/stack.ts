import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import type { Engine } from "../../../rehearsal/engine/prepare.ts";

const NODE_MODULES = fileURLToPath(new URL("../../../node_modules", import.meta.url));

/** What a command of the CLI ended with. */
export interface Ended {
  readonly code: number;
  readonly output: string;
}

/** A project of one stack in a folder of its own, with its state. */
export interface Stack extends AsyncDisposable {
  readonly folder: string;

  /** Replaces the program. */
  readonly write: (program: string) => Promise<void>;

  /** Runs the CLI as a user would, without colours and questions. */
  readonly pulumi: (...args: string[]) => Promise<Ended>;

  /** Everything that the CLI has written about the stack. */
  readonly readState: () => Promise<string>;
}

export async function createStack(engine: Engine, program: string): Promise<Stack> {
  const folder = await mkdtemp(join(tmpdir(), "technicia-stack-"));
  const state = join(folder, "state");
  await mkdir(state);
  await symlink(NODE_MODULES, join(folder, "node_modules"));
  await writeFile(join(folder, "package.json"), JSON.stringify({ name: "trial", type: "module" }));
  await writeFile(
    join(folder, "Pulumi.yaml"),
    "name: trial\nmain: index.ts\nruntime:\n  name: nodejs\n  options:\n    typescript: false\n",
  );
  const environment = {
    ...process.env,
    ...engine.environment,
    PULUMI_BACKEND_URL: `file://${state}`,
    PULUMI_CONFIG_PASSPHRASE: "trial",
    SSH_AUTH_SOCK: "",
  };

  const stack: Stack = {
    folder,
    write: (text) => writeFile(join(folder, "index.ts"), text),
    pulumi: (...args) =>
      new Promise((resolve) => {
        const options = { cwd: folder, env: environment, maxBuffer: 64 * 1024 * 1024 };
        execFile(
          engine.pulumi,
          [...args, "--non-interactive", "--color", "never"],
          options,
          (error, stdout, stderr) => {
            const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
            resolve({ code, output: `${stdout}\n${stderr}` });
          },
        );
      }),
    readState: async () => {
      const entries = await readdir(state, { recursive: true, withFileTypes: true });
      const files = entries.filter((entry) => entry.isFile());
      return (
        await Promise.all(files.map((file) => readFile(join(file.parentPath, file.name), "utf8")))
      ).join("\n");
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
  await stack.write(program);
  const made = await stack.pulumi("stack", "init", "test");
  if (made.code !== 0) {
    throw new Error(made.output);
  }
  return stack;
}
