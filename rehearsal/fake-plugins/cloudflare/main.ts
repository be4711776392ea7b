import process from "node:process";

import sdk from "@pulumi/cloudflare/package.json" with { type: "json" };

import { servePlugin } from "../server.ts";
import { checkCloudflareConfig, CloudflareClient } from "./client.ts";
import { createDnsRecordType } from "./dns-record.ts";

servePlugin({
  name: "cloudflare",
  version: sdk.pulumi.version,
  checkConfig: checkCloudflareConfig,
  // Calls nothing: a wrong token is noticed by the first record.
  configure: (config, signal) => {
    const client = new CloudflareClient({ config, environment: process.env, signal });
    return Promise.resolve({ "cloudflare:index/dnsRecord:DnsRecord": createDnsRecordType(client) });
  },
});
