/**
 * The resources of the provider `technicia`: a connection, resources on a host and resources at OVH.
 *
 * Bash given to a resource (`validate`, `onChange`, `observe`, `apply`, `remove`) runs as root with `set -euo pipefail`, in `/` and with
 * empty standard input. A failing command ends the script; write `|| true` where a failure is a valid answer.
 */
import * as pulumi from "@pulumi/pulumi";

import type { KeptWorkflow } from "./n8n/workflow.ts";

/** Where the host is, how to log in, and the keys of OVH's API. */
export interface ConnectionArgs {
  /** Name or address that sshd listens on. */
  readonly hostAddress?: pulumi.Input<string>;

  /** Port that sshd listens on, in digits. @default "22" */
  readonly hostPort?: pulumi.Input<string>;

  /** User to log in as: root, or one whose sudo asks for no password. @default "root" */
  readonly hostUser?: pulumi.Input<string>;

  /**
   * Private key on the operator's machine; `~` is the operator's home. A key with a passphrase is used through the ssh agent.
   *
   * @default every key that the ssh agent holds is tried
   */
  readonly hostPrivateKeyFile?: pulumi.Input<string>;

  /** The only accepted key of the host (`ssh-ed25519 AAAA…`). @default any key is accepted, with a warning */
  readonly hostKey?: pulumi.Input<string>;

  /** Identifies the installation of the host. A change recreates everything on the host. */
  readonly serverId?: pulumi.Input<string>;

  /** `ovh-eu`, `ovh-ca`, `ovh-us`, or the base URL of an API with https and without a trailing slash. */
  readonly ovhEndpoint?: pulumi.Input<string>;

  /** OVH application key, used with the secret and the consumer key. */
  readonly ovhApplicationKey?: pulumi.Input<string>;

  /** OVH application secret, with which requests are signed. */
  readonly ovhApplicationSecret?: pulumi.Input<string>;

  /** OVH consumer key, which determines the account and the allowed calls. */
  readonly ovhConsumerKey?: pulumi.Input<string>;

  /** OAuth2 service account, instead of the three keys. */
  readonly ovhClientId?: pulumi.Input<string>;

  /** Secret of the OAuth2 service account. */
  readonly ovhClientSecret?: pulumi.Input<string>;
}

/** One plugin process with at most one ssh connection to one host and one client of OVH. */
export class Connection extends pulumi.ProviderResource {
  constructor(name: string, args: ConnectionArgs, opts?: pulumi.ResourceOptions) {
    super("technicia", name, { ...args }, opts);
  }
}

/** The host whose key is read. */
export interface HostKeyArgs {
  /** Name or address that sshd listens on. */
  readonly address: pulumi.Input<string>;

  /** Port that sshd listens on. @default 22 */
  readonly port?: pulumi.Input<number>;

  /** Identifies the installation of the host. A change reads the key again. */
  readonly serverId: pulumi.Input<string>;

  /** Fingerprint of one of the host's keys (`SHA256:…`), which the first contact must show. @default the first key is trusted */
  readonly expected?: pulumi.Input<string | undefined>;
}

/**
 * The key of a host, read once and required afterwards.
 *
 * Creating waits up to ten minutes until sshd answers. When the host answers with another key later, `refresh` fails; only a replacement of
 * this resource accepts a new key. Deleting changes nothing.
 */
export class HostKey extends pulumi.CustomResource {
  /** Public key, as `ssh-ed25519 AAAA…`. */
  declare readonly hostKey: pulumi.Output<string>;

  /** Digest of the key as OpenSSH shows it, `SHA256:…`. */
  declare readonly fingerprint: pulumi.Output<string>;

  constructor(name: string, args: HostKeyArgs, opts?: pulumi.CustomResourceOptions) {
    super("technicia:host:HostKey", name, { ...args, hostKey: undefined, fingerprint: undefined }, opts);
  }
}

/** How a change that decides who can log in is made. */
export interface LoginGuard {
  /** Time within which the new connection must succeed. */
  readonly seconds: pulumi.Input<number>;

