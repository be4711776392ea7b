/** What keeps the objects of OVH's Object Storage: a real S3 server, which the double gives the buckets and users of the account. */
import { readFile, writeFile } from "node:fs/promises";

import {
  callStorage,
  StorageRefusal,
  type StorageCall,
  type StorageKey,
} from "../../../common/object-storage.ts";
import type { Bucket, StorageUser } from "../ovh/state.ts";
import type { DockerApi } from "./docker-api.ts";

export interface ObjectStore {
  make(bucket: Bucket): Promise<void>;

  /** False where it still has objects. */
  remove(bucket: Bucket): Promise<boolean>;

  /** Applies versions, lock and lifecycle. */
  change(bucket: Bucket): Promise<void>;

  /** Makes exactly these users known, with their keys and policies. */
  grant(users: readonly StorageUser[]): Promise<void>;
}

/** Accepts everything and keeps nothing. */
export class NoStore implements ObjectStore {
  make(): Promise<void> {
    return Promise.resolve();
  }
  remove(): Promise<boolean> {
    return Promise.resolve(true);
  }
  change(): Promise<void> {
    return Promise.resolve();
  }
  grant(): Promise<void> {
    return Promise.resolve();
  }
}

interface S3StoreOptions extends StorageKey {
  readonly docker: Pick<DockerApi, "call">;
  readonly container: string;
  readonly address: string;
  readonly identities: string;
}

const REGION = "us-east-1";
const LIMIT_MS = 30_000;

/** The name of the administrator, whom no user of the account can be called. */
const ADMINISTRATOR = "administrator of the store";

export class S3Store implements ObjectStore {
  readonly #options: S3StoreOptions;

  /** The last change of the file of identities: users are made at the same time, and one at a time may write it. */
  #granted: Promise<void> = Promise.resolve();

  constructor(options: S3StoreOptions) {
    this.#options = options;
  }

  async make(bucket: Bucket): Promise<void> {
    const isLocked = bucket.objectLock?.status === "enabled";
    await this.#call(bucket, {
      method: "PUT",
      headers: isLocked ? { "x-amz-bucket-object-lock-enabled": "true" } : {},
    });
    await this.change(bucket);
  }

  async remove(bucket: Bucket): Promise<boolean> {
    try {
      await this.#call(bucket, { method: "DELETE" });
      return true;
    } catch (error) {
      if (error instanceof StorageRefusal && error.status === 409) return false;
      throw error;
    }
  }

  async change(bucket: Bucket): Promise<void> {
    const { versioning, objectLock, lifecycle } = bucket;
    if (versioning?.status === "enabled") {
      await this.#call(bucket, {
        method: "PUT",
        query: { versioning: "" },
        body: element("VersioningConfiguration", "<Status>Enabled</Status>"),
      });
    }
    if (objectLock?.rule) {
      const rule = `<Rule><DefaultRetention><Mode>${objectLock.rule.mode.toUpperCase()}</Mode><Days>${daysOf(objectLock.rule.period)}</Days></DefaultRetention></Rule>`;
      await this.#call(bucket, {
        method: "PUT",
        query: { "object-lock": "" },
        body: element("ObjectLockConfiguration", `<ObjectLockEnabled>Enabled</ObjectLockEnabled>${rule}`),
      });
    }
    await (lifecycle === undefined
      ? this.#call(bucket, { method: "DELETE", query: { lifecycle: "" } })
      : this.#call(bucket, {
          method: "PUT",
          query: { lifecycle: "" },
          body: element("LifecycleConfiguration", lifecycle.map(renderRule).join("")),
        }));
  }

  grant(users: readonly StorageUser[]): Promise<void> {
    const granted = this.#granted.then(() => this.#grant(users));
    this.#granted = granted.catch(() => undefined);
    return granted;
  }

  async #grant(users: readonly StorageUser[]): Promise<void> {
    const { docker, container, identities, accessKeyId, secretAccessKey } = this.#options;
    const limited = users.filter(({ keys }) => keys.length > 0);
    const names = limited.map(({ username }) => username);
    // The server goes on to know an identity that is no longer in the file; one without keys can do nothing.
    const gone = (await this.#known()).filter((name) => name !== ADMINISTRATOR && !names.includes(name));
    const content = renderIdentities({ accessKeyId, secretAccessKey }, limited, gone);
    await writeFile(identities, content, { mode: 0o600 });
    // It reads the file again.
    await docker.call(`POST /containers/${container}/kill?signal=HUP`);
  }

  /** Names in the file. */
  async #known(): Promise<string[]> {
    const text = await readFile(this.#options.identities, "utf8").catch(() => "{}");
    const { identities = [] } = JSON.parse(text) as { identities?: { name: string }[] };
    return identities.map(({ name }) => name);
  }

  async #call({ name }: Bucket, call: StorageCall): Promise<void> {
    const { address, accessKeyId, secretAccessKey } = this.#options;
    const options = { address, region: REGION, bucket: name, key: { accessKeyId, secretAccessKey }, fetch };
    try {
      await callStorage(call, { ...options, signal: AbortSignal.timeout(LIMIT_MS) });
    } catch (error) {
      const isThere = error instanceof StorageRefusal && error.code.startsWith("BucketAlready");
      if (!isThere) throw error;
    }
  }
}

