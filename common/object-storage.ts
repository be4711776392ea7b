/** Object storage that speaks S3: the few calls that are made here, signed as AWS describes it (signature version 4), each sent once. */
import { createHash, createHmac } from "node:crypto";

import { UserError } from "./user-error.ts";

export interface StorageKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface Bucket {
  /** Address of the storage, without the bucket and without a slash at the end. */
  readonly address: string;
  /** As the storage signs it: in lower case. */
  readonly region: string;
  readonly bucket: string;
}

export interface StorageOptions extends Bucket {
  readonly key: StorageKey;
  readonly fetch: typeof fetch;
  readonly signal: AbortSignal;
  /** @default the clock */
  readonly now?: () => Date;
}

export interface StorageCall {
  readonly method: "GET" | "HEAD" | "PUT" | "POST" | "DELETE";
  /** Key of the object; nothing for the bucket itself. */
  readonly object?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array<ArrayBuffer>;
}

/** The storage refused; `code` is S3's word: `AccessDenied`, `NoSuchBucket`. */
export class StorageRefusal extends UserError {
  override readonly name = "StorageRefusal";
  readonly status: number;
  readonly code: string;

  constructor(
    call: StorageCall,
    { bucket, address }: Bucket,
    { status, code }: { status: number; code: string },
  ) {
    const what = `${call.method} ${bucket}${call.object === undefined ? "" : `/${call.object}`}`;
    super(
      `${address}: expected an answer to ${what}, got ${status}${code === "" ? "" : ` ${code}`}; ${remedyFor(code)}`,
    );
    this.status = status;
    this.code = code;
  }
}

function remedyFor(code: string): string {
  if (code === "SignatureDoesNotMatch" || code === "InvalidAccessKeyId") return "check the key";
  if (code === "AccessDenied") return "the key has no right to this";
  if (code === "NoSuchBucket") return "check the bucket's name and its region";
  if (code === "RequestTimeTooSkewed") return "set this machine's clock";
  return "try again later";
}

/** One version of an object, or the mark that hides it. */
export interface ObjectVersion {
  readonly object: string;
  readonly version: string;
  readonly isLatest: boolean;
  readonly isDeleteMarker: boolean;
  readonly size: number;

  /** Differs where the content does; empty for a marker. */
  readonly etag: string;

  /** When it was written, in ISO 8601. */
  readonly modified: string;
}

/** @throws StorageRefusal with any status but a success */
export async function callStorage(call: StorageCall, options: StorageOptions): Promise<Response> {
  const { fetch: send, signal } = options;
  const { url, headers } = signed(call, options);
  const { method, body } = call;
  let response: Response;
  try {
    response = await send(url, {
      method,
      headers,
      signal,
      redirect: "error",
      ...(body === undefined ? {} : { body }),
    });
  } catch (error) {
    signal.throwIfAborted();
    throw new UserError(
      `${options.address}: expected an answer, got none (${(error as Error).message}); check the address and the network`,
      {
        cause: error,
      },
    );
  }
  if (response.ok) return response;
  const code = textOf(await response.text(), "Code") ?? "";
  throw new StorageRefusal(call, options, { status: response.status, code });
}

/** The objects below a prefix, as whoever may list them and no more sees them. */
export async function* listObjects(
  prefix: string,
  options: StorageOptions,
): AsyncGenerator<Pick<ObjectVersion, "object" | "size" | "modified">> {
  let next: Record<string, string> | undefined = {};
  while (next !== undefined) {
    const query: Record<string, string> = { "list-type": "2", prefix, ...next };
    const page = await (await callStorage({ method: "GET", query }, options)).text();
    for (const [, inner = ""] of page.matchAll(/<Contents>([\s\S]*?)<\/Contents>/g)) {
      yield {
        object: textOf(inner, "Key") ?? "",
        size: Number(textOf(inner, "Size") ?? 0),
        modified: textOf(inner, "LastModified") ?? "",
      };
    }
    const token = textOf(page, "NextContinuationToken");
    next =
      textOf(page, "IsTruncated") === "true" && token !== undefined
        ? { "continuation-token": token }
        : undefined;
  }
}

