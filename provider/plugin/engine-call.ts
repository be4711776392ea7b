/** One call of the engine about a resource: what the definition gets, and how a failure is reported. */
import type grpc from "@grpc/grpc-js";
import { Redactor } from "../../common/redactor.ts";
import { UserError } from "../../common/user-error.ts";
import type { Host } from "../ssh/host.ts";
import type { Call, Log, Settings } from "./definition.ts";
import type { EngineLog, Severity } from "./engine-log.ts";
import { toStatus } from "./responses.ts";
import { secretTexts } from "./resource-state.ts";
import { secretNames, type Properties } from "./wire.ts";

/** What every call of a configured plugin shares. */
export interface CallContext {
  readonly settings: Settings;
  /** Texts of the settings that are never shown. */
  readonly settingSecrets: readonly string[];
  readonly engineLog: EngineLog;
  /** Aborted when the engine cancels everything. */
  readonly signal: AbortSignal;
  readonly hostFor: (log: Log) => Host;
}

export interface CallDetails {
  /** Further properties whose secrets the call may meet. */
  readonly others?: readonly Properties[];
  /** State to keep when only a part was done; not given where a failure leaves no state. */
  readonly partialState?: (outputs: object) => Properties;
}

type Request = { getUrn(): string };

export class EngineCall {
  readonly #context: CallContext;
  readonly #urn: string;
  readonly #timeoutSeconds: number | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #abandoned = new AbortController();
  readonly #redactor = new Redactor({ words: true });
  #partialState: CallDetails["partialState"];
  #lastStatus: string | undefined;

  constructor(call: grpc.ServerUnaryCall<Request, unknown>, context: CallContext) {
    this.#context = context;
    this.#urn = call.request.getUrn();
    this.#timeoutSeconds = timeoutOf(call.request);
    context.settingSecrets.forEach((secret) => this.#redactor.hide(secret));
    call.on("cancelled", () => this.#abandoned.abort(new UserError("cancelled")));
    if (this.#timeoutSeconds !== undefined) {
      this.#timer = setTimeout(() => this.#abandoned.abort(this.#late()), this.#timeoutSeconds * 1000);
    }
  }

  /** What the definition gets. The secrets of these properties are then hidden in everything that the call logs or fails with. */
  openCall(inputs: Properties, { others = [], partialState }: CallDetails = {}): Call {
    this.#partialState = partialState;
    [inputs, ...others].flatMap(secretTexts).forEach((secret) => this.#redactor.hide(secret));
    const log = this.#log();
    const { settings, signal, hostFor } = this.#context;
    return {
      urn: this.#urn,
      settings,
      get host() {
        return hostFor(log);
      },
      log,
      signal: AbortSignal.any([signal, this.#abandoned.signal]),
      timeoutSeconds: this.#timeoutSeconds,
      secretInputs: secretNames(inputs.secrets),
      hide: (secret) => this.#redactor.hide(secret),
    };
  }

  /** The failure in the engine's format. */
  toStatus(error: unknown): grpc.ServiceError {
    return toStatus(error, { clean: (text) => this.#redactor.clean(text), partialState: this.#partialState });
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  /** Names what the call waited for, if it said so: the limit alone does not tell an operator what to look at. */
  #late(): UserError {
    const limit = `took longer than the ${this.#timeoutSeconds} s that customTimeouts allows`;
    return new UserError(this.#lastStatus === undefined ? limit : `${limit}; last: ${this.#lastStatus}`);
  }

  #log(): Log {
    const send = (severity: Severity, isStatus = false) => {
      return (text: string): void =>
        this.#context.engineLog.send({
          severity,
          text: this.#redactor.clean(text),
          urn: this.#urn,
          isStatus,
        });
    };
    const status = (text: string): void => {
      this.#lastStatus = text;
      send("info", true)(text);
    };
    return { info: send("info"), warning: send("warning"), debug: send("debug"), status };
  }
}

function timeoutOf(request: Request): number | undefined {
  const seconds = "getTimeout" in request ? (request as { getTimeout(): number }).getTimeout() : 0;
  return seconds > 0 ? seconds : undefined;
}
