import { isLegacyTimeZone } from "../common/time-zones.ts";

/** Who packages Docker's engine: the distribution, or Docker with an APT source of its own. */
export type DockerSource = "distribution" | "docker";

/** Packages that only some releases have: from Debian 13 on, `docker.io` brings no client. */
export function packageNamesIfKnown({
  dockerSource,
  timeZone,
}: {
  readonly dockerSource: DockerSource;
  readonly timeZone: string;
}): string[] {
  return [
    ...(dockerSource === "docker" ? [] : ["docker-cli"]),
    // Where there is no such package, the zones are in the one that every server has.
    ...(isLegacyTimeZone(timeZone) ? ["tzdata-legacy"] : []),
  ];
}

/** Docker's own packages have other names than the distribution's. */
export function packageNames(
  dockerSource: DockerSource,
  { isMonitored = false, tunnel }: { readonly isMonitored?: boolean; readonly tunnel?: object } = {},
): string[] {
  const engine = dockerSource === "docker" ? ["containerd.io", "docker-ce", "docker-ce-cli"] : ["docker.io"];
  // Docker unpacks images with pigz if it is installed, so decompressing and writing overlap.
  const tools = [
    "ca-certificates",
    "curl",
    "jq",
    "nftables",
    "openssl",
    "pigz",
    "python3",
    "unattended-upgrades",
  ];
  // Its getcap tells which programs have rights of their own.
  const monitoring = isMonitored ? ["prometheus-node-exporter", "systemd-journal-remote"] : [];
  const several = tunnel === undefined ? [] : ["iputils-ping", "wireguard-tools"];
  return [...tools, "libcap2-bin", ...engine, ...monitoring, ...several].sort();
}

/** With socket activation systemd listens, on the ports that sshd's settings name. */
export const RELOAD_SSHD =
  "if systemctl --quiet is-active ssh.socket; then systemctl daemon-reload; systemctl restart ssh.socket; else systemctl reload ssh.service; fi";

/** sshd's settings: keys only, named users only, and enough sessions for a parallel deployment. */
export function sshd(ports: readonly number[], users: readonly string[]): string {
  return `# Managed: a change made here by hand is found and undone.
${ports.map((port) => `Port ${port}\n`).join("")}PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
AllowUsers ${users.join(" ")}
MaxAuthTries 4
MaxStartups 60:30:120
MaxSessions 60
LoginGraceTime 30
ClientAliveInterval 30
ClientAliveCountMax 6
X11Forwarding no
UseDNS no
`;
}

/** Open files of a container. Docker 29's default is 1024; Qdrant needs 10 000. */
const NOFILE = 16_384;

/** dockerd's settings. `no-new-privileges` is here because a Swarm service cannot set it. */
export function dockerDaemon(): string {
  const settings = {
    "log-driver": "json-file",
    "log-opts": { "max-size": "10m", "max-file": "5" },
    "no-new-privileges": true,
    "default-ulimits": {
      // A core dump would hold a process's secrets.
      core: { Name: "core", Soft: 0, Hard: 0 },
      nofile: { Name: "nofile", Soft: NOFILE, Hard: NOFILE },
    },
    "default-address-pools": [{ base: "172.30.0.0/16", size: 24 }],
    "shutdown-timeout": 70,
  };
  return `${JSON.stringify(settings, undefined, 2)}\n`;
}

/** Kernel settings: Qdrant maps many files, and swap is a cushion, not memory. */
export function sysctl(): string {
  return `# Managed: a change made here by hand is found and undone.
fs.inotify.max_user_instances = 1024
net.core.somaxconn = 4096
vm.max_map_count = 262144
vm.swappiness = 10
`;
}

/** Daily security upgrades, without Docker's packages: their upgrade would stop the services. `npm run maintain` upgrades those. */
export function unattendedUpgrades(): string {
  return `// Managed: a change made here by hand is found and undone.
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
Unattended-Upgrade::Package-Blacklist { "docker"; "containerd"; "runc"; };
Unattended-Upgrade::Automatic-Reboot "false";
`;
}
