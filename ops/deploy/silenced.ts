/** Updates that are planned: nobody is told of the alerts that they cause. */
import { duringWorkOnServices } from "../monitoring/planned.ts";
import type { Session } from "./session.ts";

/** Does the work while the alerts of the stack's services are silenced; `what` says to people what is done. */
export async function silenced<T>(session: Session, what: string, work: () => Promise<T>): Promise<T> {
  const { server, environment, operator } = session;
  // Before the first deployment nothing watches the stack.
  if (server === undefined) return await work();
  const { identity, now, say } = operator;
  const kind = "deployment";
  return await duringWorkOnServices({ server, environment, kind, what, identity, now, say }, work);
}
