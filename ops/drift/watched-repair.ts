/** A repair where the stack is watched: the team is told of it, and not of the alerts that it causes. */
import { enabledServices, SERVICES } from "../../common/services.ts";
import { announce } from "../monitoring/announce.ts";
import { during } from "../monitoring/planned.ts";
import type { Effects } from "../effects.ts";
import type { Checked } from "./check.ts";

/** A repair that takes longer is worth an alert. */
const SECONDS = 3600;

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
  const services = enabledServices(environment).map((name) => SERVICES[name].alias);
  const planned = {
    what: "repair of drift",
    alerts: { kind: "deployment", services },
    seconds: SECONDS,
    isOn: environment.monitoring.enabled,
  } as const;
  await tell("started");
  try {
    const failure = await during({ server, identity, now, say, ...planned }, work);
    await tell(failure === undefined ? "finished" : "failed");
    return failure;
  } catch (error) {
    await tell("failed");
    throw error;
  }
}
