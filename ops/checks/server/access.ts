/** What can only be asked on the server itself. */
import type { Server } from "../../server/connection.ts";
import type { Check } from "../../../common/check.ts";
import type { CheckContext } from "../context.ts";
import { carryOut, failed, type Finding, notChecked, ok } from "../finding.ts";

/** The server; or why it cannot be asked. */
export type Inside = Server | string;

const LIMIT_SECONDS = 30;
const NO_SERVER = "pas de serveur où se connecter";

/** Says hello first and alone, so that an unreachable server is one failure and not twenty. */
export async function enter(
  context: CheckContext,
  id: string,
): Promise<{ readonly check: Check; readonly inside: Inside }> {
  const { server, outputs } = context;
  const check = await carryOut(
    {
      id,
      title: "Serveur joignable par ssh",
      limitSeconds: LIMIT_SECONDS + 5,
      async find() {
        if (!server)
          return outputs ? failed("pas de connexion au serveur qui est déployé") : notChecked(NO_SERVER);
        await server.run({ purpose: "say hello", script: "true", timeoutSeconds: LIMIT_SECONDS });
        return ok(server.name);
      },
    },
    context,
  );
  if (!server) return { check, inside: NO_SERVER };
  return { check, inside: check.outcome === "ok" ? server : "le serveur n'est pas joignable par ssh" };
}

export async function onServer(
  inside: Inside,
  look: (server: Server) => Finding | Promise<Finding>,
): Promise<Finding> {
  return typeof inside === "string" ? notChecked(inside) : look(inside);
}
