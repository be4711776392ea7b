/** For each rule about a resource, a program that breaks it. The engine's own test runs them, too: they may import packages and `technicia` only. */
import { CloudProjectStorageObjectBucketLifecycleConfiguration } from "@ovhcloud/pulumi-ovh/cloudProjectStorageObjectBucketLifecycleConfiguration.js";
import { S3Policy } from "@ovhcloud/pulumi-ovh/cloudproject/s3policy.js";
import { Storage } from "@ovhcloud/pulumi-ovh/cloudproject/storage.js";
import { ZoneRecord } from "@ovhcloud/pulumi-ovh/domain/zoneRecord.js";
import { Reverse } from "@ovhcloud/pulumi-ovh/ip/reverse.js";
import { DnsRecord } from "@pulumi/cloudflare/dnsRecord.js";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

import * as technicia from "../../../provider/resources.ts";

export interface Case {
  readonly rule: string;

  /** What is wrong, as it follows "a service that …". */
  readonly what: string;

  /** Beginning of the message: the property. */
  readonly at: string;

  /** Logical name that decides. @default any */
  readonly name?: string;

  /** Set where the real plugin previews it without an account. */
  readonly plugin?: "docker";

  /** Creates the resource under this name. */
  readonly create: (name: string) => pulumi.Resource;
}

/** Value of the secret `qdrantApiKey` in these tests. */
export const CANARY = "canary-3f9a-0123456789abcdef0123456789ab";

const MIB = 1024 * 1024;
const DIGEST = `@sha256:${"1".repeat(64)}`;
const secret = () => pulumi.secret(CANARY);

type Service = ConstructorParameters<typeof docker.Service>[1];
type Container = Partial<docker.types.input.ServiceTaskSpecContainerSpec>;

/** A service that breaks no rule, with one thing changed. */
function service(changes: Partial<Service> = {}, container: Container = {}) {
  return (name: string) =>
    new docker.Service(name, {
      name,
      taskSpec: {
        containerSpec: { image: `nginx:1.30.4-alpine${DIGEST}`, ...container },
        resources: { limits: { memoryBytes: 64 * MIB, nanoCpus: 1e9 } },
      },
      ...changes,
    });
}

const mounts = [{ type: "volume", source: "technicia-qdrant-storage", target: "/data", readOnly: false }];
const limited = (limits: docker.types.input.ServiceTaskSpecResourcesLimits) => ({
  containerSpec: { image: `nginx:1.30.4-alpine${DIGEST}` },
  resources: { limits },
});

const edge = (rule: Readonly<Record<string, unknown>>) => (name: string) =>
  new technicia.EdgeFirewall(name, {
    ip: "203.0.113.10",
    rules: [{ sequence: 1, action: "permit", protocol: "tcp", ...rule }],
    guard: { seconds: 90, sshPort: 22, addressService: "none" },
  });

const bucket = (changes: Readonly<Record<string, unknown>>) => (name: string) =>
  new Storage(
    name,
    {
      serviceName: "p",
      regionName: "RBX",
      versioning: { status: "enabled" },
      objectLock: { status: "enabled", rule: { mode: "governance", period: "P30D" } },
      ...changes,
    },
    { protect: true },
  );

const lifecycle = (rule: Readonly<Record<string, unknown>>) => (name: string) =>
  new CloudProjectStorageObjectBucketLifecycleConfiguration(name, {
    serviceName: "p",
    regionName: "RBX",
    containerName: "b",
    rules: [{ id: "one", status: "enabled", ...rule }],
  });

const file = (args: { readonly path: string; readonly content: pulumi.Input<string> }) => (name: string) =>
  new technicia.File(name, args);

const table = (rule: string) =>
  file({ path: "/etc/technicia/firewall.nft", content: `table {\n  ${rule}\n}\n` });

