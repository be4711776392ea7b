import sdk from "@pulumi/cloudflare/package.json" with { type: "json" };

import { servePlugin } from "../serve.ts";
import { checkCloudflareConfig, openCloudflare } from "./client.ts";
import { createDnsRecordType } from "./dns-record.ts";

await servePlugin({
  name: "cloudflare",
  version: sdk.pulumi.version,
  checkConfig: checkCloudflareConfig,
  // This calls nothing: a wrong token fails with the first record.
  configure: (config, signal) =>
    Promise.resolve({
      "cloudflare:index/dnsRecord:DnsRecord": createDnsRecordType(openCloudflare(config, signal)),
    }),
});
