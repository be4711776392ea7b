import { POLICY_PACK } from "../../common/policy-pack.ts";
import { UserError } from "../../common/user-error.ts";
import { onlyStack, readArguments, type Commands, type Outcome } from "../command.ts";
import { realEffects, type Effects } from "../effects.ts";
import { holdLock, LockRefusal, type HeldLock } from "../server/lock.ts";
import type { Server } from "../server/connection.ts";
import { untilStopped } from "../terminal.ts";
import { forgetReinstalled } from "./reinstalled.ts";
import { resume } from "./resume.ts";
import { readDeployed } from "./state.ts";

const FINGERPRINT = /^SHA256:[A-Za-z0-9+/]{43}$/;

export const commands: Commands = {
  resume: {
    usage: "npm run resume -- <stack> [--reinstalled [--host-key <fingerprint>]]",
    summary: "resolves what a killed run left pending, or removes a lost installation from the state",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        reinstalled: { type: "boolean", default: false },
        "host-key": { type: "string" },
      });
      const stack = onlyStack(this.usage, positionals);
      const { reinstalled, "host-key": hostKey } = values;
      if (hostKey !== undefined && (!reinstalled || !FINGERPRINT.test(hostKey)))
        throw new UserError(
          `--host-key: expected a fingerprint such as SHA256:… (43 characters follow) together with --reinstalled, got ${JSON.stringify(hostKey)}\nusage: ${this.usage}`,
        );
      return await untilStopped(async (stop) => {
        const effects = realEffects(stop);
        // The server that held the lock is gone: the state alone tells whether something else runs.
        if (reinstalled) return await forget(stack, hostKey, effects);
        return await underLock(stack, effects, () => settle(stack, effects));
      });
    },
  },
};

async function forget(
  stack: string,
  hostKey: string | undefined,
  { pulumi }: Pick<Effects, "pulumi">,
): Promise<Outcome> {
  const names = await forgetReinstalled(stack, pulumi, { hostKey });
  const text = `removed ${names.length} resources of the lost installation from the state: ${names.join(", ")}
now set the server up again: npx pulumi up --stack ${stack} --policy-pack ${POLICY_PACK}`;
  return { text, exitCode: 0 };
}

async function settle(stack: string, { pulumi }: Pick<Effects, "pulumi">): Promise<Outcome> {
  const { adopted, forgotten, refreshed } = await resume(stack, pulumi);
  const lines = [
    ...adopted.map((name) => `added to the state: ${name}`),
    ...forgotten.map((name) => `was not created, or can safely be created again: ${name}`),
    ...refreshed.map((name) => `refreshed: ${name}`),
  ];
  return { text: lines.length === 0 ? "nothing was left pending" : lines.join("\n"), exitCode: 0 };
}

/** Does the work under the deployment's lock, where there is a server that can be reached: a killed run may have left none. */
export async function underLock<T>(stack: string, effects: Effects, work: () => Promise<T>): Promise<T> {
  const { ssh } = await readDeployed(stack, effects.pulumi);
  if (ssh === undefined) return await work();
  const server = effects.openServer({ ssh });
  let lock: HeldLock | undefined;
  try {
    lock = await tryLock(server, stack, effects);
    return await work();
  } finally {
    await lock?.release();
    server.close();
  }
}

async function tryLock(server: Server, stack: string, effects: Effects): Promise<HeldLock | undefined> {
  try {
    return await holdLock(server, { ...effects, stack, why: "resume" });
  } catch (error) {
    if (error instanceof LockRefusal || !(error instanceof UserError)) throw error;
    effects.say(`without the deployment lock, because the server cannot be reached: ${error.message}`);
    return undefined;
  }
}
