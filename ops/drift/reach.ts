/** Logs in to the server before anything on it is judged. */
import { UserError } from "../../common/user-error.ts";
import type { Effects } from "../effects.ts";
import type { Server } from "../server/connection.ts";
import { describeLock, readLock } from "../server/lock.ts";
import type { Unchecked } from "./report.ts";
import type { DeployedState } from "./state.ts";

/** An answer, or why there is none. */
export type Attempt<T> =
  | { readonly value: T; readonly unchecked?: undefined }
  | { readonly value?: undefined; readonly unchecked: Unchecked };

export type Reached = Attempt<Server> & {
  /** Whether something is being deployed: then nothing may be repaired, not even what is not on the server. */
  readonly isBusy?: boolean;
};

const REACH_SECONDS = 20;

export const ON_THE_SERVER = "the server and everything on it";

export async function attempt<T>(what: string, work: () => Promise<T>): Promise<Attempt<T>> {
  try {
    return { value: await work() };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { unchecked: { what, reason: error.message } };
  }
}

/** `holdsLock`: whether this command holds the deployment's lock; `onAnswer` is called before it is known whether the server lets us in. */
export async function reach(
  { openServer }: Pick<Effects, "openServer">,
  request: { readonly state: DeployedState; readonly holdsLock: boolean; readonly onAnswer: () => void },
): Promise<Reached> {
  const { ssh } = request.state;
  if (ssh === undefined)
    return {
      unchecked: { what: ON_THE_SERVER, reason: "the deployment has not got to the server yet" },
    };
  const server = openServer({ ssh });
  const options = {
    timeoutSeconds: REACH_SECONDS,
    onAnswer() {
      void server.logInForDocker();
      request.onAnswer();
    },
  };
  let isBusy = false;
  const reached = await attempt(ON_THE_SERVER, async () => {
    if (request.holdsLock) {
      await server.run({ ...options, purpose: "log in", script: "true" });
      return server;
    }
    const held = await readLock(server, options);
    if (held === undefined || held.dead) return server;
    isBusy = true;
    throw new UserError(
      `something is being deployed, so what is there is not what will be: ${describeLock(held)}; check again when it has ended`,
    );
  });
  if (reached.unchecked) server.close();
  return { ...reached, isBusy };
}
