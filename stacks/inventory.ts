/**
 * What each resource of the program is to people: where it belongs, what losing or repairing it means, and which step of the user's it proves.
 *
 * Previews, drift, repairs and documents read it. A resource of the program without a row fails a test.
 */
import { parseUrn } from "../common/urn.ts";
import type { EvidenceKey } from "./deployment-status.ts";

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

export interface Row {
  readonly types: readonly string[];

  /** Logical names, `*` for any text. */
  readonly names: readonly string[];

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

type Kind = Omit<Row, "names">;

const AS_DEPLOYED: Effect = { repair: "it is recreated as it was deployed" };

const server: Kind = {
  types: ["technicia:ovh:Vps"],
  layer: "cloud",
  label: "server",
  effect: ({ kind }) =>
    kind === "gone"
      ? {
          repair: "nothing automatic: OVH no longer has this server; see docs/runbook.md",
          interruption: "everything, until the server is back",
        }
      : {
          repair: "what OVH allows to change is set again, such as the display name; the rest needs a person",
        },
  loss: "server",
};

const edgeFirewall: Kind = {
  types: ["technicia:ovh:EdgeFirewall"],
  layer: "cloud",
  label: "edge firewall",
  effect: { repair: "the rules are set at OVH one by one; ours are added before others are removed" },
  loss: "edge-firewall",
};

const record: Kind = {
  types: ["cloudflare:index/dnsRecord:DnsRecord", "ovh:Domain/zoneRecord:ZoneRecord"],
  layer: "dns",
  label: "DNS record",
  effect: {
    repair: "the record is restored; resolvers keep the wrong answer until its time to live ends",
  },
};

const reverse: Kind = {
  types: ["ovh:Ip/reverse:Reverse"],
  layer: "dns",
  label: "reverse name",
  effect: { repair: "the reverse name is set again at OVH" },
};

const hostKey: Kind = {
  types: ["technicia:host:HostKey"],
  layer: "host",
  label: "host key",
  effect: {
    repair: "nothing automatic: a server with another key may be another server; see docs/runbook.md",
  },
  loss: "host-key",
};

const file: Kind = {
  types: ["technicia:host:File"],
  layer: "host",
  label: "file on the host",
  effect: { repair: "the file is restored" },
  since: ({ inputs }) => ["file", String(inputs["path"])],
};

const unitFile: Kind = { ...file, effect: { repair: "the unit file is restored" } };

const nginxConfiguration: Kind = {
  ...file,
  effect: { repair: "the file is restored and checked, and nginx reloads it without dropping a connection" },
};

const image: Kind = {
  types: ["technicia:host:Image"],
  layer: "host",
  label: "image on the host",
  effect: { repair: "the image is pulled again" },
};

const packages: Kind = {
  types: ["technicia:host:Packages"],
  layer: "host",
  label: "packages on the host",
  effect: { repair: "the packages are reinstalled" },
  since: ({ expected }) => ["package", expected[0] ?? ""],
};

const unit: Kind = {
  types: ["technicia:host:Unit"],
  layer: "host",
  label: "systemd unit",
  effect: ({ inputs }) => ({
    repair: `${String(inputs["unit"])} is ${inputs["active"] === true ? "started and enabled" : "stopped and disabled"}`,
  }),
  since: ({ inputs }) => ["unit", String(inputs["unit"])],
  hides: ({ what }) => (what === "active" ? "dependents" : undefined),
};

const state: Kind = {
  types: ["technicia:host:State"],
  layer: "host",
  label: "state of the host",
  effect: AS_DEPLOYED,
};

const network: Kind = {
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

const secret: Kind = {
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

const service: Kind = {
  types: ["docker:index/service:Service"],
  layer: "containers",
  label: "container service",
  effect: effectOnService,
  since: runs("service"),
  hides: () => "dependents",
};

const container: Kind = {
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

const volume: Kind = {
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

const command: Kind = {
  types: ["command:local:Command"],
  layer: "checks",
  label: "check",
  effect: AS_DEPLOYED,
};

/** By type alone; they also describe what an earlier version of the program deployed. */
const KINDS: readonly Kind[] = [
  ...[server, edgeFirewall, record, reverse, hostKey, file, image, packages, unit, state],
  ...[network, secret, service, container, volume, command],
  ...[connection("ovh", "cloud"), connection("technicia", "cloud"), connection("cloudflare", "dns")],
  ...[connection("docker", "containers"), connection("command", "checks")],
];

/** First match decides. */
export const INVENTORY: readonly Row[] = [
  { ...connection("ovh", "cloud"), names: ["ovh"] },
  { ...connection("technicia", "cloud"), names: ["cloud"], loss: "installation" },
  { ...server, names: ["vps-server"], steps: ["os"] },
  { ...edgeFirewall, names: ["edge-firewall-rules"], steps: ["firewall"] },

  { ...connection("cloudflare", "dns"), names: ["cloudflare"] },
  { ...record, names: ["dns-*"], steps: ["dns"] },
  { ...reverse, names: ["dns-reverse-v4", "dns-reverse-v6"] },

  { ...hostKey, names: ["host-key"], steps: ["os"] },
  { ...connection("technicia", "host"), names: ["host-connection"], loss: "installation" },
  { ...connection("docker", "host"), names: ["host-docker-connection"] },
  { ...packages, names: ["host-packages"], steps: ["docker"] },
  { ...file, names: ["host-login-keys"], loss: "login-keys" },
  { ...state, names: ["host-admin-*"], since: () => ["file", "/etc/group"] },
  {
    ...file,
    names: ["host-admin-*-keys", "host-admin-*-sudo", "host-sysctl", "host-journal", "host-upgrades"],
  },
  {
    ...file,
    names: ["host-sshd"],
    effect: { repair: "the file is restored and sshd reloads it; sessions continue" },
  },
  { ...state, names: ["host-time-zone"], since: () => ["file", "/etc/localtime"] },
  { ...state, names: ["host-clock"], since: () => ["unit", "systemd-timesyncd.service"] },
  { ...state, names: ["host-swap"], since: () => ["file", "/etc/fstab"] },
  { ...unit, names: ["host-upgrades-timer"] },
  {
    ...file,
    names: ["host-firewall-table"],
    effect: { repair: "the file is restored and the table is loaded in one transaction" },
    loss: "host-firewall",
  },
  { ...unitFile, names: ["host-firewall-unit-file"] },
  { ...unit, names: ["host-firewall-unit"], loss: "host-firewall" },
  { ...unit, names: ["host-firewall-distribution-unit"] },
  {
    ...state,
    names: ["host-firewall-loaded"],
    effect: { repair: "the table is loaded from its file in one transaction" },
    loss: "host-firewall",
    steps: ["firewall"],
  },
  { ...state, names: ["host-docker-repository", "host-docker-repository-key"] },
  {
    ...file,
    names: ["host-docker-settings"],
    effect: {
      repair: "the file is restored and dockerd restarts",
      interruption: "everything is down while dockerd and then each service restart, about a minute",
    },
  },
  {
    ...unit,
    names: ["host-docker"],
    effect: {
      repair: "dockerd is started and enabled",
      interruption: "services are already down, and come back within a minute",
    },
    hides: ({ what }) => (what === "active" ? "docker" : undefined),
    steps: ["docker"],
  },
  { ...state, names: ["host-docker-group"], since: () => ["file", "/etc/group"] },
  {
    ...state,
    names: ["host-swarm"],
    effect: {
      repair: "the Swarm is recreated, with every network, secret and service",
      interruption: "everything, for some minutes",
    },
    steps: ["docker"],
  },
  { ...image, names: ["image-*"] },
  { ...state, names: ["extra-access", "extra-files", "extra-ports", "extra-rules"] },
  {
    ...state,
    names: ["extra-containers"],
    layer: "containers",
    hides: ({ what }) => (what === DOCKER_IS_DOWN ? "docker" : undefined),
  },

  { ...network, names: ["technicia-app", "technicia-data", "technicia-edge"] },
  { ...secret, names: ["*-voyage-api-key", "*-google-credentials"], steps: ["apiKeys"] },
  { ...secret, names: ["technicia-n8n-n8n-encryption-key"], steps: ["n8nEncryptionKey"] },
  {
    ...secret,
    names: [
      ...["technicia-*-n8n-jwt-secret", "technicia-*-n8n-runners-token", "technicia-*-postgres-password"],
      ...["technicia-*-qdrant-api-key", "technicia-qdrant-production"],
    ],
  },
  { ...service, names: ["technicia-n8n-service"], steps: ["services", "n8nEnvironment"] },
  { ...service, names: ["technicia-*-service"], steps: ["services"] },
  {
    ...state,
    names: ["technicia-gateway-directories", "technicia-gateway-placeholder"],
    layer: "containers",
  },
  {
    ...nginxConfiguration,
    names: ["technicia-gateway-configuration", "technicia-tunnel-configuration"],
    layer: "containers",
  },
  { ...file, names: ["technicia-gateway-n8n-route", "technicia-gateway-reload"], layer: "containers" },
  { ...container, names: ["technicia-tunnel"] },

  { ...volume, names: ["technicia-*-data", "technicia-qdrant-storage", "technicia-qdrant-snapshots"] },
  {
    ...state,
    names: ["qdrant-collection"],
    layer: "data",
    effect: ({ found }) => ({
      repair: found.includes("not there")
        ? "the collection is recreated empty; documents have to be indexed again"
        : "missing indexes are recreated; searches keep working",
    }),
    loss: "stored",
  },
  {
    ...state,
    names: ["n8n-owner"],
    layer: "data",
    effect: { repair: "the owner's account is set up again" },
    loss: "stored",
    steps: ["n8nEnvironment"],
  },

  {
    ...file,
    names: ["certificate-program", "certificate-settings"],
    layer: "certificate",
    steps: ["certbot"],
  },
  {
    ...unitFile,
    names: ["certificate-service", "certificate-timer"],
    layer: "certificate",
    steps: ["certbot"],
  },
  { ...unit, names: ["certificate-renewal"], layer: "certificate", steps: ["certbot"] },
  {
    ...state,
    names: ["certificate-served"],
    layer: "certificate",
    effect: {
      repair:
        "the certificate is installed again, or requested from the authority, and nginx reads it without dropping a connection",
    },
    since: () => ["file", "/opt/technicia/gateway/tls/fullchain.pem"],
    steps: ["n8nHttps", "certificate"],
  },

  { ...connection("command", "checks"), names: ["local"] },
  { ...command, names: ["public-probe"], steps: ["services"] },
];

/** The line that `infra/scripts/extra-containers.sh` prints while nothing of Docker's can be read. */
export const DOCKER_IS_DOWN = "docker does not answer";

/** A resource by its URN, and its row. */
export interface Identity {
  /** Logical name. */
  readonly name: string;
  readonly type: string;
  readonly row: Kind;
}

export function identify(urn: string): Identity {
  const { type, name } = parseUrn(urn);
  return { name, type, row: rowOf({ type, name }) ?? kindOf(type) };
}

/** Undefined for what is no resource of the program. */
export function rowOf({ type, name }: { readonly type: string; readonly name: string }): Row | undefined {
  return INVENTORY.find(
    ({ types, names }) => types.includes(type) && names.some((pattern) => matches(pattern, name)),
  );
}

function matches(pattern: string, name: string): boolean {
  const [start = "", end] = pattern.split("*");
  if (end === undefined) return name === pattern;
  return name.length >= pattern.length && name.startsWith(start) && name.endsWith(end);
}

function kindOf(type: string): Kind {
  const label = type.slice(type.lastIndexOf(":") + 1);
  return (
    KINDS.find(({ types }) => types.includes(type)) ??
    (type.startsWith("pulumi:providers:")
      ? connection(label, "other")
      : { types: [type], layer: "other", label, effect: AS_DEPLOYED })
  );
}

/** A provider: how the program reaches what it deploys. */
function connection(vendor: string, layer: Layer): Kind {
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
