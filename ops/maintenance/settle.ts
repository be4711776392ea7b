import { script } from "../../common/script.ts";
import type { Server } from "../server/connection.ts";
import type { Watching } from "./upgrade.ts";

const SETTLE = script(new URL("settle.sh", import.meta.url));

/** Waits until every service runs and is healthy. */
export async function settle(server: Server, { say }: Pick<Watching, "say">): Promise<void> {
  say("waiting for the services");
  await server.run({ purpose: "wait for the services", script: SETTLE, timeoutSeconds: 630 });
}
