/** Reading OVH's API with the stack's own keys. */
import { createHash } from "node:crypto";

import { type Answer, call } from "../../vendors/http.ts";
import type { World } from "../world.ts";

const ENDPOINTS: Readonly<Record<string, string>> = { "ovh-eu": "https://eu.api.ovh.com/1.0" };
const TOKENS = "https://www.ovh.com/auth/oauth2/token";

export interface OvhApi {
  readonly kind: "keys" | "account";
  get(path: string, signal: AbortSignal): Promise<Answer>;
}

type Secrets = Readonly<Record<string, string>>;

export function ovhUrl(endpoint: string): string {
  return ENDPOINTS[endpoint] ?? endpoint;
}

/** OVH's clock, in seconds. */
export async function ovhTime(world: World, endpoint: string, signal: AbortSignal): Promise<number> {
  const { body } = await call(world, `${ovhUrl(endpoint)}/auth/time`, { signal });
  if (typeof body !== "number") throw new Error("OVH ne donne pas son heure");
  return body;
}

/** Undefined without keys. */
export function openOvh(world: World, endpoint: string, secrets: Secrets): OvhApi | undefined {
  const { ovhApplicationKey, ovhApplicationSecret, ovhConsumerKey, ovhClientId, ovhClientSecret } = secrets;
  if (ovhApplicationKey && ovhApplicationSecret && ovhConsumerKey) {
    const keys = { key: ovhApplicationKey, secret: ovhApplicationSecret, consumer: ovhConsumerKey };
    return { kind: "keys", get: (path, signal) => getSigned(world, { endpoint, path, keys }, signal) };
  }
  if (!ovhClientId || !ovhClientSecret) return undefined;
  return {
    kind: "account",
    async get(path, signal) {
      const token = await call(world, TOKENS, {
        method: "POST",
        headers: { "content-type": "application/x-www-form-urlencoded" },
        body: new URLSearchParams({
          grant_type: "client_credentials",
          client_id: ovhClientId,
          client_secret: ovhClientSecret,
          scope: "all",
        }).toString(),
        signal,
      });
      const { access_token: bearer } = (token.body ?? {}) as { access_token?: string };
      if (bearer === undefined) return { ...token, status: token.status === 200 ? 502 : 401 };
      return call(world, `${ovhUrl(endpoint)}${path}`, {
        headers: { authorization: `Bearer ${bearer}` },
        signal,
      });
    },
  };
}

async function getSigned(
  world: World,
  request: {
    readonly endpoint: string;
    readonly path: string;
    readonly keys: { readonly key: string; readonly secret: string; readonly consumer: string };
  },
  signal: AbortSignal,
): Promise<Answer> {
  const { endpoint, path, keys } = request;
  const url = `${ovhUrl(endpoint)}${path}`;
  const time = String(await ovhTime(world, endpoint, signal));
  const text = [keys.secret, keys.consumer, "GET", url, "", time].join("+");
  return call(world, url, {
    headers: {
      accept: "application/json",
      "x-ovh-application": keys.key,
      "x-ovh-consumer": keys.consumer,
      "x-ovh-timestamp": time,
      "x-ovh-signature": `$1$${createHash("sha1").update(text).digest("hex")}`,
    },
    signal,
  });
}
