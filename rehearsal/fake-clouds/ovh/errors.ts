/** An answer other than success, as OVH words it. */
export class OvhError extends Error {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;

  constructor(status: number, body: Readonly<Record<string, unknown>> & { readonly message: string }) {
    super(body.message);
    this.status = status;
    this.body = body;
  }
}

export function badRequest(message: string): OvhError {
  return new OvhError(400, { class: "Client::BadRequest", message });
}

export function notFound(message: string): OvhError {
  return new OvhError(404, { class: "Client::NotFound", message });
}

export function conflict(message: string): OvhError {
  return new OvhError(409, { class: "Client::Conflict", message });
}

export function forbidden(message: string): OvhError {
  return new OvhError(403, { class: "Client::Forbidden", message });
}

/** The gateway's own refusals carry a code instead of a class. */
export function gatewayError(status: 400 | 403, errorCode: string, message: string): OvhError {
  const httpCode = status === 400 ? "400 Bad Request" : "403 Forbidden";
  return new OvhError(status, { errorCode, httpCode, message });
}
