import * as pulumi from "@pulumi/pulumi";

import { NOTHING_EXTRA } from "../common/nothing-extra.ts";
import { script } from "../common/script.ts";
import * as technicia from "../provider/resources.ts";
import { sshd, sysctl } from "./host-files.ts";
import { LOGIN_GUARD } from "./login-guard.ts";

/** What may be on a server; everything else is an extra. */
export interface HostExtrasArgs {
  readonly host: technicia.Connection;

  readonly ssh: {
    readonly user: string;
    readonly ports: readonly number[];
    readonly admins: readonly { readonly name: string }[];
    /** Networks that operators come from. */
    readonly adminCidrs: { readonly v4: readonly string[] };
  };

  /** Our files, and those that the settings leave to their owner; a name that ends in a slash is everything below it. */
  readonly files: readonly string[];

  /** Names of plain containers. */
  readonly containers: readonly string[];

  /**
   * Names of the Swarm services that any settings declare. The engine deletes one that is switched off, so it is not an extra.
   */
  readonly services: readonly string[];

  readonly networks: readonly string[];
  readonly volumes: readonly string[];

  /** UDP port of the tunnel to other servers. @default - there is one server */
  readonly tunnelPort?: number;
}

/**
 * What nobody declared. Each set is compared as a whole: an extra key, listener, rule, timer or container is drift, and the next update
 * removes it. What only a person can judge, such as a changed file of a package, stays, and the update says so.
 *
 * The first comparison removes nothing. It fails and lists what exists, because only the owner of a server that was in use may clear it.
 */
export class HostExtras extends pulumi.ComponentResource {
  constructor(name: string, args: HostExtrasArgs, opts: pulumi.ComponentResourceOptions) {
    super("technicia:infra:HostExtras", name, {}, opts);
    const { ssh } = args;
    const admins = ssh.admins.map((admin) => admin.name);
    const files = args.files.join("\n");
    const sets: Record<string, Record<string, string>> = {
      access: {
        LOGIN: ssh.user,
        ADMINS: admins.join(" "),
        // The first address of such a network: a block of sshd's settings may be for them alone.
        INSIDE: ssh.adminCidrs.v4[0]?.replace(/\/.*/, "") ?? "127.0.0.1",
        SSHD: sshdInForce(ssh.ports, [ssh.user, ...admins]),
      },
      files: { FILES: files, SYSCTL: withoutComments(sysctl()) },
      system: { FILES: files, LOGIN: ssh.user, ADMINS: admins.join(" ") },
      ports: {
        SSH_PORT: ssh.ports.join(" "),
        ...(args.tunnelPort === undefined ? {} : { TUNNEL_PORT: String(args.tunnelPort) }),
      },
      rules: {},
      containers: {
        CONTAINERS: args.containers.join(" "),
        SERVICES: args.services.join(" "),
        NETWORKS: args.networks.join(" "),
      },
      objects: { VOLUMES: args.volumes.join(" ") },
    };
    for (const [set, variables] of Object.entries(sets)) {
      const ofTunnel = set === "ports" && args.tunnelPort !== undefined ? ["extra-ports-tunnel"] : [];
      const files = [...(SHARED[set] ?? ["extra-set"]), `extra-${set}`, ...ofTunnel];
      const scripts = files.map(readScript).join("\n");
      new technicia.State(
        `${name}-${set}`,
        {
          observe: `${scripts}\nobserve`,
          desired: NOTHING_EXTRA,
          apply: `${scripts}\napply`,
          remove: `rm -f /var/lib/technicia/compared/${set}`,
          variables: { SET: set, ...variables },
          // Removing an extra may reinstall a package, or wait for a service's tasks to end.
          timeoutSeconds: 300,
          ...(GUARDED.has(set) ? { guard: LOGIN_GUARD } : {}),
        },
        { parent: this, provider: args.host },
      );
    }
    this.registerOutputs({});
  }
}

/** Scripts that a set shares with others, where that is more than the common one. */
const SHARED: Readonly<Record<string, readonly string[]>> = {
  access: ["extra-set", "delivery"],
  files: ["extra-set", "delivery", "origin"],
  system: ["extra-set", "delivery", "origin", "generated"],
};

function readScript(name: string): string {
  return script(new URL(`scripts/${name}.sh`, import.meta.url));
}

/** Sets whose repair may end a login: accounts, keys, sudo and sshd; rules of the firewall. */
const GUARDED = new Set(["access", "rules"]);

/** OpenSSH's defaults for where sshd finds keys; our file does not set them. */
const SSHD_DEFAULTS = [
  "authorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2",
  "authorizedkeyscommand none",
  "trustedusercakeys none",
  "permitemptypasswords no",
];

/** Our settings of sshd as `sshd -T` prints them. */
function sshdInForce(ports: readonly number[], users: readonly string[]): string {
  const own = withoutComments(sshd(ports, users))
    .split("\n")
    .filter((line) => !line.startsWith("Port "))
    .map((line) => line.replace(/^\S+/, (key) => key.toLowerCase()));
  // The script joins the values of a key that is there several times.
  return [`port ${ports.join(" ")}`, ...own, ...SSHD_DEFAULTS].join("\n");
}

function withoutComments(text: string): string {
  return text
    .trim()
    .split("\n")
    .filter((line) => !line.startsWith("#"))
    .join("\n");
}
