// Importing a whole SDK loads its hundreds of resources at every preview.
import { Provider as CloudflareProvider } from "@pulumi/cloudflare/provider.js";
import { Provider as CommandProvider } from "@pulumi/command/provider.js";
import { Provider as OvhProvider } from "@ovhcloud/pulumi-ovh/provider.js";

import type { DnsVendor } from "../infra/dns.ts";
import * as technicia from "../provider/resources.ts";
import type { Secrets } from "../secrets/resolve.ts";
import type { Environment } from "./environment.ts";

/** Secret → argument of OVH's provider. */
const OVH_KEYS = [
  { secret: "ovhApplicationKey", argument: "applicationKey" },
  { secret: "ovhApplicationSecret", argument: "applicationSecret" },
  { secret: "ovhConsumerKey", argument: "consumerKey" },
  { secret: "ovhClientId", argument: "clientId" },
  { secret: "ovhClientSecret", argument: "clientSecret" },
] as const;

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
  const keys = Object.fromEntries(
    OVH_KEYS.filter((key) => secrets.has(key.secret)).map((key) => [key.argument, secrets.value(key.secret)]),
  );
  const connection = new technicia.Connection("cloud", {
    ovhEndpoint: environment.ovh.endpoint,
    ...Object.fromEntries(
      OVH_KEYS.filter((key) => secrets.has(key.secret)).map((key) => [key.secret, secrets.value(key.secret)]),
    ),
  });
  const vendor = new OvhProvider("ovh", { endpoint: environment.ovh.endpoint, ...keys });
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
