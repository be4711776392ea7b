/** One login to a host: opened when first needed, and opened again after it was lost. */
import type { Client } from "ssh2";
import { UserError } from "../../common/user-error.ts";
import { connect, type Target, type WaitOptions } from "./connect.ts";

const BOOT_DEADLINE_SECONDS = 60;

// Dozens of resources use the same host; once one has waited for it without success, the others need not wait as long each.
const UNANSWERED_DEADLINE_SECONDS = 3;

export interface Login {
  readonly client: Client;
  /** Gives the login up, so that the next `open` logs in again. */
  readonly drop: () => void;
}

export class Connection {
  readonly #target: Target;
  readonly #closed: AbortSignal;
  #login: Promise<Login> | undefined;
  #wasUnanswered = false;

  /** `closed` ends attempts to log in. */
  constructor(target: Target, closed: AbortSignal) {
    this.#target = target;
    this.#closed = closed;
  }

  get isOpen(): boolean {
    return this.#login !== undefined;
  }

  /** The login; callers that come at the same time wait for the same one. The options count for the caller that starts it. */
  open(options: WaitOptions): Promise<Login> {
    this.#login ??= this.#start(options);
    return abortable(this.#login, options.signal);
  }

  /** Ends the login, if there is one. */
  hangUp(): void {
    void this.#login?.then(
      ({ client }) => client.end(),
      () => undefined,
    );
  }

  #start(options: WaitOptions): Promise<Login> {
    const started = this.#logIn(options).then(
      (client) => {
        const drop = (): void => {
          // Before "close" arrives, because the caller may open again right away.
          if (this.#login === started) this.#login = undefined;
          client.destroy();
        };
        client.on("error", drop).on("close", drop);
        this.#wasUnanswered = false;
        return { client, drop };
      },
      (error: unknown) => {
        this.#login = undefined;
        this.#wasUnanswered = true;
        throw error;
      },
    );
    return started;
  }

  #logIn(options: WaitOptions): Promise<Client> {
    const longest = this.#wasUnanswered ? UNANSWERED_DEADLINE_SECONDS : BOOT_DEADLINE_SECONDS;
    const deadlineSeconds = Math.min(longest, options.deadlineSeconds);
    // Other callers wait for this login, too: only the end of the connection cancels it.
    return connect(this.#target, { ...options, deadlineSeconds, signal: this.#closed });
  }
}

function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void =>
      reject(signal.reason instanceof Error ? signal.reason : new UserError("cancelled"));
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
