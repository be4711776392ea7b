/** Reboots the server and waits until it is back. */
import { setTimeout as wait } from "node:timers/promises";

import { UserError } from "../../common/user-error.ts";
import type { Server } from "../server/connection.ts";
import type { Watching } from "./upgrade.ts";

const BOOT = `echo "$(cat /proc/sys/kernel/random/boot_id) $(uname --kernel-release)"`;

// The answer has to arrive before the connection ends.
const REBOOT = "systemd-run --quiet --collect --on-active=2 systemctl reboot";

const REBOOT_SECONDS = 600;

export interface Boot {
  /** Another one after every boot. */
  readonly id: string;
  readonly kernel: string;
}

export async function readBoot(server: Server, timeoutSeconds?: number): Promise<Boot> {
  const { stdout } = await server.run({
    purpose: "see when the server booted",
    script: BOOT,
    ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }),
  });
  const [id = "", kernel = ""] = stdout.trim().split(" ");
  return { id, kernel };
}

/** Gives what it booted. Fails when `signal` is aborted meanwhile: the server then comes back by itself. */
export async function rebootServer(
  server: Server,
  { say, now, retrySeconds = 5, signal }: Watching & { readonly signal: AbortSignal },
): Promise<Boot> {
  const before = await readBoot(server);
  const deadline = now().getTime() + REBOOT_SECONDS * 1000;
  await server.run({ purpose: "reboot the server", script: REBOOT });
  say("waiting for the server to come back");
  for (;;) {
    await wait(retrySeconds * 1000, undefined, { signal }).catch(() => signal.throwIfAborted());
    const boot = await readBoot(server, 20).catch((error: unknown) => {
      if (error instanceof UserError) return undefined;
      throw error;
    });
    if (boot !== undefined && boot.id !== before.id) return boot;
    if (now().getTime() > deadline)
      throw new UserError(
        `${server.name}: expected the server to be back within ${REBOOT_SECONDS / 60} minutes of its reboot, got ${boot === undefined ? "no answer" : "the boot from before"}; look at its console in OVH's control panel, and at docs/runbook.md`,
      );
  }
}
