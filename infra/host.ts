import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

import { script, scriptParts } from "../common/script.ts";
import * as technicia from "../provider/resources.ts";
import {
  createDockerConnection,
  createDockerGroup,
  createDockerRules,
  createDockerSource,
  createSwarm,
} from "./host-docker.ts";
import { createExporterOverride, JOURNAL_LIMITS } from "./host-monitoring.ts";
import { HostFirewall } from "./host-firewall.ts";
import * as render from "./host-files.ts";
import { LOGIN_GUARD, sshPorts } from "./login-guard.ts";
import { programsOf } from "./programs.ts";
import { createSwarmNode } from "./swarm-node.ts";
import { rulesOf, Wireguard, type WireguardArgs } from "./wireguard.ts";

const SSHD_PENALTIES = script(new URL("scripts/sshd-penalties.sh", import.meta.url));
const IPV6 = script(new URL("scripts/ipv6.sh", import.meta.url));
const SYSCTL_PATH = "/etc/sysctl.d/60-technicia.conf";

/** What an environment decides about the system on its server. */
export interface HostArgs {
  /** Address of the server. */
  readonly address: pulumi.Input<string>;

  /** Its IPv6 address as OVH assigned it ("" where it assigned none), and the gateway to it; undefined leaves IPv6 as the image has it. */
  readonly ipv6?: {
    readonly address: pulumi.Input<string>;
    readonly gateway: pulumi.Input<string | undefined>;
  };

  /** Changes whenever the disk is reinstalled: everything on the host is then created again. */
  readonly serverId: pulumi.Input<string>;

  /** Connection that reads the host key. */
  readonly cloud: technicia.Connection;

  /** OVH's firewall before the server. Packages are installed only after it is up, and never while its rules change. */
  readonly edgeFirewall: pulumi.Resource;

  readonly ssh: {
    readonly user: string;
    readonly port: number;
    /** Port that `port` is about to become; sshd listens on both. */
    readonly nextPort?: number | undefined;
    /** Path of the operator's private key; `~` is the operator's home. */
    readonly privateKeyFile: string;
    /** Fingerprint of the key that the server must show at the first contact; undefined trusts the first one. */
    readonly hostKey?: string | undefined;
    /** Public half of the key that the login user accepts. */
    readonly publicKey: string;
    /** Another one that it accepts, while the operator changes from one to the other. */
    readonly otherPublicKey?: string | undefined;
    readonly adminCidrs: { readonly v4: readonly string[]; readonly v6: readonly string[] };
    readonly admins: readonly { readonly name: string; readonly keys: readonly string[] }[];
  };

  /** Where Docker comes from. */
  readonly dockerSource: render.DockerSource;

  /** Size of the swap file, in GiB; 0 leaves swap as the OS image has it. */
  readonly swapGib: number;

  readonly timeZone: string;

  /** Whether the host is measured, and its journal sent to the log store. @default false */
  readonly isMonitored?: boolean;

  /** Whether the program speaks to its Docker; the Swarm is spoken to through one server. @default true */
  readonly hasDockerConnection?: boolean;

  /** Its end of the tunnel to other servers, in whose Swarm it is to be. @default - a Swarm of its own */
  readonly tunnel?: Omit<WireguardArgs, "host">;
}

/** The system on the server: hardened, firewalled, with Docker as a Swarm of one node. */
export class Host extends pulumi.ComponentResource {
  /** Provider of everything that is a file, a package, a unit or a state on this server. */
  readonly connection: technicia.Connection;

  /** Provider of what Docker runs on this server; undefined where nobody asks for it. */
  readonly docker: docker.Provider | undefined;

  readonly hostKey: technicia.HostKey;
  readonly packages: technicia.Packages;
  readonly firewall: HostFirewall;

  /** Docker's engine runs, and has its rules. Restoring them restarts it, so nothing may be pulled before. */
  readonly engine: technicia.State;

  /** The last step of an only server; it waits for all others. The Swarm of several is begun when all are there. */
  readonly swarm: technicia.State | undefined;

  readonly wireguard: Wireguard | undefined;

  /** What the Swarm waits for. */
  readonly ready: readonly pulumi.Resource[];

