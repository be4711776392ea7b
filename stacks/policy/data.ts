/** Rules about what must not be lost: the server, the volumes, and the bucket of the backups. */
import { rowOf } from "../inventory.ts";
import { monitoringVolume } from "../resource-kinds.ts";
import { at, isUnknown, listAt, numberAt, textAt, type Facts, type Resource, type Rule } from "./rule.ts";

const VOLUME = "docker:index/volume:Volume";
const SERVER = "technicia:ovh:Vps";
const BUCKET = "ovh:CloudProject/storage:Storage";
const LIFECYCLE =
  "ovh:index/cloudProjectStorageObjectBucketLifecycleConfiguration:CloudProjectStorageObjectBucketLifecycleConfiguration";
const BUCKET_POLICY = "ovh:CloudProject/s3Policy:S3Policy";

/** The one server, or the first of several: another logical name would order a second one and give the first one up. */
const SERVER_NAME = "vps-server";

/** Logical names of the servers in the settings. */
function serverNames(environment: Facts["environment"]): string[] {
  const [, ...others] = environment?.servers ?? [];
  return [SERVER_NAME, ...others.map(({ name }) => `${name}/${SERVER_NAME}`)];
}

/** What a key on the server could use to get rid of backups. */
const DELETES =
  /^(s3:)?(\*|Delete\*?|DeleteObject.*|DeleteBucket.*|Put(Object(Retention|LegalHold)|Bucket.*|Lifecycle.*)|Bypass.*)$/;

export const dataRules: readonly Rule[] = [
  {
    name: "protected-data",
    description:
      "Where protectData is true, the engine refuses to delete or replace the server, stored data and the bucket.",
    level: "mandatory",
    judge: (resource, { environment }) =>
      environment?.protectData === true && isKept(resource) && !resource.protect
        ? [`protect: expected true, because protectData is true; pass protectData to ${kindOf(resource)}`]
        : [],
  },
  {
    name: "no-replacement",
    description: "Nothing asks for another server or an empty volume in the place of the one that exists.",
    level: "mandatory",
    judge: replacements,
  },
  {
    name: "backup-bucket",
    description: "The bucket of the backups keeps old versions and its lock, and no key deletes from it.",
    level: "mandatory",
    judge: (resource, facts) => [
      ...bucket(resource, facts),
      ...lifecycle(resource, facts),
      ...keys(resource),
    ],
  },
];

/** Data that somebody stored, and what it is on; what was only measured is not. */
function isKept({ type, name }: Resource): boolean {
  if (type === SERVER || type === BUCKET) return true;
  // A volume without a row is one that nobody has judged yet.
  return type === VOLUME && rowOf({ type, name })?.label !== monitoringVolume.label;
}

function kindOf({ type }: Resource): string {
  return { [SERVER]: "the server", [BUCKET]: "the bucket" }[type] ?? "the volume";
}

function replacements(resource: Resource, { environment }: Facts): string[] {
  const { type, name, inputs, deleteBeforeReplace } = resource;
  if (!isKept(resource)) return [];
  const volumeName = at(inputs, "name");
  return [
    ...(deleteBeforeReplace
      ? ["deleteBeforeReplace: expected an option that deletes nothing; leave the option out"]
      : []),
    ...(type === VOLUME && !isUnknown(volumeName) && volumeName !== name
      ? [
          "name: expected the resource's own name, because a volume of another name is empty; pass the same name twice",
        ]
      : []),
    ...(type === SERVER && !serverNames(environment).includes(name)
      ? [
          `name of the resource: expected ${serverNames(environment).join(" or ")}, because a server of another name is another server; rename it back`,
        ]
      : []),
  ];
}

function bucket({ type, inputs }: Resource, { environment }: Facts): string[] {
  if (type !== BUCKET) return [];
  const PERIOD = "objectLock.rule.period";
  const days = Number(/^P(\d+)D$/.exec(textAt(inputs, PERIOD) ?? "")?.[1]);
  const least = environment?.backup.retentionDays ?? 1;
  return [
    ...["versioning.status", "objectLock.status"].flatMap((path) =>
      isUnknown(at(inputs, path)) || at(inputs, path) === "enabled"
        ? []
        : [`${path}: expected "enabled", because a stolen key could delete every set; enable it`],
    ),
    ...(isUnknown(at(inputs, PERIOD)) || days >= least
      ? []
      : [`${PERIOD}: expected at least backup.retentionDays; give it as P<days>D`]),
  ];
}

function lifecycle({ type, inputs }: Resource, { environment }: Facts): string[] {
  if (type !== LIFECYCLE) return [];
  const least = environment?.backup.retentionDays ?? 1;
  return listAt(inputs, "rules").flatMap((rule, index) => [
    ...(at(rule, "expiration.days") === undefined && at(rule, "expiration.date") === undefined
      ? []
      : [`rules[${index}].expiration: expected no end for sets that are still in use; remove it`]),
    ...(numberAt(rule, "noncurrentVersionExpiration.noncurrentDays") < least
      ? [`rules[${index}].noncurrentVersionExpiration: expected at least backup.retentionDays; raise it`]
      : []),
  ]);
}

function keys({ type, inputs }: Resource): string[] {
  const text = textAt(inputs, "policy");
  if (type !== BUCKET_POLICY || text === undefined) return [];
  const { Statement = [] } = JSON.parse(text) as { Statement?: readonly Statement[] };
  return Statement.flatMap(({ Effect, Action = [], Resource = [] }, index) => {
    const mayDelete = Effect === "Allow" && [Action].flat().some((action) => DELETES.test(action));
    // Restic removes its own locks, which protect nothing for longer than a run.
    if (!mayDelete || [Resource].flat().every((place) => place.endsWith("/locks/*"))) return [];
    return [
      `policy.Statement[${index}].Action: expected nothing that deletes sets or shortens their lock; allow it below locks/ alone`,
    ];
  });
}

interface Statement {
  readonly Effect?: string;
  readonly Action?: string | readonly string[];
  readonly Resource?: string | readonly string[];
}
