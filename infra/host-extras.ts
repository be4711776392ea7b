import * as pulumi from "@pulumi/pulumi";

import { NOTHING_EXTRA } from "../common/nothing-extra.ts";
import { script } from "../common/script.ts";
import * as technicia from "../provider/resources.ts";
import { sshd, sysctl } from "./host-files.ts";

/** Everything that may be on a server. */
export interface HostExtrasArgs {
  readonly host: technicia.Connection;

  readonly ssh: {
    readonly user: string;
    readonly port: number;
    readonly admins: readonly { readonly name: string }[];
  };

  /** Files of ours where systemd, cron and the kernel look for theirs. */
  readonly files: readonly string[];

  /** Names of plain containers. */
  readonly containers: readonly string[];

  /**
   * Names of Swarm services that are declared, or that another setting would declare: one that is about to be deleted is the engine's to
   * delete.
   */
  readonly services: readonly string[];

  readonly networks: readonly string[];
}

/**
 * What should not be there: each set is compared as a whole, so that an extra key, listener, rule, timer or container is drift like any
 * other, and the next update takes it away.
 *
 * The first comparison takes nothing away; it fails and lists what is there, because a server that was in use is its owner's to clear.
 */
export class HostExtras extends pulumi.ComponentResource {
  constructor(name: string, args: HostExtrasArgs, opts: pulumi.ComponentResourceOptions) {
    super("technicia:infra:HostExtras", name, {}, opts);
    const { ssh } = args;
    const admins = ssh.admins.map((admin) => admin.name);
    const sets: Record<string, Record<string, string>> = {
      access: {
        LOGIN: ssh.user,
        ADMINS: admins.join(" "),
        SSHD: sshdInForce(ssh.port, [ssh.user, ...admins]),
      },
      files: { FILES: args.files.join("\n"), SYSCTL: withoutComments(sysctl()) },
      ports: { SSH_PORT: String(ssh.port) },
      rules: {},
      containers: {
        CONTAINERS: args.containers.join(" "),
        SERVICES: args.services.join(" "),
        NETWORKS: args.networks.join(" "),
      },
    };
    for (const [set, variables] of Object.entries(sets)) {
      const scripts = `${readScript("set")}\n${readScript(set)}`;
      new technicia.State(
        `${name}-${set}`,
        {
          observe: `${scripts}\nobserve`,
          desired: NOTHING_EXTRA,
          apply: `${scripts}\napply`,
          remove: `rm -f /var/lib/technicia/compared/${set}`,
          variables: { SET: set, ...variables },
          // A package may have to be fetched again, and a service's tasks have to end.
          timeoutSeconds: 300,
        },
        { parent: this, provider: args.host },
      );
    }
    this.registerOutputs({});
  }
}

function readScript(name: string): string {
  return script(new URL(`scripts/extra-${name}.sh`, import.meta.url));
}

/** Where sshd looks for keys, which our file leaves as OpenSSH has it. */
const SSHD_DEFAULTS = [
  "authorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2",
  "authorizedkeyscommand none",
  "trustedusercakeys none",
  "permitemptypasswords no",
];

/** Our settings as `sshd -T` prints them. */
function sshdInForce(port: number, users: readonly string[]): string {
  const own = withoutComments(sshd(port, users))
    .split("\n")
    .map((line) => line.replace(/^\S+/, (key) => key.toLowerCase()));
  return [...own, ...SSHD_DEFAULTS].join("\n");
}

function withoutComments(text: string): string {
  return text
    .trim()
    .split("\n")
    .filter((line) => !line.startsWith("#"))
    .join("\n");
}
