import type { Clock } from "../../../common/until.ts";
import { credentialsOf, OvhClient } from "../../../provider/ovh/client.ts";
import { ifThere } from "../../../provider/ovh/errors.ts";
import { textOf, type Properties, type Value } from "../plugin.ts";

/** Time limit of the official client. */
const TIMEOUT_MS = 180_000;

export interface OvhOptions {
  /** The provider's arguments. */
  readonly config: Properties;
  readonly signal: AbortSignal;

  /** @default this machine's */
  readonly clock?: Clock;
}

/** OVH's API as the official plugin uses it: it retries nothing. */
export interface OvhApi {
  /** Returns the body of the answer, null when there is none. */
  readonly call: (method: string, path: string, body?: Properties) => Promise<Value>;

  /** What waits between two attempts. */
  readonly patience: { readonly signal: AbortSignal; readonly clock?: Clock };
}

/** Connects once the API has accepted the credentials, as the official plugin does. */
export async function connectOvh({ config, signal, clock }: OvhOptions): Promise<OvhApi> {
  const options = readOptions(config);
  let client = new OvhClient(options);
  try {
    await client.get("/auth/details", { signal });
    // The official plugin consists of two providers, and each has its own client.
    client = new OvhClient(options);
    await client.get("/auth/details", { signal });
  } catch (error) {
    throw new Error(`OVH client seems to be misconfigured: ${JSON.stringify((error as Error).message)}`, {
      cause: error,
    });
  }
  return {
    call: async (method, path, body) =>
      (await client.request<Value | undefined>(method, path, body, { signal })) ?? null,
    patience: { signal, ...(clock && { clock }) },
  };
}

/** Calls for something that may be gone, which gives undefined; any other failure gets the official plugin's wording. */
export async function callIfThere(api: OvhApi, method: string, path: string): Promise<Value | undefined> {
  try {
    return await ifThere(api.call(method, path));
  } catch (error) {
    throw new Error(`calling ${path}:\n\t ${(error as Error).message}`, { cause: error });
  }
}

function readOptions(config: Properties): ConstructorParameters<typeof OvhClient>[0] {
  const secrets = {
    ovhApplicationKey: textOf(config.applicationKey),
    ovhApplicationSecret: textOf(config.applicationSecret),
    ovhConsumerKey: textOf(config.consumerKey),
    ovhClientId: textOf(config.clientId),
    ovhClientSecret: textOf(config.clientSecret),
  };
  const hasKeys = secrets.ovhApplicationKey || secrets.ovhApplicationSecret || secrets.ovhConsumerKey;
  const hasAccount = secrets.ovhClientId || secrets.ovhClientSecret;
  if (hasKeys && hasAccount) {
    throw new Error(
      "ovh: expected one way to log in, got two; give the provider application key, application secret and consumer key, " +
        "or client id and secret",
    );
  }
  return {
    endpoint: textOf(config.endpoint),
    credentials: credentialsOf(secrets),
    timeoutMs: TIMEOUT_MS,
    attempts: 1,
  };
}

/** A part of a path, escaped as by the official client: the characters of an IPv6 address stay. */
export function escapePath(part: string): string {
  return encodeURIComponent(part).replace(/%(3A|40|24|26|2B|3D)/g, decodeURIComponent);
}
