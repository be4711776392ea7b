/** A repair where the stack is watched: the team is told of it, and not of the alerts that it causes. */
import { announce } from "../monitoring/announce.ts";
import { duringWorkOnServices } from "../monitoring/planned.ts";
import type { Effects } from "../effects.ts";
import type { Checked } from "./check.ts";

/** Gives what the work gives: the failure of a repair that did not restore everything. */
export async function watched<T>(
  { server, settings }: Pick<Checked, "server" | "settings">,
  changes: number,
  { identity, now, say }: Pick<Effects, "identity" | "now" | "say">,
  work: () => Promise<T | undefined>,
): Promise<T | undefined> {
  if (server === undefined || settings === undefined) return await work();
  const { environment } = settings;
  const began = now();
  const tell = (stage: "started" | "finished" | "failed") =>
    announce(
      { server, environment, identity, now, say },
      { work: "repair", stage, began, detail: `${changes} ressource${changes > 1 ? "s" : ""}` },
    );
  const what = "repair of drift";
  const planned = { server, environment, kind: "deployment", what, identity, now, say } as const;
  await tell("started");
  try {
    const failure = await duringWorkOnServices(planned, work);
    await tell(failure === undefined ? "finished" : "failed");
    return failure;
  } catch (error) {
    await tell("failed");
    throw error;
  }
}
