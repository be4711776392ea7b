import { readFileSync, readlinkSync } from "node:fs";

/** Whether a process of this machine still runs. With `started`, as `startOf` gave it, not another one that has its number now. */
export function isAlive(id: number, started?: string): boolean {
  try {
    process.kill(id, 0);
  } catch (error) {
    // EPERM: it runs, as another user.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  if (started !== undefined && startOf(id) !== started) return false;
  return !isZombie(id);
}

/** When a process started, in the kernel's own ticks since the boot; undefined where there is no such process, or no /proc. */
export function startOf(id: number): string | undefined {
  // The second field is the program's name in brackets, which may contain anything; the 22nd is the start.
  return read(`/proc/${id}/stat`)?.replace(/^.*\)/s, "").trim().split(" ")[19];
}

/**
 * Where a process number means the same process: this boot of this kernel, and this process namespace. A container has one of its own, also
 * where it has its host's name. Undefined where there is no /proc.
 */
export function processSpace(): string | undefined {
  const boot = read("/proc/sys/kernel/random/boot_id")?.trim();
  try {
    return boot && `${boot} ${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return undefined;
  }
}

/** A killed process stays in Linux's list until its parent asks how it ended. The first process of a container may take seconds. */
function isZombie(id: number): boolean {
  return /^State:\s+[ZX]/m.test(read(`/proc/${id}/status`) ?? "");
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
