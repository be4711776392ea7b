/**
 * What each resource of the program is to people: where it belongs, what losing or repairing it means, and which step of the user's it proves.
 *
 * Previews, drift, repairs and documents read it. A resource of the program without a row fails a test.
 */
import { parseUrn } from "../common/urn.ts";
import { roleOf, rowsOfSeveral } from "./inventory-servers.ts";
import {
  bucket,
  bucketRules,
  bucketUser,
  connection,
  DOCKER_IS_DOWN,
  server,
  edgeFirewall,
  record,
  reverse,
  hostKey,
  file,
  unitFile,
  nginxConfiguration,
  image,
  monitoringVolume,
  packages,
  unit,
  state,
  network,
  secret,
  service,
  container,
  volume,
  n8nContent,
  command,
  kindOf,
  type Kind,
} from "./resource-kinds.ts";

export interface Row extends Kind {
  /** Logical names, `*` for any text; those of another server than the first have its name and a slash in front. */
  readonly names: readonly string[];
}

/** First match decides. */
export const INVENTORY: readonly Row[] = [
  { ...connection("ovh", "cloud"), names: ["ovh"] },
  { ...connection("technicia", "cloud"), names: ["cloud"], loss: "installation" },
  { ...server, names: ["vps-server"], steps: ["os"] },
  { ...edgeFirewall, names: ["edge-firewall-rules"], steps: ["firewall"] },

  { ...connection("cloudflare", "dns"), names: ["cloudflare"] },
  { ...record, names: ["dns-*"], steps: ["dns"] },
  { ...reverse, names: ["dns-reverse-v4", "dns-reverse-name"] },

  { ...hostKey, names: ["host-key"], steps: ["os"] },
  { ...connection("technicia", "host"), names: ["host-connection"], loss: "installation" },
  { ...connection("docker", "host"), names: ["host-docker-connection"] },
  {
    ...state,
    names: ["host-obstacles"],
    effect: {
      repair: "nothing automatic: each line says what to remove on the server, or which setting to change",
    },
  },
  { ...packages, names: ["host-packages"], steps: ["docker"] },
  { ...packages, names: ["host-docker-repository-packages"] },
  { ...file, names: ["host-login-keys"], loss: "login-keys" },
  { ...state, names: ["host-admin-*"], since: () => ["file", "/etc/group"] },
  { ...unitFile, names: ["host-exporter-override"] },
  {
    ...file,
    names: ["host-admin-*-keys", "host-admin-*-sudo", "host-sysctl", "host-journal", "host-upgrades"],
  },
  {
    ...file,
    names: ["host-sshd"],
    effect: { repair: "the file is restored and sshd reloads it; sessions continue" },
  },
  {
    ...state,
    names: ["host-ipv6"],
    effect: { repair: "the address and its default route are configured again; IPv4 is not touched" },
  },
  {
    ...state,
    names: ["host-sshd-penalties"],
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
  {
    ...unitFile,
    names: ["host-firewall-unit-file", "host-firewall-fallback-unit-file", "host-firewall-docker-override"],
  },
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
  {
    ...state,
    names: ["host-docker-rules"],
    effect: {
      repair: "dockerd restarts and writes its rules again",
      interruption: "everything is down while dockerd and then each service restart, about a minute",
    },
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
  ...rowsOfSeveral,
  {
    ...state,
    names: ["host-node"],
    effect: ({ found }) =>
      takesTasks(found)
        ? { repair: "the node gets its role and loses the labels that nobody declared" }
        : {
            repair: "the node takes tasks again, and every service starts on it",
            interruption: "services are already down, and come back within a minute",
          },
    hides: ({ found }) => (takesTasks(found) ? undefined : "docker"),
  },
  { ...file, names: ["registry-login"] },
  {
    ...image,
    names: ["image-vector-store", "image-document-processor", "image-vision-classifier", "image-frontend"],
    steps: ["sources"],
  },
  { ...image, names: ["image-*"] },
  { ...state, names: ["extra-access", "extra-files", "extra-ports", "extra-rules", "extra-system"] },
  {
    ...state,
    names: ["extra-containers"],
    layer: "containers",
    hides: ({ what }) => (what === DOCKER_IS_DOWN ? "docker" : undefined),
  },
  { ...state, names: ["extra-objects", "extra-specs"], layer: "containers" },
  { ...state, names: ["extra-collections"], layer: "data" },

  {
    ...network,
    names: [
      ...["technicia-app", "technicia-data", "technicia-edge", "technicia-runners"],
      ...["technicia-monitoring", "technicia-outside"],
    ],
  },
  { ...secret, names: ["*-voyage-api-key", "*-google-credentials"], steps: ["apiKeys"] },
  { ...secret, names: ["technicia-n8n-n8n-encryption-key"], steps: ["n8nEncryptionKey"] },
  {
    ...secret,
    names: [
      ...["technicia-*-n8n-jwt-secret", "technicia-*-n8n-runners-token", "technicia-*-postgres-password"],
      ...["technicia-*-qdrant-api-key", "technicia-qdrant-production"],
      ...[
        "technicia-alerts-smtp-password",
        "technicia-alerts-*-url",
        "technicia-alerts-*-key",
        "technicia-alerts-neighbour-token",
      ],
    ],
  },
  { ...service, names: ["technicia-n8n-service"], steps: ["services", "n8nEnvironment"] },
  {
    ...service,
    names: [
      ...["technicia-metrics-service", "technicia-logs-service", "technicia-alerts-service"],
      ...["technicia-metric-rules-service", "technicia-log-rules-service", "technicia-probes-service"],
    ],
    steps: ["services", "monitoring"],
  },
  { ...service, names: ["technicia-*-service"], steps: ["services"] },
  {
    ...state,
    names: [
      "technicia-gateway-directories",
      "technicia-gateway-placeholder",
      "technicia-gateway-socket-folder",
      ...["technicia-gateway-handover-begin", "technicia-gateway-handover-end"],
    ],
    layer: "containers",
  },
  {
    ...nginxConfiguration,
    names: ["technicia-gateway-configuration", "technicia-tunnel-configuration"],
    layer: "containers",
  },
  {
    ...file,
    names: [
      ...["technicia-gateway-n8n-route", "technicia-gateway-neighbour-token", "technicia-gateway-reload"],
      ...["technicia-gateway-hold", "technicia-gateway-hold-program", "technicia-gateway-handover-program"],
    ],
    layer: "containers",
  },
  { ...container, names: ["technicia-tunnel"] },
  { ...unitFile, names: ["technicia-tunnel-service"], layer: "containers" },
  { ...unit, names: ["technicia-tunnel-start"], layer: "containers" },

  {
    ...monitoringVolume,
    names: ["technicia-alerts-data", "technicia-logs-data", "technicia-metrics-data"],
  },
  { ...volume, names: ["technicia-*-data", "technicia-qdrant-storage", "technicia-qdrant-snapshots"] },
  {
    ...state,
    names: ["technicia-documents-folder"],
    layer: "data",
    effect: { repair: "the folder of the documents gets its owner and its mode again; uploads work" },
  },
  {
    ...file,
    names: [
      "technicia-documents-program-*",
      "technicia-documents-settings",
      "technicia-documents-qdrant-key",
    ],
    layer: "data",
  },
  {
    ...unitFile,
    names: ["technicia-documents-service", "technicia-documents-timer"],
    layer: "data",
  },
  { ...unit, names: ["technicia-documents-schedule"], layer: "data" },
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
    names: ["n8n-database"],
    layer: "data",
    effect: {
      repair: "n8n's data moves to the database of the settings, or the repair says why it cannot",
      interruption: "n8n, while its data moves",
    },
    loss: "stored",
  },
  {
    ...state,
    names: ["postgres-password"],
    layer: "data",
    effect: { repair: "n8n's role gets the password of the settings again; open connections stay" },
  },
  {
    ...state,
    names: ["n8n-owner"],
    layer: "data",
    effect: { repair: "the owner's account is set up again" },
    loss: "stored",
    steps: ["n8nEnvironment"],
  },

  { ...n8nContent, names: ["n8n-content"], steps: ["n8nEnvironment"] },

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
    since: () => ["file", "/opt/technicia/gateway/tls/current"],
    steps: ["n8nHttps", "certificate"],
  },

  { ...bucket, names: ["backup-storage-bucket"] },
  { ...bucketRules, names: ["backup-storage-lifecycle", "backup-storage-*-policy"] },
  { ...bucketUser, names: ["backup-storage-writer", "backup-storage-reader", "backup-storage-*-key"] },
  {
    ...file,
    names: [
      "backup-program-*",
      "backup-settings",
      "backup-writer",
      "backup-reader",
      "backup-password",
      "backup-qdrant-key",
    ],
    layer: "data",
  },
  {
    ...unitFile,
    names: ["backup-service", "backup-timer", "backup-drill-service", "backup-drill-timer"],
    layer: "data",
  },
  { ...unit, names: ["backup-schedule", "backup-drill-schedule"], layer: "data" },

  {
    ...file,
    names: ["monitoring-reload", "monitoring-program-*", "monitoring-journal-settings"],
    layer: "containers",
  },
  { ...unitFile, names: ["monitoring-collect-service", "monitoring-journal-override"], layer: "containers" },
  {
    ...unit,
    names: ["monitoring-exporter", "monitoring-collect", "monitoring-journal-upload"],
    layer: "containers",
  },
  {
    ...file,
    names: ["monitoring-*"],
    layer: "containers",
    steps: ["alerting"],
    effect: { repair: "the file is restored, and its program reads it without a restart" },
  },

  { ...connection("command", "checks"), names: ["local"] },
  { ...command, names: ["public-probe"], steps: ["services"] },
];

function takesTasks(found: readonly string[]): boolean {
  return found[0]?.startsWith("active") === true;
}

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
  const role = roleOf(name);
  return INVENTORY.find(
    ({ types, names }) => types.includes(type) && names.some((pattern) => matches(pattern, role)),
  );
}

function matches(pattern: string, name: string): boolean {
  const [start = "", end] = pattern.split("*");
  if (end === undefined) return name === pattern;
  return name.length >= pattern.length && name.startsWith(start) && name.endsWith(end);
}
