/** What can only be asked on the server itself. */
import type { Server } from "../server.ts";
import type { Check } from "./check.ts";
import type { CheckContext } from "./context.ts";
import { carryOut, type Finding, notChecked, ok } from "./finding.ts";

/** The server; or why it cannot be asked. */
export type Inside = Server | string;

const LIMIT_SECONDS = 30;

/** Says hello first and alone, so that an unreachable server is one failure and not twenty. */
export async function enter(
  context: CheckContext,
  id: string,
): Promise<{ readonly check: Check; readonly inside: Inside }> {
  const { server } = context;
  const check = await carryOut(
    {
      id,
      title: "Serveur joignable par ssh",
      limitSeconds: LIMIT_SECONDS + 5,
      async find() {
        if (!server) return notChecked("pas encore de serveur : premier déploiement");
        await server.run({ purpose: "say hello", script: "true", timeoutSeconds: LIMIT_SECONDS });
        return ok(server.name);
      },
    },
    context,
  );
  if (!server) return { check, inside: "pas encore de serveur : premier déploiement" };
  return { check, inside: check.outcome === "ok" ? server : "le serveur n'est pas joignable par ssh" };
}

export async function onServer(
  inside: Inside,
  look: (server: Server) => Finding | Promise<Finding>,
): Promise<Finding> {
  return typeof inside === "string" ? notChecked(inside) : look(inside);
}
