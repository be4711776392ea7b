import type { Fault } from "../api/faults.ts";

/** Google's names of errors and the status of each. */
const STATUS = {
  INVALID_ARGUMENT: 400,
  UNAUTHENTICATED: 401,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  RESOURCE_EXHAUSTED: 429,
  INTERNAL: 500,
  UNAVAILABLE: 503,
} as const;
export type GoogleStatus = keyof typeof STATUS;

/** A refusal in the envelope of Google's APIs. */
export class GoogleError extends Error {
  readonly reason: GoogleStatus;
  readonly details: readonly unknown[];

  constructor(reason: GoogleStatus, message: string, details: readonly unknown[] = []) {
    super(message);
    this.reason = reason;
    this.details = details;
  }

  get status(): number {
    return STATUS[this.reason];
  }

  render(): unknown {
    return renderError(this.reason, this.message, this.details);
  }
}

/** A refusal of the token endpoint, in OAuth's form. */
export class OauthError extends Error {
  readonly error: string;

  constructor(error: string, description: string) {
    super(description);
    this.error = error;
  }
}

function renderError(reason: GoogleStatus, message: string, details: readonly unknown[] = []): unknown {
  return {
    error: { code: STATUS[reason], message, status: reason, ...(details.length > 0 && { details }) },
  };
}

/** A field of the request that is wrong, as Google's `BadRequest` has it. */
export function badField(field: string, description: string): GoogleError {
  return new GoogleError("INVALID_ARGUMENT", "Request contains an invalid argument.", [
    {
      "@type": "type.googleapis.com/google.rpc.BadRequest",
      fieldViolations: [{ field, description }],
    },
  ]);
}

/** A fault that answers as Google does where a quota is used up, or a service is away for a moment. */
export function away(
  reason: "RESOURCE_EXHAUSTED" | "UNAVAILABLE",
  { path, times }: { readonly path: string; readonly times: number },
): Fault {
  const message =
    reason === "UNAVAILABLE"
      ? "The service is currently unavailable."
      : "Quota exceeded for quota metric 'Online process document requests' and limit 'Online process document requests per minute'.";
  return { api: "google", path, times, status: STATUS[reason], body: renderError(reason, message) };
}
