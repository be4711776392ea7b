import { join } from "node:path";

import { type Ended, type RunOptions, tryRun } from "../common/run.ts";
import { ROOT, STATE } from "./addresses.ts";
import type { Engine } from "./engine/prepare.ts";

export interface OperatorOptions extends Pick<
  RunOptions,
  "input" | "onLine" | "signal" | "terminal" | "environment"
> {
  readonly stack: string;
  readonly engine: Engine;
}

/**
 * Runs a command as the rehearsal's operator would on a machine of their own.
 *
 * A private mount namespace replaces three things: the machine's name server by the rehearsal's, the stack's committed settings by those with
 * the answers that only a user has, and the documents by a copy. So no command needs an option that a real deployment would not need.
 */
export function runAsOperator(
  command: readonly string[],
  { stack, engine, environment, ...options }: OperatorOptions,
): Promise<Ended> {
  const settings = `Pulumi.${stack}.yaml`;
  const mounts = [
    ["resolv.conf", "/etc/resolv.conf"],
    [settings, join(ROOT, settings)],
    // Commands write into the team's documents; here they would write about servers that do not exist.
    ["docs", join(ROOT, "docs")],
  ].map(([from, to]) => `mount --bind '${join(STATE, from ?? "")}' '${to ?? ""}'`);
  const script = `${mounts.join(" && ")} && exec "$@"`;
  return tryRun(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", ...command], {
    ...options,
    cwd: ROOT,
    environment: { ...operatorEnvironment(engine), ...environment },
  });
}

function operatorEnvironment(engine: Engine): Record<string, string> {
  const binaries = join(ROOT, "node_modules", ".bin");
  const { PATH: enginePath, ...engineEnvironment } = engine.environment;
  return {
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