  /** Networks from which the change lets ssh in; a preview refuses them when the operator's address is in none. @default not compared */
  readonly admits?: pulumi.Input<readonly string[]>;
}

/** What a file on the host must be. */
export interface FileArgs {
  /** Absolute path. Missing folders above it are created (root, 0755). A change replaces the file. */
  readonly path: pulumi.Input<string>;

  /** The whole text. If it is secret, it stays so in the state, in previews and in errors. */
  readonly content: pulumi.Input<string>;

  /** User that owns it. @default "root" */
  readonly owner?: pulumi.Input<string>;

  /** Group that owns it. @default "root" */
  readonly group?: pulumi.Input<string>;

  /** Permissions in octal. @default "0644" */
  readonly mode?: pulumi.Input<string>;

  /** Bash that tests the new file at `"$FILE"`, next to its final place. If it fails, the old file stays. */
  readonly validate?: pulumi.Input<string>;

  /** Bash that runs once the file is in place. If it fails, the earlier file is restored, this runs again, and the update fails. */
  readonly onChange?: pulumi.Input<string>;

  /** For what decides who can log in: the host takes the change back unless a new connection succeeds. @default it stays in any case */
  readonly guard?: pulumi.Input<LoginGuard>;
}

/**
 * A file on the host that is replaced atomically.
 *
 * Deleting restores the earlier file, or removes the file when there was none, and then runs `onChange`. A failure of it is only a warning then,
 * because what it acts on may already be gone. An existing file with exactly the wanted content, owner and mode is removed on deletion.
 * Imported by its path.
 */
export class File extends pulumi.CustomResource {
  declare readonly path: pulumi.Output<string>;

  /** Digest of the content, in hexadecimal: what depends on the file can watch it. Secret when the content is. */
  declare readonly sha256: pulumi.Output<string>;

  constructor(name: string, args: FileArgs, opts?: pulumi.CustomResourceOptions) {
    super("technicia:host:File", name, { ...args, sha256: undefined }, opts);
  }
}

/** Which image Docker on the host must have. */
export interface ImageArgs {
  /** Name with tag or digest, as `docker pull` takes it. */
  readonly name: pulumi.Input<string>;

  /** Account at the image's registry, for a look from the machine that runs the preview; make it a secret. @default none */
  readonly login?: pulumi.Input<{
    readonly host: string;
    readonly username: string;
    readonly password: string;
  }>;

  /** Folder on the host with Docker's `config.json`, for the pull. @default root's own */
  readonly dockerConfig?: pulumi.Input<string>;
}

/**
 * An image pulled on the host before anything runs from it.
 *
 * The digest is read when the name changes and then kept, so pushing a tag again changes nothing. A name that the registry does not have fails
 * the preview. Deleting removes the image unless a container needs it. Imported by its name.
 */
export class Image extends pulumi.CustomResource {
  /** The name with its digest: `nginx:1.30.4-alpine@sha256:…`. */
  declare readonly reference: pulumi.Output<string>;

  constructor(name: string, args: ImageArgs, opts?: pulumi.CustomResourceOptions) {
    super("technicia:host:Image", name, { ...args, reference: undefined }, opts);
  }
}

/** Which packages the host must have. */
export interface PackagesArgs {
  /** Debian package names, without version. */
  readonly names: pulumi.Input<readonly pulumi.Input<string>[]>;

  /** Packages that only some releases have; installed where the sources know them. @default none */
  readonly namesIfKnown?: pulumi.Input<readonly pulumi.Input<string>[]>;
}

/**
 * Debian packages that must be installed, whatever their version.
 *
 * Recommended packages are not installed, no other package is removed, and configuration files on the host are kept. Before anything is
 * installed, the first boot and the daily upgrade may end. Deleting leaves the packages, because other programs
 * may depend on them. Imported by their names, separated by commas.
 */
export class Packages extends pulumi.CustomResource {
  /** Installed version of each. */
  declare readonly versions: pulumi.Output<Record<string, string>>;

  constructor(name: string, args: PackagesArgs, opts?: pulumi.CustomResourceOptions) {
    super("technicia:host:Packages", name, { ...args, versions: undefined }, opts);
  }
}

