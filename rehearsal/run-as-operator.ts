import { spawn } from "node:child_process";
import { join } from "node:path";

import { ROOT, STATE } from "./addresses.ts";
import type { Engine } from "./engine/prepare.ts";

/** What a command that was run as the operator gave back. */
export interface Outcome {
  /** Exit code; 128 + the signal's number when a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly stack: string;
  readonly engine: Engine;

  /** @default nothing */
  readonly stdin?: string;

  /** Whether the command speaks to the terminal instead of being captured. @default false */
  readonly attached?: boolean;

  /** Called with each line of standard output and error as it comes. */
  readonly onLine?: (line: string) => void;

  readonly signal?: AbortSignal;
  readonly environment?: Readonly<Record<string, string>>;
}

/**
 * Runs a command as the rehearsal's operator would on a machine of their own.
 *
 * A private mount namespace gives it the rehearsal's name server, and in the place of the committed files the stack's settings with the
 * answers that only a user has, and documents of its own: whatever the command is, it needs no option that a real deployment would not.
 */
export function runAsOperator(command: readonly string[], options: RunOptions): Promise<Outcome> {
  const settings = `Pulumi.${options.stack}.yaml`;
  const mounts = [
    ["resolv.conf", "/etc/resolv.conf"],
    [settings, join(ROOT, settings)],
    // What its commands write into the team's documents is about servers that do not exist.
    ["docs", join(ROOT, "docs")],
  ].map(([from, to]) => `mount --bind '${join(STATE, from ?? "")}' '${to ?? ""}'`);
  const script = `${mounts.join(" && ")} && exec "$@"`;
  const child = spawn(
    "unshare",
    ["--mount", "--propagation", "private", "sh", "-c", script, "sh", ...command],
    {
      cwd: ROOT,
      env: { ...operatorEnvironment(options), ...options.environment },
      stdio:
        options.attached === true
          ? "inherit"
          : [options.stdin === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    },
  );
  const stop = () => child.kill("SIGINT");
  options.signal?.addEventListener("abort", stop);

  const collected = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    let rest = "";
    child[stream]?.setEncoding("utf8").on("data", (chunk: string) => {
      collected[stream] += chunk;
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) options.onLine?.(line);
    });
  }
  // A command that ends without reading its input is judged by its exit code.
  child.stdin?.on("error", () => undefined);
  if (options.stdin !== undefined) child.stdin?.end(options.stdin);

  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      options.signal?.removeEventListener("abort", stop);
      resolve({ code: code ?? (signal === "SIGINT" ? 130 : 137), ...collected });
    });
  });
}

function operatorEnvironment({ engine }: RunOptions): NodeJS.ProcessEnv {
  const binaries = join(ROOT, "node_modules", ".bin");
  const { PATH: enginePath, ...engineEnvironment } = engine.environment;
  return {
    ...process.env,
    ...engineEnvironment,
    PATH: [enginePath ?? "", binaries, process.env["PATH"] ?? ""].join(":"),
    NODE_EXTRA_CA_CERTS: join(STATE, "trusted.pem"),
    SSL_CERT_FILE: join(STATE, "trusted.pem"),
    CURL_CA_BUNDLE: join(STATE, "trusted.pem"),
    PULUMI_BACKEND_URL: `file://${join(STATE, "backend")}`,
    PULUMI_CONFIG_PASSPHRASE_FILE: join(STATE, "passphrase"),
    PULUMI_SKIP_UPDATE_CHECK: "true",
  };
}
