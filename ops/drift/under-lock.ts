/** A repair under the deployment's lock: it stops when the operator interrupts it, and when somebody takes the lock. */
import { UserError } from "../../common/user-error.ts";
import type { Effects } from "../effects.ts";
import type { Server } from "../server/connection.ts";
import { holdLock } from "../server/lock.ts";
import { appendHistory } from "../server/records.ts";
import type { RepairWorld } from "./repair.ts";

/** What a repair reaches: once `stop` is aborted, a run of the engine ends in order, and nothing more is begun. */
export function stoppableWorld(
  effects: Effects & Omit<RepairWorld, "exclusively">,
  stop: AbortController,
): RepairWorld {
  const { signal } = stop;
  return {
    ...effects,
    async pulumi(call) {
      signal.throwIfAborted();
      return await effects.pulumi({ ...call, signal });
    },
    async fetch(...request) {
      signal.throwIfAborted();
      return await effects.fetch(...request);
    },
    exclusively: (server, stack, work) => underLock(server, { ...effects, stack, stop }, work),
  };
}

async function underLock<T>(
  server: Server,
  { stack, stop, ...effects }: Effects & { readonly stack: string; readonly stop: AbortController },
  work: () => Promise<T>,
): Promise<T> {
  const lock = await holdLock(server, { ...effects, stack, why: "repair of drift" });
  const { lost } = lock;
  lost.addEventListener("abort", () => stop.abort(lost.reason), { once: true });
  try {
    const result = await work();
    lost.throwIfAborted();
    return result;
  } catch (error) {
    if (!lost.aborted) throw error;
    await appendHistory(server, {
      at: effects.now().toISOString(),
      who: effects.identity.who,
      action: "repair",
      reason: "",
      detail: "réparation arrêtée : quelqu'un a pris le verrou de déploiement",
    });
    const { message } = lost.reason as Error;
    const said = (error as Error).message;
    throw new UserError(said === message ? message : `${message}\n${said}`, { cause: error });
  } finally {
    await lock.release();
  }
}
