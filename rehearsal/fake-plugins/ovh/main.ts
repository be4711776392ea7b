import sdk from "@ovhcloud/pulumi-ovh/package.json" with { type: "json" };

import { servePlugin } from "../serve.ts";
import { connectOvh } from "./client.ts";
import { createReverseType } from "./reverse.ts";
import { createLifecycleType, createStorageType } from "./storage.ts";
import { createKeyType, createPolicyType, createUserType } from "./storage-user.ts";
import { createZoneRecordType } from "./zone-record.ts";

await servePlugin({
  name: "ovh",
  version: sdk.pulumi.version,
  configure: async (config, signal) => {
    const api = await connectOvh({ config, signal });
    return {
      "ovh:Domain/zoneRecord:ZoneRecord": createZoneRecordType(api),
      "ovh:Ip/reverse:Reverse": createReverseType(api),
      "ovh:CloudProject/storage:Storage": createStorageType(api),
      "ovh:index/cloudProjectStorageObjectBucketLifecycleConfiguration:CloudProjectStorageObjectBucketLifecycleConfiguration":
        createLifecycleType(api),
      "ovh:CloudProject/user:User": createUserType(api),
      "ovh:CloudProject/s3Policy:S3Policy": createPolicyType(api),
      "ovh:CloudProject/s3Credential:S3Credential": createKeyType(api),
    };
  },
});
