/* eslint-disable
  @typescript-eslint/no-unsafe-assignment
  -- answers have every shape, and their shape is what is asserted here */
import { createHash } from "node:crypto";

import { DEFAULT_CREDENTIAL } from "../../../../rehearsal/fake-clouds/ovh/server.ts";

export interface Keys {
  readonly applicationKey: string;
  readonly applicationSecret: string;
  readonly consumerKey: string;
}

export interface Answered {
  readonly status: number;
  readonly headers: Headers;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests read answers of every shape
  readonly body: any;
}

interface CallOptions {
  readonly keys?: Keys;
  /** Seconds by which the client's idea of OVH's time is wrong. */
  readonly offBy?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Signs as OVH's own clients do, and says what came back without judging it. */
export function ovhClient(url: string, defaults: CallOptions = {}) {
  return async (
    method: string,
    path: string,
    body?: unknown,
    options: CallOptions = {},
  ): Promise<Answered> => {
    const { keys, offBy = 0, headers } = { keys: DEFAULT_CREDENTIAL, ...defaults, ...options };
    const target = `${url}${path}`;
    const text = body === undefined ? "" : JSON.stringify(body);
    const answered = await fetch(`${url}/auth/time`);
    const timestamp = Number(await answered.json()) + offBy;
    const signed = [keys.applicationSecret, keys.consumerKey, method, target, text, timestamp].join("+");
    const response = await fetch(target, {
      method,
      headers: {
        "x-ovh-application": keys.applicationKey,
        "x-ovh-consumer": keys.consumerKey,
        "x-ovh-timestamp": String(timestamp),
        "x-ovh-signature": `$1$${createHash("sha1").update(signed).digest("hex")}`,
        ...(text && { "content-type": "application/json;charset=utf-8" }),
        ...headers,
      },
      ...(text && { body: text }),
    });
    return read(response);
  };
}

/** Calls without signing. */
export async function anonymously(url: string, init: RequestInit = {}): Promise<Answered> {
  return read(await fetch(url, init));
}

async function read(response: Response): Promise<Answered> {
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: text === "" ? undefined : JSON.parse(text),
  };
}
