/** Installs what is pending, in a unit of the server's own: it goes on when this command ends. */
import { setTimeout as wait } from "node:timers/promises";

import { script } from "../../common/script.ts";
import { UserError } from "../../common/user-error.ts";
import type { Effects } from "../effects.ts";
import type { Server } from "../server/connection.ts";
import { UPGRADE_UNIT } from "../server/lock.ts";

const program = (name: string) => script(new URL(name, import.meta.url));
const APT = script(new URL("../../provider/host/scripts/apt.sh", import.meta.url));
const LISTS = `${APT}\n${program("lists.sh")}`;
const UPGRADE = `${APT}\n${program("upgrade.sh")}`;
const START = program("start-upgrade.sh");
const AWAIT = program("await-upgrade.sh");
const REPLACED = program("replaced.sh");

/** Waiting for another apt, and reading. */
const LISTS_SECONDS = 1500;
const UPGRADE_SECONDS = 3600;

/** An upgrade may restart the network or sshd. */
const SILENT_SECONDS = 300;

export interface Watching extends Pick<Effects, "say" | "now"> {
  /** Between two looks at a server that does not answer. @default 5 */
  readonly retrySeconds?: number;
}

/** Waits for the upgrade of a command that was killed, and reads the package lists anew. */
export async function readLists(server: Server, watching: Watching): Promise<void> {
  const earlier = await awaitUpgrade(server, { ...watching, isBegun: false });
  if (earlier.waited) watching.say("the upgrade of an earlier command has ended");
  await server.run({
    purpose: "read the package lists",
    script: LISTS,
    timeoutSeconds: LISTS_SECONDS,
  });
}

/** An interrupted command waits for the end as well: nothing is worse than half an upgrade. */
export async function installUpgrades(server: Server, watching: Watching): Promise<void> {
  await server.run({
    purpose: "start the upgrade",
    script: START,
    variables: { PROGRAM: UPGRADE, UNIT: UPGRADE_UNIT },
  });
  const { ended, log } = await awaitUpgrade(server, { ...watching, isBegun: true });
  if (ended === 0) return;
  const how =
    ended === undefined ? "it was cut off, perhaps by a reboot of the server" : `exit code ${ended}`;
  throw new UserError(
    `could not install the upgrades on ${server.name}: ${how}; it printed:\n${log.map((line) => `  ${line}`).join("\n")}\nDocker was started again; fix what this names, then run npm run maintain again, which goes on from there`,
  );
}

/** Services that still run with programs or libraries that were replaced; undefined when there is none. */
export async function findReplaced(server: Server): Promise<string | undefined> {
  const { stdout } = await server.run({
    purpose: "look for programs that were replaced while they ran",
    script: REPLACED,
  });
  const names = stdout.split("\n").filter((name) => name !== "");
  return names.length === 0 ? undefined : `replaced while they ran: ${names.join(", ")}`;
}

interface Ended {
  /** Exit code; undefined when nothing runs and nothing has ended. */
  readonly ended: number | undefined;
  readonly log: readonly string[];

  /** Whether something ran at the first look. */
  readonly waited: boolean;
}

/** `isBegun`: whether something is known to run, so that a lost connection is bridged. */
async function awaitUpgrade(
  server: Server,
  { say, now, retrySeconds = 5, isBegun }: Watching & { readonly isBegun: boolean },
): Promise<Ended> {
  const seconds = () => now().getTime() / 1000;
  const began = seconds();
  let heard = began;
  let waited = false;
  let said = "";
  for (;;) {
    const answer = await look(server);
    if (answer instanceof UserError) {
      if (!(isBegun || waited) || seconds() - heard > SILENT_SECONDS) throw answer;
      await wait(retrySeconds * 1000);
      continue;
    }
    heard = seconds();
    const [state = "", ...log] = answer;
    const code = /^ended (\d+)$/.exec(state)?.[1];
    if (state !== "running") return { ended: code === undefined ? undefined : Number(code), log, waited };
    waited = true;
    const line = log.at(-1) ?? "";
    if (line !== "" && line !== said) say(`  ${line}`);
    said = line;
    if (heard - began > UPGRADE_SECONDS)
      throw new UserError(
        `${server.name}: expected the upgrade to end within ${UPGRADE_SECONDS / 60} minutes, got one that still runs; look at /run/technicia-maintenance/log there, then run npm run maintain again, which waits for it`,
      );
  }
}

async function look(server: Server): Promise<readonly string[] | UserError> {
  try {
    const { stdout } = await server.run({
      purpose: "see how the upgrade goes",
      script: AWAIT,
      variables: { UNIT: UPGRADE_UNIT },
      timeoutSeconds: 60,
    });
    return stdout.trimEnd().split("\n");
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
}
