/** Which connection a host belongs to: the one whose `serverId` stands in a file on it. */
import type { Host } from "../ssh/host.ts";
import type { Call } from "./definition.ts";

const MARK = "/var/lib/technicia/installation";

const CLAIM = `
if [ "$(cat "$MARK" 2>/dev/null || true)" != "$ID" ]; then
  install --directory --mode 0755 "\${MARK%/*}"
  echo "$ID" >"$MARK"
fi`;

type Running = Pick<Call, "signal" | "log">;

/**
 * Keeps the old resources from being deleted on a host that the new ones have just been created on.
 *
 * A changed `serverId` recreates everything, then deletes the old. The host can be the same: its disk was restored, or OVH counted again.
 */
export class Installation {
  readonly #host: Host;
  readonly #serverId: string;
  #claimed: Promise<unknown> | undefined;
  #owner: Promise<string> | undefined;

  constructor(host: Host, serverId: string) {
    this.#host = host;
    this.#serverId = serverId;
  }

  /** Notes that the host's resources are now those of this connection. */
  async claim({ signal, log }: Running): Promise<void> {
    this.#claimed ??= this.#host.run({
      purpose: "note whose server this is",
      script: CLAIM,
      variables: { ID: this.#serverId, MARK },
      signal,
      onWaiting: log.status,
    });
    await this.#claimed.catch((error: unknown) => {
      this.#claimed = undefined;
      throw error;
    });
  }

  /** Whether the resources of another connection have taken the host over. */
  async isTakenOver({ signal, log }: Running): Promise<boolean> {
    this.#owner ??= this.#host
      .run({
        purpose: "ask whose server this is",
        script: 'cat "$MARK" 2>/dev/null || true',
        variables: { MARK },
        signal,
        onWaiting: log.status,
      })
      .then(({ stdout }) => stdout.trim());
    const owner = await this.#owner.catch((error: unknown) => {
      this.#owner = undefined;
      throw error;
    });
    return owner !== "" && owner !== this.#serverId;
  }
}
