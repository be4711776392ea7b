/** One login to a host: opened when first needed, and opened again after it was lost. */
import type { Client } from "ssh2";
import { UserError } from "../../common/user-error.ts";
import { connect, type Target, type WaitOptions } from "./connect.ts";
import { joinLogin } from "./sharing.ts";

const BOOT_DEADLINE_SECONDS = 60;

// Dozens of resources use the same host; once one has waited for it without success, the others need not wait as long each.
const UNANSWERED_DEADLINE_SECONDS = 3;

export interface Login {
  readonly client: Client;
  /** Whether it is the login of the process that started this one. */
  readonly isShared: boolean;
  /** Gives the login up, so that the next `open` logs in again. */
  readonly drop: () => void;
}

export class Connection {
  readonly #target: Target;
  readonly #closed: AbortSignal;
  #login: Promise<Login> | undefined;
  #triesShared: boolean;
  #wasUnanswered = false;

  /** `closed` ends attempts to log in. `triesShared`: whether to look for a login that the process which started this one shares. */
  constructor(
    target: Target,
    { closed, triesShared }: { readonly closed: AbortSignal; readonly triesShared: boolean },
  ) {
    this.#target = target;
    this.#closed = closed;
    this.#triesShared = triesShared;
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
      ({ client, isShared }) => {
        const drop = (): void => {
          // Before "close" arrives, because the caller may open again right away.
          if (this.#login === started) this.#login = undefined;
          client.destroy();
        };
        client.on("error", drop).on("close", drop);
        this.#wasUnanswered = false;
        return { client, isShared, drop };
      },
      (error: unknown) => {
        this.#login = undefined;
        this.#wasUnanswered = true;
        throw error;
      },
    );
    return started;
  }

  async #logIn(options: WaitOptions): Promise<Pick<Login, "client" | "isShared">> {
    if (this.#triesShared) {
      // Once only: a shared login that was lost, or has no session left, is followed by a login of our own.
      this.#triesShared = false;
      const client = await joinLogin(this.#target, this.#closed);
      if (client !== undefined) return { client, isShared: true };
    }
    const longest = this.#wasUnanswered ? UNANSWERED_DEADLINE_SECONDS : BOOT_DEADLINE_SECONDS;
    const deadlineSeconds = Math.min(longest, options.deadlineSeconds);
    // Other callers wait for this login, too: only the end of the connection cancels it.
    return {
      client: await connect(this.#target, { ...options, deadlineSeconds, signal: this.#closed }),
      isShared: false,
    };
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
