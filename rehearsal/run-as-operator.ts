import { existsSync } from "node:fs";
import { join } from "node:path";

import { withPolicyPack } from "../common/policy-pack.ts";
import { type Ended, type RunOptions, tryRun } from "../common/run.ts";
import { shellQuote } from "../common/shell-quote.ts";
import { ROOT, STATE } from "./addresses.ts";
import type { Engine } from "./engine/prepare.ts";
import { NPM_PROGRAMS } from "./engine/programs.ts";
import { STACKS } from "./stack-names.ts";

export interface OperatorOptions extends Pick<
  RunOptions,
  "input" | "onLine" | "onStart" | "signal" | "terminal" | "environment"
> {
  readonly stack: string;
  readonly engine: Engine;
}

/**
 * Runs a command as the rehearsal's operator would on a machine of their own.
 *
 * A private mount namespace replaces four things: the machine's name server by the rehearsal's, the system's trust store by one that also
 * knows the authority of the fake clouds and the registry, the committed settings of every rehearsed stack by those with the answers that only
 * a user has, and the documents by a copy. So no command needs an option or a variable that a real deployment would not need.
 */
export function runAsOperator(
  typed: readonly string[],
  { stack, engine, environment, ...options }: OperatorOptions,
): Promise<Ended> {
  // As the documents say that a person types it.
  const command = typed[0] === "pulumi" ? ["pulumi", ...withPolicyPack(typed.slice(1))] : typed;
  const mounts = [
    ["resolv.conf", "/etc/resolv.conf"],
    ["trusted.pem", "/etc/ssl/certs/ca-certificates.crt"],
    ...rehearsedSettings(stack).map((settings) => [settings, join(ROOT, settings)]),
    // Commands write into the team's documents; here they would write about servers that do not exist.
    ["docs", join(ROOT, "docs")],
  ].map(([from = "", to = ""]) => `mount --bind ${shellQuote(join(STATE, from))} ${shellQuote(to)}`);
  const script = `${mounts.join(" && ")} && exec "$@"`;
  return tryRun(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", ...command], {
    ...options,
    cwd: ROOT,
    environment: { ...operatorEnvironment(engine), ...environment },
  });
}

/** Of that stack, and of the others that the rehearsal has: some commands ask a neighbour. */
export function rehearsedSettings(stack: string, folder: string = STATE): string[] {
  const others = STACKS.filter((name) => name !== stack);
  const fileOf = (name: string) => `Pulumi.${name}.yaml`;
  return [fileOf(stack), ...others.map(fileOf).filter((file) => existsSync(join(folder, file)))];
}

/** Variables of this process that a command of the operator keeps. Anything else could make the rehearsal easier than a real deployment. */
const KEPT = ["HOME", "LANG", "TERM", "USER", "SSH_AUTH_SOCK"];

/** All variables of the operator's commands; `undefined` removes one of this process's own. */
export function operatorEnvironment(
  engine: Pick<Engine, "environment">,
  ours: NodeJS.ProcessEnv = process.env,
): Record<string, string | undefined> {
  const removed = Object.keys(ours).filter((name) => !KEPT.includes(name));
  return {
    ...Object.fromEntries(removed.map((name) => [name, undefined])),
    ...engine.environment,
    // As `npx` has it: the launcher of Pulumi's npm package, and the project's own Node.js.
    PATH: `${NPM_PROGRAMS}:${ours["PATH"] ?? ""}`,
    // Everything else in a path Pulumi takes as it is.
    PULUMI_BACKEND_URL: `file://${join(STATE, "backend").replaceAll(/[%?#\n]/g, encodeURIComponent)}`,
    PULUMI_CONFIG_PASSPHRASE_FILE: join(STATE, "passphrase"),
  };
}