const server = (options: pulumi.CustomResourceOptions) => (name: string) =>
  new technicia.Vps(
    name,
    {
      serviceName: "vps-1",
      name: "n",
      vcores: 4,
      memoryGib: 8,
      datacentre: "GRA",
      image: "Debian 12",
      publicKey: "k",
      deleteAtExpiry: false,
    },
    options,
  );

export const CASES: readonly Case[] = [
  {
    rule: "published-ports",
    what: "a service that publishes a database",
    at: "endpointSpec.ports[0].publishedPort",
    plugin: "docker",
    create: service({ endpointSpec: { ports: [{ targetPort: 6333, publishedPort: 6333 }] } }),
  },
  {
    rule: "published-ports",
    what: "a service besides the gateway that publishes port 80",
    at: "endpointSpec.ports[0].publishedPort",
    plugin: "docker",
    create: service({ endpointSpec: { ports: [{ targetPort: 80, publishedPort: 80 }] } }),
  },
  {
    rule: "published-ports",
    what: "a container that listens on every address",
    at: "ports[0].ip",
    plugin: "docker",
    create: (name) =>
      new docker.Container(name, {
        image: `nginx${DIGEST}`,
        memory: 64,
        ports: [{ internal: 80, external: 8080 }],
      }),
  },
  {
    rule: "published-ports",
    what: "a port that the edge firewall opens",
    at: "rules[0].port",
    create: edge({ port: 6333, source: "198.51.100.0/24" }),
  },
  {
    rule: "exact-images",
    what: "a service whose tag moves",
    at: "taskSpec.containerSpec.image",
    plugin: "docker",
    create: service({}, { image: "nginx:latest" }),
  },
  {
    rule: "exact-images",
    what: "an image that is pulled without a version",
    at: "name",
    create: (name) => new technicia.Image(name, { name: "nginx" }),
  },
  {
    rule: "memory-limits",
    what: "a service without a memory limit",
    at: "taskSpec.resources.limits.memoryBytes",
    plugin: "docker",
    create: service({ taskSpec: { containerSpec: { image: `nginx${DIGEST}` } } }),
  },
  {
    rule: "memory-limits",
    what: "a container without a memory limit",
    at: "memory",
    plugin: "docker",
    create: (name) => new docker.Container(name, { image: `nginx${DIGEST}` }),
  },
  {
    rule: "data-stops-first",
    what: "a service that starts before its predecessor has left the volume",
    at: "updateConfig.order",
    plugin: "docker",
    create: service(
      { updateConfig: { order: "start-first" }, rollbackConfig: { order: "stop-first" } },
      { mounts },
    ),
  },
  {
    rule: "sizes",
    what: "a service that takes most of the server's memory",
    at: "taskSpec.resources.limits.memoryBytes",
    plugin: "docker",
    create: service({ taskSpec: limited({ memoryBytes: 5 * 1024 * MIB, nanoCpus: 1e9 }) }),
  },
  {
    rule: "sizes",
    what: "a service with more cores than the server",
    at: "taskSpec.resources.limits.nanoCpus",
    plugin: "docker",
    create: service({ taskSpec: limited({ memoryBytes: 64 * MIB, nanoCpus: 5e9 }) }),
  },
  {
    rule: "protected-data",
    what: "a volume without protection",
    at: "protect",
    plugin: "docker",
    create: (name) => new docker.Volume(name, { name }),
  },
  {
    rule: "protected-data",
    what: "a server without protection",
    name: "vps-server",
    at: "protect",
    create: server({}),
  },
  {
    rule: "no-replacement",
    what: "a volume of another name",
    at: "name",
    plugin: "docker",
    create: (name) => new docker.Volume(name, { name: "another" }, { protect: true }),
  },
  {
    rule: "no-replacement",
    what: "a volume that is deleted before its successor exists",
    at: "deleteBeforeReplace",
    plugin: "docker",
    create: (name) => new docker.Volume(name, { name }, { protect: true, deleteBeforeReplace: true }),
  },
  {
    rule: "no-replacement",
    what: "a second server",
    at: "name of the resource",
    create: server({ protect: true }),
  },
  {
    rule: "backup-bucket",
    what: "a bucket without versions",
    at: "versioning.status",
    create: bucket({ versioning: { status: "suspended" } }),
  },
  {
    rule: "backup-bucket",
    what: "a bucket without a lock",
    at: "objectLock.status",
    create: bucket({ objectLock: { status: "disabled", rule: { mode: "governance", period: "P30D" } } }),
  },
  {
    rule: "backup-bucket",
    what: "a lock that ends before the retention",
    at: "objectLock.rule.period",
    create: bucket({ objectLock: { status: "enabled", rule: { mode: "governance", period: "P1D" } } }),
  },
  {
    rule: "backup-bucket",
    what: "sets that end by themselves",
    at: "rules[0].expiration",
    create: lifecycle({ expiration: { days: 3 } }),
  },
  {
    rule: "backup-bucket",
    what: "deleted sets that go for good at once",
    at: "rules[0].noncurrentVersionExpiration",
    create: lifecycle({ noncurrentVersionExpiration: { noncurrentDays: 1 } }),
  },
  {
    rule: "backup-bucket",
    what: "a key that deletes sets",
    at: "policy.Statement[0].Action",
    create: (name) =>
      new S3Policy(name, {
        serviceName: "p",
        userId: "u",
        policy: JSON.stringify({
          Statement: [{ Effect: "Allow", Action: ["s3:DeleteObject"], Resource: ["arn:aws:s3:::b/test/*"] }],
        }),
      }),
  },
  {
    rule: "secrets-sealed",
    what: "a secret in the environment of a service",
    at: "taskSpec.containerSpec.env.KEY",
    plugin: "docker",
    create: (name) => service({}, { env: { KEY: secret() } })(name),
  },
  {
    rule: "secrets-sealed",
    what: "a secret in clear in a file",
    at: "content",
    create: file({ path: "/etc/key", content: `key=${CANARY}\n` }),
  },
  {
    rule: "secrets-sealed",
    what: "a secret in clear, encoded",
    at: "labels[0].value",
    plugin: "docker",
    create: service({ labels: [{ label: "key", value: Buffer.from(CANARY).toString("base64") }] }),
  },
  {
    rule: "ssh-not-open",
    what: "an edge firewall that admits everybody to ssh",
    at: "rules[0].source",
    create: edge({ port: 22 }),
  },
  {
    rule: "ssh-not-open",
    what: "an edge firewall that admits half of the internet to ssh",
    at: "rules[0].source",
    create: edge({ port: 22, source: "0.0.0.0/1" }),
  },
  {
    rule: "dns-in-zone",
    what: "a record in another zone at Cloudflare",
    at: "name",
    create: (name) =>
      new DnsRecord(name, {
        zoneId: "0123456789abcdef0123456789abcdef",
        name: "n8n.exemple.com",
        type: "A",
        ttl: 300,
        content: "203.0.113.10",
      }),
  },
  {
    rule: "dns-in-zone",
    what: "a name that only ends like the zone",
    at: "ReverseValue",
    create: (name) =>
      new Reverse(name, { ip: "203.0.113.10/32", ReverseIp: "203.0.113.10", ReverseValue: "badexemple.fr." }),
  },
  {
    rule: "dns-in-zone",
    what: "a record in another zone at OVH",
    at: "zone",
    create: (name) =>
      new ZoneRecord(name, { zone: "exemple.com", subdomain: "n8n", fieldtype: "A", target: "203.0.113.10" }),
  },
];

/** The one file that the host's firewall is read from, by its name. */
export const HOST_FIREWALLS: readonly (readonly [what: string, create: Case["create"]])[] = [
  ["without a source", table("tcp dport 22 ct state new accept")],
  ["from everywhere", table("tcp dport 22 ip saddr { 0.0.0.0/0 } ct state new accept")],
  [
    "from everywhere over IPv6, with a second port",
    table("tcp dport { 22, 2222 } ip6 saddr { 2001:db8::/32, ::/0 } ct state new accept"),
  ],
];
