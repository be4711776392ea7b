/** The gateway, as it is asked to hold the requests to n8n. */
import { HOLD_SCRIPT } from "../../common/hold.ts";
import { UserError } from "../../common/user-error.ts";
import type { Server } from "../server/connection.ts";

const SCRIPT = `
if [ ! -x "$SCRIPT" ]; then
  echo "this server's gateway cannot hold requests yet" >&2
  exit 1
fi
exec "$SCRIPT" "$VERB"`;

export type Verb = "pause" | "renew" | "resume" | "state";

export interface GatewayState {
  readonly isPaused: boolean;

  /** Until the pause ends by itself. */
  readonly leftSeconds: number;

  /** Requests that n8n has not answered yet. */
  readonly inFlight: number;

  /** Requests that wait for the end of the pause. */
  readonly waiting: number;
}

/** @throws UserError where the gateway does not run, or holds nothing */
export async function askGateway(
  server: Pick<Server, "name" | "run">,
  verb: Verb,
  { timeoutSeconds }: { readonly timeoutSeconds: number },
): Promise<GatewayState> {
  const { stdout } = await server.run({
    purpose: `${verb === "state" ? "look at" : verb} the requests to n8n`,
    script: SCRIPT,
    variables: { SCRIPT: HOLD_SCRIPT, VERB: verb },
    timeoutSeconds,
  });
  const [, state, left, inFlight, waiting] =
    /^(paused|open) ([\d.]+) (-?\d+) (-?\d+)$/.exec(stdout.trim()) ?? [];
  if (state === undefined)
    throw new UserError(
      `${server.name}: expected the gateway to say whether it holds requests, got ${JSON.stringify(stdout.slice(0, 100))}; deploy the stack`,
    );
  return {
    isPaused: state === "paused",
    leftSeconds: Number(left),
    inFlight: Number(inFlight),
    waiting: Number(waiting),
  };
}
