import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

import { opensshOptions } from "../provider/ssh/openssh-options.ts";
import * as technicia from "../provider/resources.ts";
import { HostFirewall } from "./host-firewall.ts";
import * as render from "./host-files.ts";

/** What an environment decides about the system on its server. */
export interface HostArgs {
  /** Address of the server. */
  readonly address: pulumi.Input<string>;

  /** Changes whenever the disk is installed anew: all that is on the host is then made again. */
  readonly serverId: pulumi.Input<string>;

  /** Connection under which the host key is first taken. */
  readonly cloud: technicia.Connection;

  /** OVH's firewall before the server: what listens is installed once it stands, and what is downloaded not while its rules change. */
  readonly edgeFirewall: pulumi.Resource;

  readonly ssh: {
    readonly user: string;
    readonly port: number;
    /** Path of the operator's private key; `~` is the operator's home. */
    readonly privateKeyFile: string;
    /** Public half of the key that the login user accepts. */
    readonly publicKey: string;
    readonly adminCidrs: { readonly v4: readonly string[]; readonly v6: readonly string[] };
    readonly admins: readonly { readonly name: string; readonly keys: readonly string[] }[];
  };

  /** Where Docker comes from. */
  readonly dockerSource: "distribution" | "docker";

  /** Size of the swap file, in GiB; 0 leaves swap as the OS image has it. */
  readonly swapGib: number;

  readonly timeZone: string;
}

/** The server made ready: hardened, firewalled, with Docker running as a Swarm of one node. */
export class Host extends pulumi.ComponentResource {
  /** Provider of everything that is a file, a package, a unit or a state on this server. */
  readonly connection: technicia.Connection;

  /** Provider of everything that Docker runs on this server. */
  readonly docker: docker.Provider;

  readonly hostKey: technicia.HostKey;
  readonly packages: technicia.Packages;
  readonly firewall: HostFirewall;

  /** Docker's engine; images can be pulled as soon as it runs. */
  readonly engine: technicia.Unit;

  /** The last step: whoever depends on it finds the host ready. */
  readonly swarm: technicia.State;

  constructor(name: string, args: HostArgs, opts?: pulumi.ComponentResourceOptions) {
    super("technicia:infra:Host", name, {}, opts);

    this.hostKey = new technicia.HostKey(
      `${name}-key`,
      { address: args.address, port: args.ssh.port, serverId: args.serverId },
      { parent: this, provider: args.cloud },
    );
    this.connection = new technicia.Connection(
      `${name}-connection`,
      {
        hostAddress: args.address,
        hostPort: String(args.ssh.port),
        hostUser: args.ssh.user,
        hostPrivateKeyFile: args.ssh.privateKeyFile,
        hostKey: this.hostKey.hostKey,
        serverId: args.serverId,
      },
      { parent: this },
    );
    const own = { parent: this, provider: this.connection };

    const access = createAccess(name, args, own);
    const kernel = createKernelSettings(name, args, own);
    // dockerd reads its settings at its first start, which installing the package brings about.
    const daemon = new technicia.File(
      `${name}-docker-settings`,
      {
        path: "/etc/docker/daemon.json",
        content: render.dockerDaemon(),
        onChange: render.RESTART_DOCKER_IF_RUNNING,
      },
      own,
    );
    const repository = args.dockerSource === "docker" ? createDockerRepository(name, own) : [];
    this.packages = new technicia.Packages(
      `${name}-packages`,
      { names: render.packageNames(args.dockerSource) },
      { ...own, dependsOn: [args.edgeFirewall, daemon, ...repository] },
    );
    const afterPackages = { ...own, dependsOn: [this.packages] };
    createUpgrades(name, afterPackages);
    this.firewall = new HostFirewall(
      `${name}-firewall`,
      { host: this.connection, sshPort: args.ssh.port, adminCidrs: args.ssh.adminCidrs },
      { parent: this, dependsOn: [this.packages] },
    );
    this.engine = new technicia.Unit(
      `${name}-docker`,
      { unit: "docker.service", enabled: true, active: true },
      { ...own, dependsOn: [this.packages, this.firewall.loaded] },
    );
    const group = new technicia.State(
      `${name}-docker-group`,
      {
        observe:
          'getent group docker | grep -qE "[:,]$LOGIN(,|$)" && echo "$LOGIN may use docker" || echo "$LOGIN may not use docker"',
        desired: `${args.ssh.user} may use docker`,
        apply: 'usermod --append --groups docker "$LOGIN"',
        remove: 'gpasswd --delete "$LOGIN" docker',
        variables: { LOGIN: args.ssh.user },
      },
      afterPackages,
    );
    this.swarm = new technicia.State(
      `${name}-swarm`,
      {
        observe: "docker info --format '{{.Swarm.LocalNodeState}}, manager: {{.Swarm.ControlAvailable}}'",
        desired: "active, manager: true",
        apply: 'docker swarm init --advertise-addr "$ADDRESS" >/dev/null',
        remove: "docker swarm leave --force",
        variables: { ADDRESS: args.address },
      },
      { ...own, dependsOn: [this.engine, group, ...access, ...kernel] },
    );
    this.docker = new docker.Provider(
      `${name}-docker-connection`,
      {
        host: pulumi.interpolate`ssh://${args.ssh.user}@${args.address}:${args.ssh.port}`,
        sshOpts: this.hostKey.hostKey.apply((hostKey) =>
          opensshOptions({ privateKeyFile: args.ssh.privateKeyFile, hostKey }),
        ),
      },
      { parent: this, dependsOn: [this.swarm] },
    );
    this.registerOutputs({ hostKey: this.hostKey.fingerprint });
  }
}

type Own = pulumi.CustomResourceOptions;

