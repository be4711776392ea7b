/** What the three keys of a bucket of backups may do: the program gives two of them their rights, and a command the third. */

/** What of an S3 storage a user may do. */
export interface Policy {
  readonly Statement: readonly {
    readonly Sid: string;
    readonly Effect: "Allow";
    readonly Action: readonly string[];
    readonly Resource: readonly string[];
  }[];
}

interface Place {
  readonly bucket: string;
  readonly prefix: string;
}

/**
 * Writes, and deletes nothing but restic's locks. It may write over an object; the version before stays, locked for the retention.
 */
export function writerPolicy({ bucket, prefix }: Place): Policy {
  const all = `arn:aws:s3:::${bucket}`;
  const within = `${all}/${prefix}`;
  return {
    Statement: [
      {
        Sid: "Look",
        Effect: "Allow",
        Action: ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"],
        Resource: [all],
      },
      {
        Sid: "Write",
        Effect: "Allow",
        Action: ["s3:GetObject", "s3:PutObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"],
        Resource: [`${within}/*`],
      },
      { Sid: "Unlock", Effect: "Allow", Action: ["s3:DeleteObject"], Resource: [`${within}/locks/*`] },
    ],
  };
}

/** Reads; and sees what is hidden, so that a repository that somebody has deleted is not taken for one that never was. */
export function readerPolicy({ bucket, prefix }: Place): Policy {
  const all = `arn:aws:s3:::${bucket}`;
  return {
    Statement: [
      {
        Sid: "Look",
        Effect: "Allow",
        Action: ["s3:ListBucket", "s3:ListBucketVersions", "s3:GetBucketLocation"],
        Resource: [all],
      },
      { Sid: "Read", Effect: "Allow", Action: ["s3:GetObject"], Resource: [`${all}/${prefix}/*`] },
    ],
  };
}

/** Removes old sets, and what hides or replaces others, also while it is locked. It changes no rule of the bucket. */
export function administratorPolicy({ bucket }: Pick<Place, "bucket">): Policy {
  const all = `arn:aws:s3:::${bucket}`;
  return {
    Statement: [
      {
        Sid: "Look",
        Effect: "Allow",
        Action: [
          "s3:ListBucket",
          "s3:ListBucketVersions",
          "s3:GetBucketLocation",
          "s3:ListBucketMultipartUploads",
        ],
        Resource: [all],
      },
      {
        Sid: "Keep",
        Effect: "Allow",
        Action: [
          ...["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:ListMultipartUploadParts"],
          ...[
            "s3:AbortMultipartUpload",
            "s3:DeleteObject",
            "s3:DeleteObjectVersion",
            "s3:BypassGovernanceRetention",
          ],
        ],
        Resource: [`${all}/*`],
      },
    ],
  };
}
