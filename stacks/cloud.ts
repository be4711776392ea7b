// Importing a whole SDK loads its hundreds of resources at every preview.
import { Provider as CloudflareProvider } from "@pulumi/cloudflare/provider.js";
import { Provider as CommandProvider } from "@pulumi/command/provider.js";
import { Provider as OvhProvider } from "@ovhcloud/pulumi-ovh/provider.js";

import type { DnsVendor } from "../infra/dns.ts";
import * as technicia from "../provider/resources.ts";
import type { Secrets } from "../secrets/resolve.ts";
import type { Environment } from "./environment.ts";
import { OVH_KEYS } from "./ovh-keys.ts";

/** The providers of the accounts that a deployment uses. */
export interface Cloud {
  /** OVH, for our own provider. */
  readonly technicia: technicia.Connection;
  readonly ovh: OvhProvider;
  readonly dns: DnsVendor;

  /** Runs commands on the operator's machine. It is named here so that the engine starts it with the others, not at the end. */
  readonly local: CommandProvider;
}

export function createCloud(environment: Environment, secrets: Secrets): Cloud {
  const given = (Object.keys(OVH_KEYS) as (keyof typeof OVH_KEYS)[]).filter(secrets.has);
  const { endpoint } = environment.ovh;
  const connection = new technicia.Connection("cloud", {
    ovhEndpoint: endpoint,
    ...Object.fromEntries(given.map((name) => [name, secrets.value(name)])),
  });
  const keys = Object.fromEntries(given.map((name) => [OVH_KEYS[name], secrets.value(name)]));
  const vendor = new OvhProvider("ovh", { endpoint, ...keys });
  const local = new CommandProvider("local");
  if (environment.dns.provider === "ovh") {
    return { technicia: connection, ovh: vendor, dns: { kind: "ovh", provider: vendor }, local };
  }

  const provider = new CloudflareProvider("cloudflare", {
    apiToken: secrets.value("cloudflareApiToken"),
    ...(environment.dns.cloudflareBaseUrl === "" ? {} : { baseUrl: environment.dns.cloudflareBaseUrl }),
  });
  return {
    technicia: connection,
    ovh: vendor,
    dns: { kind: "cloudflare", provider, zoneId: environment.dns.zoneId },
    local,
  };
}
