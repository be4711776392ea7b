/** Updates that are planned: nobody is told of the alerts that they cause. */
import { enabledServices, SERVICES } from "../../common/services.ts";
import { during } from "../monitoring/planned.ts";
import type { Session } from "./session.ts";

/** An update that takes longer is worth an alert. */
const SECONDS = 3600;

/** Does the work while the alerts of the stack's services are silenced; `what` says to people what is done. */
export async function silenced<T>(session: Session, what: string, work: () => Promise<T>): Promise<T> {
  const { server, environment, operator } = session;
  // Before the first deployment nothing watches the stack.
  if (server === undefined) return await work();
  const services = enabledServices(environment).map((name) => SERVICES[name].alias);
  const { identity, now, say } = operator;
  const isOn = environment.monitoring.enabled;
  const alerts = { kind: "deployment", services } as const;
  return await during({ server, what, alerts, seconds: SECONDS, isOn, identity, now, say }, work);
}
