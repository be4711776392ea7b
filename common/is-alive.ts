import { readFileSync } from "node:fs";

/** Whether a process of this machine still runs. */
export function isAlive(id: number): boolean {
  try {
    process.kill(id, 0);
  } catch (error) {
    // EPERM: it runs, as another user.
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
  return !isZombie(id);
}

/** A killed process stays in Linux's list until its parent asks how it ended. The first process of a container may take seconds. */
function isZombie(id: number): boolean {
  try {
    return /^State:\s+[ZX]/m.test(readFileSync(`/proc/${id}/status`, "utf8"));
  } catch {
    return false;
  }
}