/** How a systemd unit must be. */
export interface UnitArgs {
  /** Full name, such as `nginx.service`. A change replaces the resource. */
  readonly unit: pulumi.Input<string>;

  /** Whether it starts at boot; a unit without an [Install] section cannot. */
  readonly enabled: pulumi.Input<boolean>;

  /** Whether it runs. A oneshot unit needs RemainAfterExit for this. */
  readonly active: pulumi.Input<boolean>;

  /** Whether nothing may start it, not even another unit or a person. @default false */
  readonly masked?: pulumi.Input<boolean>;

  /** Values that restart the unit when they change, such as the digest of its configuration. @default the unit is never restarted */
  readonly triggers?: pulumi.Input<readonly pulumi.Input<string>[]>;

  /** For what decides who can log in: the host takes the change back unless a new connection succeeds. @default it stays in any case */
  readonly guard?: pulumi.Input<LoginGuard>;
}

/**
 * A systemd unit that exists on the host.
 *
 * Deleting restores whether it started at boot and whether it ran. Imported by its name.
 */
export class Unit extends pulumi.CustomResource {
  /** What systemd made of the unit file, such as `loaded` or `masked`. */
  declare readonly loadState: pulumi.Output<string>;

  constructor(name: string, args: UnitArgs, opts?: pulumi.CustomResourceOptions) {
    super("technicia:host:Unit", name, { ...args, loadState: undefined }, opts);
  }
}

/** How to read a state of the host, what it must be, and how to set it. */
export interface StateArgs {
  /** Bash that prints the actual state and changes nothing. Empty output means that the state does not exist. */
  readonly observe: pulumi.Input<string>;

  /** What `observe` must print; white space at both ends is ignored. */
  readonly desired: pulumi.Input<string>;

  /**
   * Bash that sets the state. Runs when `observe` differs from `desired`, and when `secrets` change, which `observe` may be unable to see.
   * `"$OBSERVED"` and `"$DESIRED"` hold both, and `"$PREVIOUS_<name>"` holds the earlier value of each secret.
   */
  readonly apply: pulumi.Input<string>;

  /** Bash that removes the state on deletion. @default deleting leaves the state as it is */
  readonly remove?: pulumi.Input<string>;

  /** Shell variables of all three scripts. */
  readonly variables?: pulumi.Input<Record<string, pulumi.Input<string>>>;

  /** Shell variables of all three scripts whose values are secret; `observe` must not print them unless `desired` is secret. */
  readonly secrets?: pulumi.Input<Record<string, pulumi.Input<string>>>;

  /** Limit for each script. @default 120 */
  readonly timeoutSeconds?: pulumi.Input<number>;

  /** For what decides who can log in: the host takes the change back unless a new connection succeeds. @default it stays in any case */
  readonly guard?: pulumi.Input<LoginGuard>;
}

/**
 * A state of the host that no other resource covers, such as a loaded firewall table or an initialised swarm.
 *
 * After `apply`, `observe` runs again, and the update fails when it still prints something else. A State cannot be imported, because only the
 * program knows `observe`; creating it where the state already holds applies nothing.
 */
export class State extends pulumi.CustomResource {
  /** What `observe` printed last. Secret when `desired` is. */
  declare readonly observed: pulumi.Output<string>;

  /**
   * How often `apply` has run: another number says that it ran, also in an update that was killed later. Undefined for a State of before this
   * was counted.
   */
  declare readonly applied: pulumi.Output<number | undefined>;

  constructor(name: string, args: StateArgs, opts?: pulumi.CustomResourceOptions) {
    super("technicia:host:State", name, { ...args, observed: undefined, applied: undefined }, opts);
  }
}

/** Terms of an order. */
export interface VpsOrderArgs {
  /** Country whose catalogue and prices apply, for example `FR`. */
  readonly subsidiary: pulumi.Input<string>;

  /** Highest price accepted, in euros per month without tax. */
  readonly maxMonthlyPriceEur: pulumi.Input<number>;

  /** Name of a server that was ordered before and is gone: only with it another one is ordered. @default none */
  readonly again?: pulumi.Input<string>;
}

