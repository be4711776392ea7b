/** What is common to all resources of one type: how people call them, and what losing or repairing one means. */
import type { EvidenceKey } from "./deployment-status.ts";

/** The line that `infra/scripts/extra-containers.sh` prints while nothing of Docker's can be read. */
export const DOCKER_IS_DOWN = "docker does not answer";

/** From the outside in; the order of every list. */
export const layers = [
  "cloud",
  "dns",
  "host",
  "containers",
  "data",
  "certificate",
  "checks",
  "other",
] as const;

export type Layer = (typeof layers)[number];

export const LAYER_TITLES: Readonly<Record<Layer, string>> = {
  cloud: "Cloud",
  dns: "DNS",
  host: "Host",
  containers: "Containers",
  data: "Data",
  certificate: "Certificate",
  checks: "Checks",
  other: "Other",
};

/** How a resource differs from what was deployed. */
export interface Deviation {
  readonly resource: string;

  /** `extra`: an exclusive set has a line too many. */
  readonly kind: "gone" | "changed" | "extra";
  readonly what: string;
  readonly expected: readonly string[];
  readonly found: readonly string[];

  /** As they were deployed. */
  readonly inputs: Readonly<Record<string, unknown>>;
}

/** What repairing a deviation does. */
export interface Effect {
  readonly repair: string;

  /** What stops working meanwhile; absent when nothing does. */
  readonly interruption?: string;

  /** Whether a person has to do it; a repair leaves the resource alone. */
  readonly byHand?: true;
}

/** What can date a deviation: a function of `ops/drift/since.sh` and its arguments. */
export type SinceQuestion = readonly [
  name: "file" | "unit" | "package" | "service" | "container" | "event" | "process",
  ...args: string[],
];

/** What a deployment can do to a resource that the next one cannot undo. */
export type Loss =
  | "volume"
  | "stored"
  | "host-key"
  | "login-keys"
  | "server"
  | "installation"
  | "edge-firewall"
  | "host-firewall"
  | "secret";

/** What every resource of a type is, whatever its name. */
export interface Kind {
  readonly types: readonly string[];

  readonly layer: Layer;
  readonly label: string;
  readonly effect: Effect | ((deviation: Deviation) => Effect);

  /** Absent where nothing on the server dates a deviation. */
  readonly since?: (deviation: Deviation) => SinceQuestion | undefined;

  /** What cannot be read while the resource deviates: what depends on it, or everything of Docker's. */
  readonly hides?: (deviation: Deviation) => "dependents" | "docker" | undefined;

  /** Absent where nothing is lost for good. */
  readonly loss?: Loss;

  /** Steps of the user's that it proves: of every kind of resource with that step, one must exist. */
  readonly steps?: readonly EvidenceKey[];
}

const AS_DEPLOYED: Effect = { repair: "it is recreated as it was deployed" };

export const server: Kind = {
  types: ["technicia:ovh:Vps"],
  layer: "cloud",
  label: "server",
  // An ordered server that is gone stays in the state, or the next update would order another.
  effect: ({ kind, found }) =>
    kind === "gone" || found.some((value) => value.includes("gone at OVH"))
      ? {
          repair: "nothing automatic: OVH no longer has this server; see docs/runbook.md",
          interruption: "everything, until the server is back",
          byHand: true,
        }
      : {
          repair: "what OVH allows to change is set again, such as the display name; the rest needs a person",
        },
  loss: "server",
};

export const edgeFirewall: Kind = {
  types: ["technicia:ovh:EdgeFirewall"],
  layer: "cloud",
  label: "edge firewall",
  effect: { repair: "the rules are set at OVH one by one; ours are added before others are removed" },
  loss: "edge-firewall",
};

export const record: Kind = {
  types: ["cloudflare:index/dnsRecord:DnsRecord", "ovh:Domain/zoneRecord:ZoneRecord"],
  layer: "dns",
  label: "DNS record",
  effect: {
    repair: "the record is restored; resolvers keep the wrong answer until its time to live ends",
  },
};

export const reverse: Kind = {
  types: ["ovh:Ip/reverse:Reverse", "technicia:ovh:ReverseName"],
  layer: "dns",
  label: "reverse name",
  effect: { repair: "the reverse name is set again at OVH" },
};

export const bucket: Kind = {
  types: ["ovh:CloudProject/storage:Storage"],
  layer: "cloud",
  label: "bucket of the backups",
  // A bucket that is made again is empty: what it held is lost, or still to be found at OVH.
  effect: ({ kind }) =>
    kind === "gone"
      ? { repair: "nothing automatic: OVH no longer has the bucket; see docs/runbook.md", byHand: true }
      : { repair: "its versions and its lock are set again, for what is written from then on" },
};

export const bucketRules: Kind = {
  types: [
    "ovh:index/cloudProjectStorageObjectBucketLifecycleConfiguration:CloudProjectStorageObjectBucketLifecycleConfiguration",
    "ovh:CloudProject/s3Policy:S3Policy",
  ],
  layer: "cloud",
  label: "rules of the backups' bucket",
  effect: { repair: "the rules are set again" },
};

export const bucketUser: Kind = {
  types: ["ovh:CloudProject/user:User", "ovh:CloudProject/s3Credential:S3Credential"],
  layer: "cloud",
  label: "user of the backups' bucket",
  effect: { repair: "it is recreated with another key, which the server then gets" },
};

export const hostKey: Kind = {
  types: ["technicia:host:HostKey"],
  layer: "host",
  label: "host key",
  effect: {
    repair: "nothing automatic: a server with another key may be another server; see docs/runbook.md",
    byHand: true,
  },
  loss: "host-key",
};

export const file: Kind = {
  types: ["technicia:host:File"],
  layer: "host",
  label: "file on the host",
  effect: { repair: "the file is restored" },
  since: ({ inputs }) => ["file", String(inputs["path"])],
};

