/**
 * What outlives a server and must not be made twice: for each resource where the program has it, and how it is found at its vendor.
 *
 * A test compares the list with what the program registers. The edge firewall and the reverse name are not in it, because setting them again
 * changes nothing; neither is a server that the settings name, because the program adopts that itself.
 */
import type { Bucket } from "../../common/object-storage.ts";
import { backupBucket } from "../../stacks/backup-schema.ts";
import { publicNames, type Environment } from "../../stacks/environment.ts";
import type { AtVendors, StorageUser } from "./at-vendors.ts";

/** Logical name of a component → its type. */
export const COMPONENTS = {
  vps: "technicia:infra:Vps",
  dns: "technicia:infra:Dns",
  "backup-storage": "technicia:infra:BackupStorage",
} as const;

export type ProviderName = "ovh" | "cloudflare" | "cloud";

export interface Found {
  readonly id: string;
  readonly inputs: Readonly<Record<string, unknown>>;

  /** Besides the inputs. */
  readonly outputs?: Readonly<Record<string, unknown>>;

  /** Outputs that the state keeps encrypted. */
  readonly secrets?: Readonly<Record<string, string>>;
}

export interface Adoptable {
  readonly type: string;
  readonly name: string;
  readonly parent: keyof typeof COMPONENTS;
  readonly provider: ProviderName;
  readonly protect?: boolean;
  readonly retainOnDelete?: boolean;

  /** Undefined where the vendor has none: the program then creates it. */
  readonly find: (vendors: AtVendors) => Promise<Found | undefined>;
}

/** In order of dependence. */
export function adoptable(environment: Environment): readonly Adoptable[] {
  return [...orderedServer(environment), ...records(environment), ...storage(environment)];
}

function orderedServer({ name, server, ssh, protectData }: Environment): readonly Adoptable[] {
  const { source, vcores, memoryGib, datacentre, image, deleteAtExpiry } = server;
  if (source.kind === "adopt") return [];
  const { subsidiary, maxMonthlyPriceEur } = source;
  const displayName = `technicia-${name}`;
  const inputs = {
    ...{ order: { subsidiary, maxMonthlyPriceEur }, name: displayName, vcores, memoryGib, datacentre },
    ...{ image, publicKey: ssh.publicKey, deleteAtExpiry },
  };
  return [
    {
      ...{ type: "technicia:ovh:Vps", name: "vps-server", parent: "vps", provider: "cloud" },
      protect: protectData,
      async find(vendors) {
        const serviceName = await vendors.server(displayName);
        return serviceName === undefined ? undefined : { id: serviceName, inputs, outputs: { serviceName } };
      },
    },
  ];
}

function records(environment: Environment): readonly Adoptable[] {
  const names = publicNames(environment);
  const { zone, caaIssuers } = environment.dns;
  const addresses = names.map((name): Adoptable => ({
    ...ofRecord(environment),
    name: `dns-${subdomain(name, zone) || "apex"}-a`,
    async find(vendors) {
      const record = await vendors.address(name);
      return record && described(environment, { ...record, value: record.content });
    },
  }));
  const first = names[0] ?? zone;
  const authorities = caaIssuers.map((issuer): Adoptable => ({
    ...ofRecord(environment),
    name: `dns-caa-${issuer}`,
    async find(vendors) {
      const record = await vendors.authority(first, issuer);
      return record && described(environment, { ...record, value: issuer });
    },
  }));
  return [...addresses, ...authorities];
}

function ofRecord({ dns }: Environment): Pick<Adoptable, "type" | "parent" | "provider"> {
  return dns.provider === "cloudflare"
    ? { type: "cloudflare:index/dnsRecord:DnsRecord", parent: "dns", provider: "cloudflare" }
    : { type: "ovh:Domain/zoneRecord:ZoneRecord", parent: "dns", provider: "ovh" };
}

interface RecordThere {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly value: string;
}

