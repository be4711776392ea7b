import { UserError } from "../common/user-error.ts";
import type { Effects } from "./effects.ts";
import { readDeployed } from "./engine/state.ts";
import type { Server } from "./server/connection.ts";

/** Does the work on the server of a deployed stack, without its lock. */
export async function onServer<T>(
  stack: string,
  { pulumi, openServer }: Pick<Effects, "pulumi" | "openServer">,
  work: (server: Server) => Promise<T>,
): Promise<T> {
  const { ssh } = await readDeployed(stack, pulumi);
  if (ssh === undefined)
    throw new UserError(`${stack} is not deployed; deploy it with npm run deploy -- ${stack}`);
  const server = openServer({ ssh });
  try {
    return await work(server);
  } finally {
    server.close();
  }
}
