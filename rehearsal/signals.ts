/** What ends the rehearsal's command line ends the program that it runs, and then itself. */
import { readFileSync } from "node:fs";

/**
 * Ctrl-C reaches the program by itself, because a terminal sends it to the whole group; a second one would end the engine at once. SIGTERM goes
 * to one process, and is passed on. `work` gets a function to call with the program's process id.
 */
export async function outlived<T>(work: (onStart: (pid: number) => void) => Promise<T>): Promise<T> {
  let started: number | undefined;
  const wait = () => undefined;
  const passOn = () => {
    for (const pid of started === undefined ? [] : behindLauncher(started)) end(pid);
  };
  process.on("SIGINT", wait).on("SIGTERM", passOn);
  try {
    return await work((pid) => {
      started = pid;
    });
  } finally {
    process.off("SIGINT", wait).off("SIGTERM", passOn);
  }
}

/** npm's launcher of Pulumi's CLI passes no signal on, but ends when the CLI does: the programs that it started, or itself where it has none. */
function behindLauncher(pid: number): number[] {
  const children = readChildren(pid);
  return children.length === 0 ? [pid] : children;
}

function end(pid: number): void {
  try {
    process.kill(pid, "SIGTERM");
  } catch (error) {
    // It has just ended.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function readChildren(pid: number): number[] {
  try {
    const ids = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    return ids === "" ? [] : ids.split(" ").map(Number);
  } catch {
    // It has just ended, or this kernel does not tell.
    return [];
  }
}
