export interface ErrorDetail {
  readonly code: number;
  readonly message: string;
}

/** A refusal, in Cloudflare's envelope. */
export class CloudflareError extends Error {
  readonly status: number;
  readonly detail: ErrorDetail;
  readonly chain: readonly ErrorDetail[];
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    detail: ErrorDetail,
    more: { chain?: readonly ErrorDetail[]; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(detail.message);
    this.status = status;
    this.detail = detail;
    this.chain = more.chain ?? [];
    this.headers = more.headers ?? {};
  }

  render(): unknown {
    const error = this.chain.length > 0 ? { ...this.detail, error_chain: this.chain } : this.detail;
    return { success: false, errors: [error], messages: [], result: null };
  }
}

export function invalidRecord(code: number, message: string): CloudflareError {
  return new CloudflareError(
    400,
    { code: 1004, message: "DNS Validation Error" },
    { chain: [{ code, message }] },
  );
}

export function noRoute(path: string): CloudflareError {
  return new CloudflareError(
    404,
    { code: 7003, message: `Could not route to ${path}, perhaps your object identifier is invalid?` },
    { chain: [{ code: 7000, message: "No route for that URI" }] },
  );
}

export function notPermitted(): CloudflareError {
  return new CloudflareError(403, { code: 10000, message: "Authentication error" });
}

export function notYours(): CloudflareError {
  return new CloudflareError(403, { code: 9109, message: "Unauthorized to access requested resource" });
}