  constructor(name: string, args: HostArgs, opts?: pulumi.ComponentResourceOptions) {
    super("technicia:infra:Host", name, {}, opts);

    this.hostKey = new technicia.HostKey(
      `${name}-key`,
      { address: args.address, port: args.ssh.port, serverId: args.serverId, expected: args.ssh.hostKey },
      { parent: this, provider: args.cloud },
    );
    this.connection = createConnection(name, { ...args, hostKey: this.hostKey }, { parent: this });
    const onHost = { parent: this, provider: this.connection };
    createIpv6(name, args, { ...onHost, dependsOn: [args.edgeFirewall] });
    const sshd = createAccess(name, args.ssh, onHost);
    createPenalties(name, args.ssh, { ...onHost, dependsOn: [sshd] });
    const settings = createSystemSettings(name, args, onHost);
    const beforePackages = createDockerSource(name, args.dockerSource, {
      ...onHost,
      dependsOn: [args.edgeFirewall],
    });
    this.packages = new technicia.Packages(
      `${name}-packages`,
      {
        names: render.packageNames(args.dockerSource, args),
        namesIfKnown: render.packageNamesIfKnown(args),
      },
      {
        ...onHost,
        dependsOn: [
          ...beforePackages,
          ...(args.isMonitored === true ? [createExporterOverride(name, onHost)] : []),
        ],
      },
    );
    const afterPackages = { ...onHost, dependsOn: [this.packages] };
    createUpgrades(name, afterPackages);
    const timeZone = createTimeZone(name, args, afterPackages);
    this.firewall = new HostFirewall(
      `${name}-firewall`,
      {
        host: this.connection,
        sshPorts: sshPorts(args.ssh),
        adminCidrs: args.ssh.adminCidrs,
        tunnel: args.tunnel && rulesOf(args.tunnel),
      },
      { parent: this, dependsOn: [this.packages] },
    );
    this.wireguard =
      args.tunnel &&
      new Wireguard(
        `${name}-wireguard`,
        { ...args.tunnel, host: this.connection },
        { parent: this, dependsOn: [this.packages, this.firewall.loaded] },
      );
    const engine = new technicia.Unit(
      `${name}-docker`,
      { unit: "docker.service", enabled: true, active: true },
      { ...onHost, dependsOn: [this.packages, this.firewall.loaded] },
    );
    const group = createDockerGroup(name, args.ssh.user, afterPackages);
    this.engine = createDockerRules(name, { ...onHost, dependsOn: [engine] });
    this.ready = [
      this.engine,
      group,
      sshd,
      timeZone,
      ...settings,
      ...(this.wireguard ? [this.wireguard.up] : []),
    ];
    this.swarm = args.tunnel ? undefined : createSwarm(name, { ...onHost, dependsOn: [...this.ready] });
    const usable = this.swarm
      ? [createSwarmNode(`${name}-node`, { ...onHost, dependsOn: [this.swarm] })]
      : [...this.ready];
    const keyed = { ...args, hostKey: this.hostKey };
    const afterUsable = { parent: this, dependsOn: usable };
    this.docker =
      args.hasDockerConnection === false ? undefined : createDockerConnection(name, keyed, afterUsable);
    this.registerOutputs({ hostKey: this.hostKey.fingerprint });
  }
}

type WithHostKey = HostArgs & { readonly hostKey: technicia.HostKey };

function createConnection(
  name: string,
  { address, serverId, ssh, hostKey }: WithHostKey,
  opts: pulumi.ResourceOptions,
): technicia.Connection {
  return new technicia.Connection(
    `${name}-connection`,
    {
      hostAddress: address,
      hostPort: String(ssh.port),
      hostUser: ssh.user,
      hostPrivateKeyFile: ssh.privateKeyFile,
      hostKey: hostKey.hostKey,
      serverId,
    },
    opts,
  );
}

function createIpv6(name: string, { ipv6 }: HostArgs, opts: pulumi.CustomResourceOptions): void {
  if (ipv6 === undefined) return;
  new technicia.State(
    `${name}-ipv6`,
    {
      observe: `${IPV6}\nobserve`,
      desired: "configured",
      apply: `${IPV6}\napply`,
      remove: `${IPV6}\nremove`,
      variables: {
        ADDRESS: ipv6.address,
        GATEWAY: pulumi.output(ipv6.gateway).apply((gateway) => gateway ?? ""),
      },
    },
    opts,
  );
}

/** sshd's settings; they wait for the keys of everybody that they admit. */
function createAccess(
  name: string,
  ssh: HostArgs["ssh"],
  onHost: pulumi.CustomResourceOptions,
): pulumi.Resource {
  const login = createKeys(`${name}-login`, { user: ssh.user, keys: loginKeys(ssh) }, onHost);
  const people = ssh.admins.flatMap((admin) =>
    createAdministrator(`${name}-admin-${admin.name}`, admin, onHost),
  );
  return new technicia.File(
    `${name}-sshd`,
    {
      // The first value wins, and 50-cloud-init.conf may allow passwords: this file is read before it.
      path: "/etc/ssh/sshd_config.d/10-technicia.conf",
      content: render.sshd(sshPorts(ssh), [ssh.user, ...ssh.admins.map((admin) => admin.name)]),
      validate: 'sshd -t -f "$FILE"',
      onChange: render.RELOAD_SSHD,
      guard: LOGIN_GUARD,
    },
    { ...onHost, dependsOn: [login, ...people] },
  );
}

/** In an order that a change from one to the other keeps: then the file stays, too. */
function loginKeys({ publicKey, otherPublicKey }: HostArgs["ssh"]): string[] {
  return otherPublicKey === undefined ? [publicKey] : [publicKey, otherPublicKey].sort();
}