/** The server and its requirements. */
export interface VpsArgs {
  /** Existing server to adopt, as OVH names it (`vps-1a2b3c4d.vps.ovh.net`). @default a server is ordered under the terms of `order` */
  readonly serviceName?: pulumi.Input<string>;

  /** Terms of the order when there is no server yet. @default nothing is ordered */
  readonly order?: pulumi.Input<VpsOrderArgs>;

  /** Name shown in OVH's console. */
  readonly name: pulumi.Input<string>;

  /** Least number of virtual cores. */
  readonly vcores: pulumi.Input<number>;

  /** Least memory, in GiB. */
  readonly memoryGib: pulumi.Input<number>;

  /** OVH datacentre code, for example `GRA`. */
  readonly datacentre: pulumi.Input<string>;

  /** Operating system as OVH labels it, for example `Debian 12`. */
  readonly image: pulumi.Input<string>;

  /** Public key that is installed with the image. */
  readonly publicKey: pulumi.Input<string>;

  /** Whether deleting this resource ends the contract at its expiry. Otherwise the server stays and is renewed. */
  readonly deleteAtExpiry: pulumi.Input<boolean>;
}

/**
 * An OVH VPS, adopted by name or ordered once.
 *
 * This resource never reinstalls a server, and deleting it never ends a contract immediately.
 */
export class Vps extends pulumi.CustomResource {
  declare readonly serviceName: pulumi.Output<string>;
  declare readonly ipv4: pulumi.Output<string>;
  declare readonly ipv6: pulumi.Output<string>;
  /** Router of the IPv6 address, where OVH reports it. */
  declare readonly ipv6Gateway: pulumi.Output<string | undefined>;
  /** Commercial model. */
  declare readonly model: pulumi.Output<string>;
  declare readonly vcore: pulumi.Output<number>;
  declare readonly memoryMib: pulumi.Output<number>;
  declare readonly diskGib: pulumi.Output<number>;
  /** Zone, as OVH names it. */
  declare readonly zone: pulumi.Output<string>;
  declare readonly osImage: pulumi.Output<string>;
  /** State that OVH reports, such as `running`. */
  declare readonly state: pulumi.Output<string>;
  /** Order, plan of the catalogue and price without tax; absent for an adopted server. */
  declare readonly orderId: pulumi.Output<number | undefined>;
  declare readonly plan: pulumi.Output<string | undefined>;
  declare readonly monthlyPriceEur: pulumi.Output<number | undefined>;
  /** Changes whenever the disk is reinstalled. */
  declare readonly serverId: pulumi.Output<string>;

  constructor(name: string, args: VpsArgs, opts?: pulumi.CustomResourceOptions) {
    const outputs = {
      ipv4: undefined,
      ipv6: undefined,
      ipv6Gateway: undefined,
      model: undefined,
      vcore: undefined,
      memoryMib: undefined,
      diskGib: undefined,
      zone: undefined,
      osImage: undefined,
      state: undefined,
      orderId: undefined,
      plan: undefined,
      monthlyPriceEur: undefined,
      serverId: undefined,
    };
    super("technicia:ovh:Vps", name, { serviceName: undefined, ...args, ...outputs }, opts);
  }
}

/** One rule of the edge firewall. The first rule that matches decides. */
export interface Rule {
  /** Place in the list, 0 to 19. */
  readonly sequence: pulumi.Input<number>;

  /** What happens to a packet that matches. */
  readonly action: pulumi.Input<"permit" | "deny">;

  /** Protocol as OVH names it. */
  readonly protocol: pulumi.Input<"ah" | "esp" | "gre" | "icmp" | "ipv4" | "tcp" | "udp">;

  /** Destination port, for TCP and UDP. @default any port */
  readonly port?: pulumi.Input<number>;

  /** Source port, for TCP and UDP. @default any port */
  readonly sourcePort?: pulumi.Input<number>;

  /** Source network in CIDR notation. @default any source */
  readonly source?: pulumi.Input<string>;

