/** How the checks reach the server itself. */
import type { Check } from "../../../common/check.ts";
import type { Server } from "../../server/connection.ts";
import type { CheckContext } from "../context.ts";
import { failed, type Finding, notChecked, ok, runProbe } from "../probe.ts";

/** The server; or, in French, why the checks cannot reach it. */
export type ServerAccess =
  { readonly server: Server } | { readonly server: undefined; readonly obstacle: string };

const LIMIT_SECONDS = 30;
const NO_SERVER = "pas de serveur où se connecter";

/** Logs in before any other check, so that an unreachable server is one failure and not twenty. */
export async function openAccess(
  context: CheckContext,
  id: string,
): Promise<{ readonly check: Check; readonly access: ServerAccess }> {
  const { server, outputs } = context;
  const check = await runProbe(
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
  if (server && check.outcome === "ok") return { check, access: { server } };
  const obstacle = server ? "le serveur n'est pas joignable par ssh" : NO_SERVER;
  return { check, access: { server: undefined, obstacle } };
}

export async function askServer(
  access: ServerAccess,
  look: (server: Server) => Finding | Promise<Finding>,
): Promise<Finding> {
  return access.server ? look(access.server) : notChecked(access.obstacle);
}