/** The file from which the server knows who may do what. `gone`: names that it has known, and whose keys are deleted. */
export function renderIdentities(
  { accessKeyId, secretAccessKey }: StorageKey,
  users: readonly StorageUser[],
  gone: readonly string[] = [],
): string {
  return JSON.stringify({
    identities: [
      {
        name: ADMINISTRATOR,
        credentials: [{ accessKey: accessKeyId, secretKey: secretAccessKey }],
        actions: ["Admin"],
      },
      ...gone.map((name) => ({ name, credentials: [], actions: [] })),
      ...users.map(({ username, keys }) => ({
        ...{ name: username, actions: [], policyNames: [username] },
        credentials: keys.map(({ access, secret }) => ({ accessKey: access, secretKey: secret })),
      })),
    ],
    policies: users.map(({ username, policy = '{"Statement":[]}' }) => ({
      name: username,
      content: JSON.stringify({ Version: "2012-10-17", ...(JSON.parse(policy) as object) }),
    })),
  });
}

function element(name: string, content: string): string {
  return `<${name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${content}</${name}>`;
}

/** Of `P30D`. */
function daysOf(period: string): number {
  const days = /^P(\d+)D$/.exec(period)?.[1];
  if (days === undefined) throw new Error(`expected a period such as P30D, got ${period}`);
  return Number(days);
}

interface LifecycleRule {
  readonly id?: string;
  readonly status: "enabled" | "disabled";
  readonly noncurrentVersionExpiration?: { readonly noncurrentDays?: number };
  readonly expiration?: { readonly expiredObjectDeleteMarker?: boolean };
  readonly abortIncompleteMultipartUpload?: { readonly daysAfterInitiation?: number };
}

function renderRule(given: unknown): string {
  const {
    id = "",
    status,
    noncurrentVersionExpiration: old,
    expiration,
    abortIncompleteMultipartUpload: uploads,
  } = given as LifecycleRule;
  return [
    `<Rule><ID>${id}</ID><Filter><Prefix></Prefix></Filter><Status>${status === "enabled" ? "Enabled" : "Disabled"}</Status>`,
    old?.noncurrentDays === undefined
      ? ""
      : `<NoncurrentVersionExpiration><NoncurrentDays>${old.noncurrentDays}</NoncurrentDays></NoncurrentVersionExpiration>`,
    expiration?.expiredObjectDeleteMarker === true
      ? "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
      : "",
    uploads?.daysAfterInitiation === undefined
      ? ""
      : `<AbortIncompleteMultipartUpload><DaysAfterInitiation>${uploads.daysAfterInitiation}</DaysAfterInitiation></AbortIncompleteMultipartUpload>`,
    "</Rule>",
  ].join("");
}