/** Its own file, because an sshd that does not know the keyword would refuse every setting beside it. */
function createPenalties(
  name: string,
  { adminCidrs }: HostArgs["ssh"],
  opts: pulumi.CustomResourceOptions,
): technicia.State {
  return new technicia.State(
    `${name}-sshd-penalties`,
    {
      observe: `${SSHD_PENALTIES}\nobserve`,
      desired: "administrators are spared",
      apply: `${SSHD_PENALTIES}\napply`,
      remove: `${SSHD_PENALTIES}\nremove`,
      variables: { NETWORKS: [...adminCidrs.v4, ...adminCidrs.v6].join(",") },
      guard: LOGIN_GUARD,
    },
    opts,
  );
}

function createAdministrator(
  name: string,
  admin: HostArgs["ssh"]["admins"][number],
  onHost: pulumi.CustomResourceOptions,
): pulumi.Resource[] {
  const account = new technicia.State(
    name,
    {
      ...programsOf("administrator.sh"),
      desired: `${admin.name} administers`,
      variables: { LOGIN: admin.name },
    },
    onHost,
  );
  const sudo = new technicia.File(
    `${name}-sudo`,
    {
      path: `/etc/sudoers.d/technicia-${admin.name}`,
      content: `${admin.name} ALL=(ALL) NOPASSWD:ALL\n`,
      mode: "0440",
      validate: 'visudo --check --quiet --file="$FILE"',
      guard: LOGIN_GUARD,
    },
    onHost,
  );
  const keys = createKeys(name, { user: admin.name, keys: admin.keys }, { ...onHost, dependsOn: [account] });
  return [sudo, keys];
}

function createKeys(
  name: string,
  { user, keys }: { readonly user: string; readonly keys: readonly string[] },
  opts: pulumi.CustomResourceOptions,
): technicia.File {
  return new technicia.File(
    `${name}-keys`,
    {
      path: `/home/${user}/.ssh/authorized_keys`,
      content: keys.map((key) => `${key}\n`).join(""),
      owner: user,
      group: user,
      mode: "0600",
      validate: 'ssh-keygen -l -f "$FILE" >/dev/null',
      guard: LOGIN_GUARD,
    },
    opts,
  );
}

function createSystemSettings(
  name: string,
  args: HostArgs,
  onHost: pulumi.CustomResourceOptions,
): pulumi.Resource[] {
  const sysctl = new technicia.File(
    `${name}-sysctl`,
    {
      path: SYSCTL_PATH,
      content: render.sysctl(),
      // Once a destroy has removed the file, there is nothing to load.
      onChange: `test ! -e ${SYSCTL_PATH} || sysctl --quiet --load ${SYSCTL_PATH}`,
    },
    onHost,
  );
  const journal = new technicia.File(
    `${name}-journal`,
    {
      path: "/etc/systemd/journald.conf.d/10-technicia.conf",
      content: `[Journal]\nSystemMaxUse=500M\nMaxRetentionSec=1month\n${args.isMonitored === true ? JOURNAL_LIMITS : ""}`,
      onChange: "systemctl restart systemd-journald.service",
    },
    onHost,
  );
  const clock = new technicia.State(
    `${name}-clock`,
    {
      ...scriptParts(new URL("scripts/clock.sh", import.meta.url), ["observe", "apply"]),
      desired: "kept in time",
    },
    onHost,
  );
  return [sysctl, journal, clock, ...createSwap(name, args, onHost)];
}

/** After the packages, because some of the names come with one of them. */
function createTimeZone(
  name: string,
  { timeZone }: HostArgs,
  afterPackages: pulumi.CustomResourceOptions,
): technicia.State {
  return new technicia.State(
    `${name}-time-zone`,
    {
      observe: "timedatectl show --property Timezone --value",
      desired: timeZone,
      apply: 'timedatectl set-timezone "$ZONE"',
      variables: { ZONE: timeZone },
    },
    afterPackages,
  );
}

function createSwap(
  name: string,
  { swapGib }: HostArgs,
  onHost: pulumi.CustomResourceOptions,
): pulumi.Resource[] {
  if (swapGib === 0) return [];
  const swap = new technicia.State(
    `${name}-swap`,
    { ...programsOf("swap.sh"), desired: `${swapGib} GiB`, variables: { SIZE_GIB: String(swapGib) } },
    onHost,
  );
  return [swap];
}

function createUpgrades(name: string, opts: pulumi.CustomResourceOptions): void {
  new technicia.File(
    `${name}-upgrades`,
    { path: "/etc/apt/apt.conf.d/52technicia-upgrades", content: render.unattendedUpgrades() },
    opts,
  );
  new technicia.Unit(
    `${name}-upgrades-timer`,
    { unit: "apt-daily-upgrade.timer", enabled: true, active: true },
    opts,
  );
}