/** Every version and delete marker below a prefix. */
export async function* listVersions(prefix: string, options: StorageOptions): AsyncGenerator<ObjectVersion> {
  let next: Record<string, string> | undefined = {};
  while (next !== undefined) {
    const response = await callStorage({ method: "GET", query: { versions: "", prefix, ...next } }, options);
    const page = await response.text();
    for (const [, kind, inner = ""] of page.matchAll(/<(Version|DeleteMarker)>([\s\S]*?)<\/\1>/g)) {
      yield {
        object: textOf(inner, "Key") ?? "",
        version: textOf(inner, "VersionId") ?? "",
        isLatest: textOf(inner, "IsLatest") === "true",
        isDeleteMarker: kind === "DeleteMarker",
        etag: textOf(inner, "ETag") ?? "",
        size: Number(textOf(inner, "Size") ?? 0),
        modified: textOf(inner, "LastModified") ?? "",
      };
    }
    const marker = textOf(page, "NextKeyMarker");
    next =
      textOf(page, "IsTruncated") === "true" && marker !== undefined
        ? { "key-marker": marker, "version-id-marker": textOf(page, "NextVersionIdMarker") ?? "" }
        : undefined;
  }
}

/** Text of the first element of that name. */
export function textOf(xml: string, name: string): string | undefined {
  const found = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
  return found?.replace(/&(lt|gt|quot|apos|amp|#x?[0-9a-fA-F]+);/g, (entity, word: string) => {
    const named: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
    if (word.startsWith("#")) {
      const digits = word.slice(1);
      return String.fromCodePoint(digits.startsWith("x") ? parseInt(digits.slice(1), 16) : Number(digits));
    }
    return named[word] ?? entity;
  });
}

function signed(call: StorageCall, { address, region, bucket, key, now = () => new Date() }: StorageOptions) {
  const { method, object, query = {}, body = "" } = call;
  const path = `/${[bucket, ...(object === undefined ? [] : object.split("/"))].map(encode).join("/")}`;
  const pairs = Object.entries(query).map(([name, value]) => `${encode(name)}=${encode(value)}`);
  const search = pairs.sort().join("&");
  const url = `${address}${path}${search === "" ? "" : `?${search}`}`;
  const time = now()
    .toISOString()
    .replace(/[-:]|\.\d+/g, "");
  const hash = sha256(body);
  const headers: Record<string, string> = {
    ...call.headers,
    "x-amz-content-sha256": hash,
    "x-amz-date": time,
  };
  const toSign = { ...headers, host: new URL(address).host };
  const names = Object.keys(toSign).sort();
  const canonical = [
    method,
    path,
    search,
    ...names.map((name) => `${name}:${(toSign as Record<string, string>)[name]!.trim()}`),
    "",
    names.join(";"),
    hash,
  ].join("\n");
  const scope = `${time.slice(0, 8)}/${region}/s3/aws4_request`;
  const signature = ["s3", "aws4_request"].reduce(
    hmac,
    hmac(hmac(`AWS4${key.secretAccessKey}`, time.slice(0, 8)), region),
  );
  const signing = hmac(signature, ["AWS4-HMAC-SHA256", time, scope, sha256(canonical)].join("\n")).toString(
    "hex",
  );
  const credential = `Credential=${key.accessKeyId}/${scope}`;
  return {
    url,
    headers: {
      ...headers,
      authorization: `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=${names.join(";")}, Signature=${signing}`,
    },
  };
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac("sha256", key).update(text).digest();
}

function sha256(text: string | Uint8Array): string {
  return createHash("sha256").update(text).digest("hex");
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** Host name of OVHcloud's Object Storage in a region; only this one knows lifecycle rules. */
export function ovhStorageAddress(region: string): string {
  return `https://s3.${region.toLowerCase()}.io.cloud.ovh.net`;
}