function described({ dns }: Environment, { id, name, type, value }: RecordThere): Found {
  const { zone, zoneId, ttlSeconds: ttl } = dns;
  if (dns.provider === "ovh") {
    const target = type === "CAA" ? `0 issue "${value}"` : value;
    return { id, inputs: { zone, subdomain: subdomain(name, zone), fieldtype: type, ttl, target } };
  }
  const content = type === "CAA" ? { data: { flags: 0, tag: "issue", value } } : { content: value };
  // Cloudflare's plugin takes the id from the outputs.
  return { id, inputs: { zoneId, name, type, ttl, proxied: false, ...content }, outputs: { id } };
}

function subdomain(name: string, zone: string): string {
  return name === zone ? "" : name.slice(0, -(zone.length + 1));
}

/** As the program has them. */
const OF_STORAGE = { parent: "backup-storage", provider: "ovh", retainOnDelete: true } as const;

function storage({ name, backup, protectData }: Environment): readonly Adoptable[] {
  const place = backupBucket(name, backup);
  if (place === undefined || backup.bucket !== undefined) return [];
  const { project: serviceName, region: regionName } = backup;
  return [
    {
      ...{ ...OF_STORAGE, type: "ovh:CloudProject/storage:Storage", name: "backup-storage-bucket" },
      protect: protectData,
      async find(vendors) {
        const found = await vendors.bucket(place);
        if (found === undefined) return undefined;
        const { versioning, objectLock } = found;
        const set = { ...(versioning && { versioning }), ...(objectLock && { objectLock }) };
        const inputs = { serviceName, regionName, name: place.bucket, hideObjects: true, ...set };
        return { id: place.bucket, inputs };
      },
    },
    lifecycle({ serviceName, regionName, place }),
    ...(["writer", "reader"] as const).flatMap((role) =>
      storageUser({ serviceName, name: `backup-storage-${role}`, of: name }),
    ),
  ];
}

function lifecycle(of: {
  readonly serviceName: string;
  readonly regionName: string;
  readonly place: Bucket;
}): Adoptable {
  const { serviceName, regionName, place } = of;
  const containerName = place.bucket;
  return {
    type: "ovh:index/cloudProjectStorageObjectBucketLifecycleConfiguration:CloudProjectStorageObjectBucketLifecycleConfiguration",
    ...{ ...OF_STORAGE, name: "backup-storage-lifecycle" },
    async find(vendors) {
      const rules = await vendors.lifecycle(place);
      const id = `${serviceName}/${regionName}/${containerName}`;
      return rules && { id, inputs: { serviceName, regionName, containerName, rules } };
    },
  };
}

/** A user, its policy and its key. */
function storageUser(of: {
  readonly serviceName: string;
  readonly name: string;
  readonly of: string;
}): readonly Adoptable[] {
  const { serviceName, name } = of;
  const findWith =
    (find: (vendors: AtVendors, user: StorageUser) => Promise<Found | undefined>) =>
    async (vendors: AtVendors) => {
      const user = await vendors.user(`${name} ${of.of}`);
      return user && (await find(vendors, user));
    };
  return [
    {
      ...{ ...OF_STORAGE, type: "ovh:CloudProject/user:User", name },
      find: findWith((_vendors, { id, description }) => {
        const inputs = { serviceName, description, roleNames: ["objectstore_operator"] };
        return Promise.resolve({ id, inputs });
      }),
    },
    {
      ...{ ...OF_STORAGE, type: "ovh:CloudProject/s3Policy:S3Policy", name: `${name}-policy` },
      find: findWith(async (vendors, user) => {
        const policy = await vendors.policy(user);
        const id = `${serviceName}/${user.id}`;
        return policy === undefined ? undefined : { id, inputs: { serviceName, userId: user.id, policy } };
      }),
    },
    {
      ...{ ...OF_STORAGE, type: "ovh:CloudProject/s3Credential:S3Credential", name: `${name}-key` },
      find: findWith(async (vendors, user) => {
        const key = await vendors.key(user);
        if (key === undefined) return undefined;
        return {
          id: key.access,
          inputs: { serviceName, userId: user.id },
          outputs: { accessKeyId: key.access, internalUserId: user.id },
          secrets: { secretAccessKey: key.secret },
        };
      }),
    },
  ];
}