export const unitFile: Kind = { ...file, effect: { repair: "the unit file is restored" } };

export const nginxConfiguration: Kind = {
  ...file,
  effect: { repair: "the file is restored and checked, and nginx reloads it without dropping a connection" },
};

export const image: Kind = {
  types: ["technicia:host:Image"],
  layer: "host",
  label: "image on the host",
  effect: { repair: "the image is pulled again" },
};

export const packages: Kind = {
  types: ["technicia:host:Packages"],
  layer: "host",
  label: "packages on the host",
  effect: { repair: "the packages are reinstalled" },
  since: ({ expected }) => ["package", expected[0] ?? ""],
};

export const unit: Kind = {
  types: ["technicia:host:Unit"],
  layer: "host",
  label: "systemd unit",
  effect: ({ inputs }) => ({
    repair: `${String(inputs["unit"])} is ${inputs["active"] === true ? "started and enabled" : "stopped and disabled"}`,
  }),
  since: ({ inputs }) => ["unit", String(inputs["unit"])],
  hides: ({ what }) => (what === "active" ? "dependents" : undefined),
};

export const state: Kind = {
  types: ["technicia:host:State"],
  layer: "host",
  label: "state of the host",
  effect: AS_DEPLOYED,
};

export const network: Kind = {
  types: ["docker:index/network:Network"],
  layer: "containers",
  label: "container network",
  effect: {
    repair: "the network is recreated, and everything attached to it",
    interruption: "every service on it is down while it starts, about a minute",
  },
  since: ({ inputs }) => ["event", "network", String(inputs["name"])],
  hides: () => "dependents",
};

export const secret: Kind = {
  types: ["docker:index/secret:Secret"],
  layer: "containers",
  label: "container secret",
  effect: {
    repair: "the secret is recreated under another name, and its service switches to it",
    interruption: "a service that owns data is down while its task is replaced, some seconds",
  },
  since: ({ inputs }) => ["event", "secret", String(inputs["name"])],
  loss: "secret",
};

export const service: Kind = {
  types: ["docker:index/service:Service"],
  layer: "containers",
  label: "container service",
  effect: effectOnService,
  since: runs("service"),
  hides: () => "dependents",
};

export const container: Kind = {
  types: ["docker:index/container:Container"],
  layer: "containers",
  label: "container",
  effect: ({ resource }) => ({
    repair: "the container is started or recreated",
    interruption: `${resource}: tunnels to n8n's editor and to Qdrant are interrupted for some seconds`,
  }),
  since: runs("container"),
  hides: () => "dependents",
};

export const volume: Kind = {
  types: ["docker:index/volume:Volume"],
  layer: "data",
  label: "data volume",
  effect: {
    repair: "an empty volume is created; the old one's data comes back only from a backup",
    interruption: "the service that uses it restarts without its data",
  },
  since: ({ inputs }) => ["event", "volume", String(inputs["name"])],
  loss: "volume",
};

/** What is measured and logged: nothing that anybody stored. */
export const monitoringVolume: Kind = {
  types: volume.types,
  layer: volume.layer,
  label: "volume of the monitoring",
  effect: { repair: "an empty volume is created; what was measured before is lost" },
  since: ({ inputs }) => ["event", "volume", String(inputs["name"])],
};

export const n8nContent: Kind = {
  types: ["technicia:n8n:Content"],
  layer: "data",
  label: "n8n's workflows and credentials",
  effect: {
    repair:
      "what was changed in n8n is written and published again, without a restart; npm run workflows -- <stack> pull keeps the changes instead",
  },
};

export const command: Kind = {
  types: ["command:local:Command"],
  layer: "checks",
  label: "check",
  effect: AS_DEPLOYED,
};

/** By type alone; they also describe what an earlier version of the program deployed. */
const KINDS: readonly Kind[] = [
  ...[server, edgeFirewall, record, reverse, hostKey, file, image, packages, unit, state],
  ...[network, secret, service, container, volume, n8nContent, command],
  ...[connection("ovh", "cloud"), connection("technicia", "cloud"), connection("cloudflare", "dns")],
  ...[connection("docker", "containers"), connection("command", "checks")],
];

export function kindOf(type: string): Kind {
  const label = type.slice(type.lastIndexOf(":") + 1);
  return (
    KINDS.find(({ types }) => types.includes(type)) ??
    (type.startsWith("pulumi:providers:")
      ? connection(label, "other")
      : { types: [type], layer: "other", label, effect: AS_DEPLOYED })
  );
}

/** A provider: how the program reaches what it deploys. */
export function connection(vendor: string, layer: Layer): Kind {
  return {
    types: [`pulumi:providers:${vendor}`],
    layer,
    label: `connection (${vendor})`,
    effect: AS_DEPLOYED,
  };
}

/** One that is gone left an event; one that runs has a date of its own. */
function runs(thing: "service" | "container") {
  return ({ kind, inputs }: Deviation): SinceQuestion => {
    const name = String(inputs["name"]);
    return kind === "gone" ? ["event", thing, name] : [thing, name];
  };
}

function effectOnService({ kind, inputs }: Deviation): Effect {
  const name = typeof inputs["name"] === "string" ? inputs["name"] : "the service";
  if (kind === "gone") {
    return {
      repair: "the service is recreated",
      interruption: `${name} is already down, until its task is healthy`,
    };
  }
  const { order } = (inputs["updateConfig"] ?? {}) as { readonly order?: unknown };
  return order === "stop-first"
    ? {
        repair: "Docker replaces the task",
        interruption: `${name} is down while its task is replaced, some seconds to a minute`,
      }
    : { repair: "Docker starts a task as deployed, and stops the other once it is healthy" };
}
