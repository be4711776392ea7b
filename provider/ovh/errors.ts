import { UserError } from "../../common/user-error.ts";

/** Three keys, or a service account (OAuth2), whose rights are policies of OVH's access management (IAM). */
export type Login = "keys" | "account";

/** How a call to OVH failed. */
interface OvhFailure {
  readonly method: string;
  /** Path as called, without the query. */
  readonly path: string;
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;
  /** `Client::NotFound` and its like, or the older `NOT_GRANTED_CALL` and its like. */
  readonly errorClass?: string | undefined;
  readonly detail?: string | undefined;
  /** OVH's support asks for it. */
  readonly queryId?: string | undefined;
  /** Why there was no answer. */
  readonly silence?: "timeout" | "cut" | undefined;
  /** Actions that OVH's access management (IAM) says are missing. */
  readonly missingActions?: readonly string[] | undefined;
  /** How the client logs in. @default "keys" */
  readonly login?: Login | undefined;
  readonly cause?: unknown;
  /** @default a sentence made of the rest */
  readonly message?: string;
}

const IAM = "OVH's control panel, Identity and access management, Policies";

/** A call to OVH that was refused, failed or got no answer. */
export class OvhError extends UserError {
  override readonly name = "OvhError";
  readonly status: number;
  readonly errorClass: string | undefined;
  readonly detail: string;
  readonly queryId: string | undefined;
  /** Whether the call may have taken effect although it failed. */
  readonly maybeDone: boolean;

  constructor(failure: OvhFailure) {
    super(failure.message ?? sentence(failure), { cause: failure.cause });
    this.status = failure.status;
    this.errorClass = failure.errorClass;
    this.detail = failure.detail ?? "";
    this.queryId = failure.queryId;
    this.maybeDone = failure.method !== "GET" && (failure.status === 0 || failure.status >= 500);
  }

  /** Whether the object does not exist. */
  get isGone(): boolean {
    return this.status === 404;
  }

  /** Whether the service has expired; OVH has a status of its own for that. */
  get isExpired(): boolean {
    return this.status === 460;
  }

  /** Whether the object already exists; OVH answers 409 or, for firewalls, 400. */
  get isConflict(): boolean {
    return this.status === 409 || (this.status === 400 && /\b(already )?exist/i.test(this.detail));
  }

  /** Whether the server is busy with another task; the call had no effect. */
  get isBusy(): boolean {
    return (
      (this.status === 400 || this.status === 409) &&
      /running task|task.*(running|progress)/i.test(this.detail)
    );
  }
}

function sentence(failure: OvhFailure): string {
  return `${failure.method} ${failure.path}: expected an answer, got ${got(failure)}; ${wayOut(failure)}`;
}

function got({ status, errorClass, detail, queryId, silence }: OvhFailure): string {
  if (silence === "timeout") return "none within the time limit";
  if (silence === "cut") return `a broken connection${detail ? ` (${detail})` : ""}`;
  const words = [String(status), errorClass, detail && `"${detail}"`].filter(Boolean).join(" ");
  return queryId ? `${words} (query ${queryId})` : words;
}

function wayOut(failure: OvhFailure): string {
  const { method, path, status, silence, errorClass = "", detail = "", missingActions, login } = failure;
  if (silence) return again(method, "once the API can be reached");
  if (missingActions?.length)
    return `grant ${missingActions.join(", ")} in a policy of ${login === "account" ? "the service account" : "the user of the key"} (${IAM})`;
  if (/INVALID_SIGNATURE|invalid signature/i.test(`${errorClass} ${detail}`)) {
    return "set technicia:ovhApplicationSecret to the secret that belongs to the application key";
  }
  if (/application key is invalid/i.test(detail)) {
    return "set technicia:ovhApplicationKey to a key of this endpoint, made at https://api.ovh.com/createToken/";
  }
  if (/INVALID_CREDENTIAL|credential is not valid/i.test(`${errorClass} ${detail}`)) {
    return "set technicia:ovhConsumerKey to a valid one; it has expired, was revoked or was never validated";
  }
  switch (status) {
    case 401:
      return login === "account"
        ? "set technicia:ovhClientId and technicia:ovhClientSecret to those of a service account of this endpoint"
        : "set the OVH keys of this stack (technicia:ovhApplicationKey, ovhApplicationSecret, ovhConsumerKey)";
    case 403:
      return login === "account"
        ? `allow ${method} ${path} in a policy of the service account (${IAM})`
        : `give the key the right ${method} ${path} (https://api.ovh.com/createToken/)`;
    case 404:
      return "check the name and that these keys belong to the account that owns it";
    case 409:
      return "something else changed it at the same time; run pulumi up --refresh";
    case 429:
      return "OVH limits the rate of requests; wait some minutes and run pulumi up again";
    case 460:
      return "the service has expired: renew it in OVH's control panel";
    default:
      return status >= 500
        ? `OVH has a fault: ${again(method, "later (https://status.ovhcloud.com)")}`
        : "correct what OVH names and run pulumi up again";
  }
}

// A call whose answer was lost may have taken effect.
function again(method: string, when: string): string {
  return method === "GET"
    ? `run pulumi up again ${when}`
    : `the request may have succeeded; run pulumi up again ${when}, it checks before repeating it`;
}

/** The answer, or undefined when the object does not exist. */
export async function ifThere<Answer>(answer: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof OvhError && error.isGone) return undefined;
    throw error;
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
