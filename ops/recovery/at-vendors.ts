/** What the vendors have of an environment whose state is lost. */
import type { Bucket } from "../../common/object-storage.ts";
import { UserError } from "../../common/user-error.ts";
import { isWanted, openDnsZone, type DnsRecord, type DnsZone } from "../../provider/dns/records.ts";
import { credentialsOf, OvhClient } from "../../provider/ovh/client.ts";
import { ifThere } from "../../provider/ovh/errors.ts";
import type { Environment } from "../../stacks/environment.ts";
import type { Settings } from "../engine/settings.ts";

interface OvhUser {
  readonly id: number;
  readonly description: string;
}

/** What OVH says of a bucket; null where it says nothing. */
interface OvhBucket {
  readonly versioning?: object | null;
  readonly objectLock?: object | null;
}

export interface StorageUser {
  readonly id: string;
  readonly description: string;
}

export interface UserKey {
  readonly access: string;
  readonly secret: string;
}

type Asked = Settings & { readonly fetch: typeof fetch; readonly signal: AbortSignal };

export class AtVendors {
  readonly #environment: Environment;
  readonly #client: OvhClient;
  readonly #zone: DnsZone;
  #users: Promise<readonly OvhUser[]> | undefined;

  constructor({ environment, secrets, fetch, signal }: Asked) {
    const credentials = credentialsOf(secrets);
    this.#environment = environment;
    this.#client = new OvhClient({ endpoint: environment.ovh.endpoint, credentials, fetch }).withSignal(
      signal,
    );
    this.#zone = openDnsZone({ environment, secrets, fetch });
  }

  /** Name of the server that has the name which the program gave it; undefined when there is none. */
  async server(displayName: string): Promise<string | undefined> {
    const found: string[] = [];
    for (const name of await this.#client.get<readonly string[]>("/vps")) {
      const server = await ifThere(
        this.#client.get<{ readonly displayName: string | null }>(`/vps/${encodeURIComponent(name)}`),
      );
      if (server?.displayName === displayName) found.push(name);
    }
    return only(found, {
      subject: `the servers of this OVH account with the name ${displayName}`,
      remedy: `say which one it is with pulumi config set --path technicia:server.serviceName <name> --stack ${this.#environment.name}`,
    });
  }

  bucket({ bucket }: Bucket): Promise<OvhBucket | undefined> {
    return ifThere(this.#client.get<OvhBucket>(this.#bucketPath(bucket)));
  }

  async lifecycle({ bucket }: Bucket): Promise<readonly object[] | undefined> {
    const path = `${this.#bucketPath(bucket)}/lifecycle`;
    return (await ifThere(this.#client.get<{ readonly rules: readonly object[] }>(path)))?.rules;
  }

  /** The user of this description; undefined when there is none. */
  async user(description: string): Promise<StorageUser | undefined> {
    this.#users ??= this.#client.get<readonly OvhUser[]>(this.#usersPath);
    const found = (await this.#users).filter((user) => user.description === description);
    const id = only(
      found.map((user) => String(user.id)),
      {
        subject: `the users of the Public Cloud project with the description "${description}"`,
        remedy: "delete those that nothing uses in OVHcloud's console (Public Cloud, Object Storage, users)",
      },
    );
    return id === undefined ? undefined : { id, description };
  }

  async policy({ id }: StorageUser): Promise<string | undefined> {
    const path = `${this.#usersPath}/${id}/policy`;
    return (await ifThere(this.#client.get<{ readonly policy: string }>(path)))?.policy;
  }

  /** OVH gives a secret again to whoever may read it; of several keys the first one is as good as any. */
  async key({ id }: StorageUser): Promise<UserKey | undefined> {
    const path = `${this.#usersPath}/${id}/s3Credentials`;
    const [key] = await this.#client.get<readonly { readonly access: string }[]>(path);
    if (key === undefined) return undefined;
    const { secret } = await this.#client.post<{ readonly secret: string }>(
      `${path}/${encodeURIComponent(key.access)}/secret`,
    );
    return { access: key.access, secret };
  }

  /** The address record of a name, whatever it leads to. */
  async address(name: string): Promise<DnsRecord | undefined> {
    const found = (await this.#zone.list(name)).filter(({ type }) => type === "A");
    if (found.length < 2) return found[0];
    throw new UserError(
      `dns: expected one A record of ${name}, got ${found.map(({ content }) => content).join(" and ")}; delete those that do not belong to ${this.#environment.name}`,
    );
  }

  /** The CAA record that lets the authority issue certificates for the name. */
  async authority(name: string, issuer: string): Promise<DnsRecord | undefined> {
    const wanted = { name, type: "CAA", content: `0 issue "${issuer}"` };
    return (await this.#zone.list(name)).find((record) => isWanted(record, wanted));
  }

  get #usersPath(): string {
    return `/cloud/project/${this.#environment.backup.project}/user`;
  }

  #bucketPath(name: string): string {
    const { project, region } = this.#environment.backup;
    return `/cloud/project/${project}/region/${region}/storage/${name}`;
  }
}

function only(
  found: readonly string[],
  { subject, remedy }: { readonly subject: string; readonly remedy: string },
): string | undefined {
  if (found.length < 2) return found[0];
  throw new UserError(`${subject}: expected one, got ${found.join(" and ")}; ${remedy}`);
}
