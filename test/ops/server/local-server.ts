import { spawn } from "node:child_process";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { RECORDS_FOLDER } from "../../../common/release.ts";
import type { Server, ServerCommand } from "../../../ops/server/connection.ts";
import { UserError } from "../../../common/user-error.ts";

/** A server that is a folder of this machine: the scripts are the real ones, run by bash as they would be over ssh. */
export interface LocalServer extends Server, AsyncDisposable {
  /** What is `/var/lib/technicia` there. */
  readonly folder: string;

  /** Purposes of the commands that it was given, and of the logins. */
  readonly purposes: string[];
}

export interface LocalServerOptions {
  /** @default "debian@203.0.113.10:22" */
  readonly name?: string;

  /** Folder of programs that stand in for those of the machine. @default - none */
  readonly programs?: string;

  /** For these programs. @default - none */
  readonly variables?: Readonly<Record<string, string>>;
}

export async function startLocalServer(options: LocalServerOptions = {}): Promise<LocalServer> {
  const { name = "debian@203.0.113.10:22", programs, variables: ofPrograms = {} } = options;
  const root = await mkdtemp(join(tmpdir(), "local-server-"));
  const folder = join(root, "technicia");
  const bin = join(root, "bin");
  await mkdir(bin);
  // What it makes append-only, no test could take away again.
  await writeFile(join(bin, "chattr"), `#!/bin/sh\necho "$*" >> ${join(root, "chattr")}\n`);
  await chmod(join(bin, "chattr"), 0o755);
  const purposes: string[] = [];
  return {
    name,
    folder,
    purposes,
    async run(command) {
      purposes.push(command.purpose);
      const variables = Object.entries(command.variables ?? {}).map(
        ([name, value]) => [name, value.replace(RECORDS_FOLDER, folder)] as const,
      );
      const path = [bin, ...(programs === undefined ? [] : [programs]), "/usr/bin", "/bin"].join(":");
      const environment = { ...ofPrograms, ...Object.fromEntries(variables), PATH: path };
      return await bash(command, environment);
    },
    logInForDocker: () => Promise.resolve(void purposes.push("log in for Docker")),
    close: () => undefined,
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  };
}

/** Makes the last sign of life of the lock's holder older. */
export async function letTimePass(server: Server, seconds: number): Promise<void> {
  await server.run({
    purpose: "let time pass",
    script: `touch --date "@$(($(stat --format %Y "$RECORDS_FOLDER/lock/lease") - PASSED))" "$RECORDS_FOLDER/lock/lease"`,
    variables: { RECORDS_FOLDER, PASSED: String(seconds) },
  });
}

function bash(
  { script, stdin, purpose }: ServerCommand,
  environment: NodeJS.ProcessEnv,
): Promise<{ stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn("bash", ["-euo", "pipefail", "-c", script], { env: environment, stdio: "pipe" });
    const printed = { stdout: "", stderr: "" };
    for (const stream of ["stdout", "stderr"] as const) {
      child[stream].setEncoding("utf8").on("data", (text: string) => (printed[stream] += text));
    }
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(printed);
      else reject(new UserError(`could not ${purpose}: exit code ${code}: ${printed.stderr}`));
    });
    child.stdin.on("error", () => undefined);
    child.stdin.end(stdin ?? "");
  });
}