function createAccess(name: string, args: HostArgs, own: Own): pulumi.Resource[] {
  const people = args.ssh.admins.map((admin) => {
    const user = new technicia.State(
      `${name}-admin-${admin.name}`,
      {
        observe:
          'id --groups --name "$LOGIN" 2>/dev/null | tr " " "\\n" | grep -qx sudo && echo "$LOGIN administers" || echo "$LOGIN does not administer"',
        desired: `${admin.name} administers`,
        apply:
          'id "$LOGIN" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$LOGIN"; usermod --append --groups sudo "$LOGIN"',
        // The account may have been found to be one too many, and be gone.
        remove: '! id "$LOGIN" >/dev/null 2>&1 || userdel "$LOGIN"',
        variables: { LOGIN: admin.name },
      },
      own,
    );
    const sudo = new technicia.File(
      `${name}-admin-${admin.name}-sudo`,
      {
        path: `/etc/sudoers.d/technicia-${admin.name}`,
        content: `${admin.name} ALL=(ALL) NOPASSWD:ALL\n`,
        mode: "0440",
        validate: 'visudo --check --quiet --file="$FILE"',
      },
      own,
    );
    return [
      sudo,
      createKeys(`${name}-admin-${admin.name}`, admin.name, admin.keys, { ...own, dependsOn: [user] }),
    ];
  });
  const login = createKeys(`${name}-login`, args.ssh.user, [args.ssh.publicKey], own);
  const sshd = new technicia.File(
    `${name}-sshd`,
    {
      // The first value wins, and 50-cloud-init.conf may allow passwords: ours is read before it.
      path: "/etc/ssh/sshd_config.d/10-technicia.conf",
      content: render.sshd(args.ssh.port, [args.ssh.user, ...args.ssh.admins.map((admin) => admin.name)]),
      validate: 'sshd -t -f "$FILE"',
      onChange: "systemctl reload ssh.service",
    },
    { ...own, dependsOn: [login, ...people.flat()] },
  );
  return [sshd];
}

function createKeys(name: string, user: string, keys: readonly string[], opts: Own): technicia.File {
  return new technicia.File(
    `${name}-keys`,
    {
      path: `/home/${user}/.ssh/authorized_keys`,
      content: keys.map((key) => `${key}\n`).join(""),
      owner: user,
      group: user,
      mode: "0600",
      validate: 'ssh-keygen -l -f "$FILE" >/dev/null',
    },
    opts,
  );
}

function createKernelSettings(name: string, args: HostArgs, own: Own): pulumi.Resource[] {
  const sysctl = new technicia.File(
    `${name}-sysctl`,
    {
      path: "/etc/sysctl.d/60-technicia.conf",
      content: render.sysctl(),
      onChange: "sysctl --quiet --load /etc/sysctl.d/60-technicia.conf",
    },
    own,
  );
  const journal = new technicia.File(
    `${name}-journal`,
    {
      path: "/etc/systemd/journald.conf.d/10-technicia.conf",
      content: "[Journal]\nSystemMaxUse=500M\nMaxRetentionSec=1month\n",
      onChange: "systemctl restart systemd-journald.service",
    },
    own,
  );
  const timeZone = new technicia.State(
    `${name}-time-zone`,
    {
      observe: "timedatectl show --property Timezone --value",
      desired: args.timeZone,
      apply: 'timedatectl set-timezone "$ZONE"',
      variables: { ZONE: args.timeZone },
    },
    own,
  );
  const clock = new technicia.State(
    `${name}-clock`,
    {
      // A container has its host's clock: there the service is enabled and rightly does not run.
      observe:
        'systemctl is-enabled --quiet systemd-timesyncd.service && { systemctl is-active --quiet systemd-timesyncd.service || systemd-detect-virt --quiet --container; } && echo "kept in time" || echo "left alone"',
      desired: "kept in time",
      apply: "systemctl enable --now --quiet systemd-timesyncd.service",
    },
    own,
  );
  const swap = args.swapGib === 0 ? [] : [createSwap(name, args.swapGib, own)];
  return [sysctl, journal, timeZone, clock, ...swap];
}

function createSwap(name: string, sizeGib: number, own: Own): technicia.State {
  return new technicia.State(
    `${name}-swap`,
    {
      observe:
        'swapon --show=NAME,SIZE --noheadings --bytes | awk \'$1 == "/swapfile" { printf "%d GiB\\n", ($2 + 536870912) / 1073741824 }\'; grep -q "^/swapfile " /etc/fstab || echo "not mounted at boot"',
      desired: `${sizeGib} GiB`,
      apply: render.MAKE_SWAP,
      remove: 'swapoff /swapfile; sed --in-place "\\#^/swapfile #d" /etc/fstab; rm -f /swapfile',
      variables: { SIZE_GIB: String(sizeGib) },
    },
    own,
  );
}

function createDockerRepository(name: string, own: Own): pulumi.Resource[] {
  const key = new technicia.State(
    `${name}-docker-repository-key`,
    {
      observe: "test -s /etc/apt/keyrings/docker.asc && echo present || echo absent",
      desired: "present",
      apply: render.FETCH_DOCKER_KEY,
      remove: "rm -f /etc/apt/keyrings/docker.asc",
    },
    own,
  );
  const source = new technicia.State(
    `${name}-docker-repository`,
    {
      observe: "test -s /etc/apt/sources.list.d/docker.sources && echo present || echo absent",
      desired: "present",
      apply: render.WRITE_DOCKER_SOURCE,
      remove: "rm -f /etc/apt/sources.list.d/docker.sources",
    },
    { ...own, dependsOn: [key] },
  );
  return [source];
}

function createUpgrades(name: string, opts: Own): void {
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