  /** Restricts a TCP rule to answers of connections opened from inside. @default every packet */
  readonly tcpOption?: pulumi.Input<"established">;
}

/** What n8n stores of one credential. */
export interface N8nCredential {
  readonly name: string;
  readonly type: string;

  /** Each value in clear: give it as a secret. */
  readonly data: pulumi.Input<Readonly<Record<string, string | number | boolean>>>;
}

/** What n8n has to run, and how it is reached. */
export interface N8nContentArgs {
  /** Id → workflow. */
  readonly workflows: Readonly<Record<string, KeptWorkflow>>;

  /** Id → credential. n8n may have others besides. */
  readonly credentials: Readonly<Record<string, N8nCredential>>;

  /** Public host name, as browsers call the webhooks. */
  readonly domain: pulumi.Input<string>;

  /** n8n's owner, with whose password a key of the public API is made on the server. */
  readonly owner: {
    readonly email: pulumi.Input<string>;
    readonly password: pulumi.Input<string>;
  };

  /** How long such a key is valid, in days; it is replaced after half of that. */
  readonly keyDays: pulumi.Input<number>;

  /** How long a webhook may take to be registered. */
  readonly webhookSeconds: pulumi.Input<number>;

  /** n8n as the server reaches it. @default "http://127.0.0.1:5678" */
  readonly address?: pulumi.Input<string>;
}

/**
 * The published workflows of n8n, and the credentials that they use; written while it runs.
 *
 * A refresh reads what n8n has: an edited, unpublished or deleted workflow, other values of a credential, and a published workflow that is not
 * declared. An update repairs each, and unpublishes what is no longer declared. Deleting changes nothing in n8n.
 */
export class N8nContent extends pulumi.CustomResource {
  /** Id of each credential → `as declared`, `other values` or `not in n8n`. */
  declare readonly credentialStates: pulumi.Output<Readonly<Record<string, string>>>;

  constructor(name: string, args: N8nContentArgs, opts?: pulumi.CustomResourceOptions) {
    super("technicia:n8n:Content", name, { ...args, credentialStates: undefined }, opts);
  }
}

/** How the operator's way in is kept open. */
export interface EdgeGuard {
  /** Port that sshd listens on. */
  readonly sshPort: pulumi.Input<number>;

  /** Time within which sshd must answer. */
  readonly seconds: pulumi.Input<number>;

  /** Service that tells callers their own address, asked before the firewall is created; or `none`. */
  readonly addressService: pulumi.Input<string>;
}

/** Which packets OVH's network passes on to an address. */
export interface EdgeFirewallArgs {
  /** The protected IPv4 address. A change replaces the firewall. */
  readonly ip: pulumi.Input<string>;

  /** All rules; any other rule at OVH is removed. */
  readonly rules: pulumi.Input<readonly pulumi.Input<Rule>[]>;

  /** Puts the earlier rules back unless sshd answers a new connection after a change. @default a change stays in any case */
  readonly guard?: pulumi.Input<EdgeGuard>;
}

/** OVH's stateless firewall in front of one IPv4 address. */
export class EdgeFirewall extends pulumi.CustomResource {
  /** State that OVH reports. */
  declare readonly state: pulumi.Output<string>;

  constructor(name: string, args: EdgeFirewallArgs, opts?: pulumi.CustomResourceOptions) {
    super("technicia:ovh:EdgeFirewall", name, { ...args, state: undefined }, opts);
  }
}

/** The reverse name that an address is to have. */
export interface ReverseNameArgs {
  /** IPv4 address. A change replaces the resource. */
  readonly ip: pulumi.Input<string>;

  /** Host name with its final dot; it must point to the address. */
  readonly name: pulumi.Input<string>;
}

/** Finds out which reverse name OVH accepts now: the wanted one, or the one from before while OVH does not see that point here. */
export class ReverseName extends pulumi.CustomResource {
  declare readonly accepted: pulumi.Output<string>;

  constructor(name: string, args: ReverseNameArgs, opts?: pulumi.CustomResourceOptions) {
    super("technicia:ovh:ReverseName", name, { ...args, accepted: undefined }, opts);
  }
}
