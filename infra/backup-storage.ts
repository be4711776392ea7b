/** The bucket of the backups at OVH's Object Storage, with one user who writes sets and one who reads them. */
// Importing a whole SDK loads its hundreds of resources at every preview.
import { CloudProjectStorageObjectBucketLifecycleConfiguration } from "@ovhcloud/pulumi-ovh/cloudProjectStorageObjectBucketLifecycleConfiguration.js";
import { S3Credential } from "@ovhcloud/pulumi-ovh/cloudproject/s3credential.js";
import { S3Policy } from "@ovhcloud/pulumi-ovh/cloudproject/s3policy.js";
import { Storage } from "@ovhcloud/pulumi-ovh/cloudproject/storage.js";
import { User } from "@ovhcloud/pulumi-ovh/cloudproject/user.js";
import type { Provider as OvhProvider } from "@ovhcloud/pulumi-ovh/provider.js";
import * as pulumi from "@pulumi/pulumi";

import { readerPolicy, writerPolicy, type Policy } from "../common/storage-policies.ts";

/** Days after the end of the retention until a version that was replaced or deleted goes for good. */
const GRACE_DAYS = 3;

/** What an environment decides about the place of its backups. */
export interface BackupStorageArgs {
  readonly ovh: OvhProvider;

  /** Public Cloud project. */
  readonly project: string;

  /** Region as OVH writes it: `RBX`. */
  readonly region: string;

  readonly bucket: string;

  /** First part of every object's key: the environment's name. */
  readonly prefix: string;

  readonly retentionDays: number;

  /** Whether the engine refuses to replace or forget the bucket. */
  readonly protectData: boolean;
}

/** Both halves of an S3 key, as `<access key id>:<secret access key>`. */
type Key = pulumi.Output<string>;

export class BackupStorage extends pulumi.ComponentResource {
  readonly writer: Key;
  readonly reader: Key;

  constructor(name: string, args: BackupStorageArgs, opts?: pulumi.ComponentResourceOptions) {
    super("technicia:infra:BackupStorage", name, {}, opts);
    // Sets outlive their environment, and so do the keys that open them. Without its policy a user whose key is left might do everything in
    // the project. What has to end is deleted by hand.
    const atOvh = { parent: this, provider: args.ovh, retainOnDelete: true };
    const { project: serviceName, region: regionName, bucket: containerName } = args;
    const storage = new Storage(
      `${name}-bucket`,
      {
        serviceName,
        regionName,
        name: containerName,
        // The state would hold the name of every object.
        hideObjects: true,
        versioning: { status: "enabled" },
        objectLock: { status: "enabled", rule: { mode: "governance", period: `P${args.retentionDays}D` } },
      },
      { ...atOvh, protect: args.protectData },
    );
    new CloudProjectStorageObjectBucketLifecycleConfiguration(
      `${name}-lifecycle`,
      { serviceName, regionName, containerName, rules: lifecycleRules(args.retentionDays) },
      { ...atOvh, dependsOn: [storage] },
    );
    const place = { bucket: containerName, prefix: args.prefix };
    this.writer = createUser(
      `${name}-writer`,
      { serviceName, policy: writerPolicy(place), of: args.prefix },
      { ...atOvh, dependsOn: [storage] },
    );
    this.reader = createUser(
      `${name}-reader`,
      { serviceName, policy: readerPolicy(place), of: args.prefix },
      { ...atOvh, dependsOn: [storage] },
    );
    this.registerOutputs({});
  }
}

function createUser(
  name: string,
  { serviceName, policy, of }: { readonly serviceName: string; readonly policy: Policy; readonly of: string },
  opts: pulumi.CustomResourceOptions,
): Key {
  const user = new User(
    name,
    { serviceName, description: `${name} ${of}`, roleNames: ["objectstore_operator"] },
    opts,
  );
  // Until it has a policy a user may do everything in the project: the key comes last.
  const limits = new S3Policy(
    `${name}-policy`,
    { serviceName, userId: user.id, policy: JSON.stringify(policy) },
    opts,
  );
  const key = new S3Credential(
    `${name}-key`,
    { serviceName, userId: user.id },
    { ...opts, dependsOn: [limits] },
  );
  return pulumi.secret(pulumi.interpolate`${key.accessKeyId}:${key.secretAccessKey}`);
}

/** With versions, pruning frees nothing until what it deleted goes for good. */
function lifecycleRules(retentionDays: number) {
  return [
    {
      id: "old-versions",
      status: "enabled",
      noncurrentVersionExpiration: { noncurrentDays: retentionDays + GRACE_DAYS },
    },
    { id: "delete-markers", status: "enabled", expiration: { expiredObjectDeleteMarker: true } },
    {
      id: "unfinished-uploads",
      status: "enabled",
      abortIncompleteMultipartUpload: { daysAfterInitiation: GRACE_DAYS },
    },
  ];
}
