import process from "node:process";

import sdk from "@ovhcloud/pulumi-ovh/package.json" with { type: "json" };

import { servePlugin } from "../server.ts";
import { connectOvh } from "./client.ts";
import { createReverseType } from "./reverse.ts";
import { createZoneRecordType } from "./zone-record.ts";

servePlugin({
  name: "ovh",
  version: sdk.pulumi.version,
  configure: async (config, signal) => {
    const client = await connectOvh({ config, environment: process.env, signal });
    return {
      "ovh:Domain/zoneRecord:ZoneRecord": createZoneRecordType(client),
      "ovh:Ip/reverse:Reverse": createReverseType(client),
    };
  },
});
