import type { Settings } from "../plugin/definition.ts";
import { type ClientOptions, credentialsOf, OvhClient } from "./client.ts";

/** Returns the client for the settings of a connection. */
export type ClientOf = (settings: Settings) => OvhClient;

/** Keeps one client for each set of keys, so that OVH's clock and tokens are read once. */
export function clients(
  options: Partial<Pick<ClientOptions, "timeoutMs" | "retryMs" | "fetch">> = {},
): ClientOf {
  const known = new Map<string, OvhClient>();
  return (settings) => {
    const endpoint = settings.ovhEndpoint ?? "ovh-eu";
    const credentials = credentialsOf(settings);
    const key = JSON.stringify([endpoint, credentials]);
    let client = known.get(key);
    if (!client) {
      client = new OvhClient({ ...options, endpoint, credentials });
      known.set(key, client);
    }
    return client;
  };
}

/** The client of every resource in this process. */
export const sharedClient: ClientOf = clients();
