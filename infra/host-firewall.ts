import * as pulumi from "@pulumi/pulumi";

import { scriptParts } from "../common/script.ts";
import * as technicia from "../provider/resources.ts";
import { LOGIN_GUARD } from "./login-guard.ts";

const TABLE_PATH = "/etc/technicia/firewall.nft";
const UNIT = "technicia-firewall.service";
const LOADED = scriptParts(new URL("scripts/firewall.sh", import.meta.url), ["observe", "apply", "remove"]);

/** What an environment decides about the server's own firewall. */
export interface HostFirewallArgs {
  /** Connection to the server. */
  readonly host: technicia.Connection;

  /** Ports that sshd listens on. */
  readonly sshPorts: readonly number[];

  /** Networks that may reach ssh. */
  readonly adminCidrs: { readonly v4: readonly string[]; readonly v6: readonly string[] };
}

/**
 * The server's own firewall: one nftables table for IPv4 and IPv6, loaded before Docker at boot.
 *
 * From outside it admits ssh from the admin networks, and over IPv4 ports 80 and 443, also where Docker publishes others.
 */
export class HostFirewall extends pulumi.ComponentResource {
  /** Proves that the loaded table is the one on disk. */
  readonly loaded: technicia.State;

  constructor(name: string, args: HostFirewallArgs, opts?: pulumi.ComponentResourceOptions) {
    super("technicia:infra:HostFirewall", name, {}, opts);
    const onHost = { parent: this, provider: args.host };

    const table = new technicia.File(
      `${name}-table`,
      {
        path: TABLE_PATH,
        content: renderFirewall(args),
        validate: 'nft --check --file "$FILE"',
        onChange: `nft --file ${TABLE_PATH}`,
        guard: { ...LOGIN_GUARD, admits: [...args.adminCidrs.v4, ...args.adminCidrs.v6] },
      },
      onHost,
    );
    const unitFile = new technicia.File(
      `${name}-unit-file`,
      { path: `/etc/systemd/system/${UNIT}`, content: renderUnit(), onChange: "systemctl daemon-reload" },
      onHost,
    );
    const unit = new technicia.Unit(
      `${name}-unit`,
      { unit: UNIT, enabled: true, active: true, guard: LOGIN_GUARD },
      { ...onHost, dependsOn: [table, unitFile] },
    );
    // The distribution's own rule file flushes every table, Docker's too.
    new technicia.Unit(
      `${name}-distribution-unit`,
      { unit: "nftables.service", enabled: false, active: false },
      { ...onHost, dependsOn: [unit] },
    );
    this.loaded = new technicia.State(
      `${name}-loaded`,
      {
        ...LOADED,
        desired: "the loaded table is the file's",
        variables: { TABLE: TABLE_PATH },
        guard: LOGIN_GUARD,
      },
      { ...onHost, dependsOn: [unit] },
    );
    this.registerOutputs({});
  }
}

/** The table, as nft reads it. Loading it again replaces the old one in one transaction. */
export function renderFirewall(args: Omit<HostFirewallArgs, "host">): string {
  const ssh = sshRules(args);
  return `#!/usr/sbin/nft -f
# Managed: a change made here by hand is found and undone.
table inet technicia
delete table inet technicia
table inet technicia {
  chain input {
    type filter hook input priority filter; policy drop;
    iif "lo" accept
    ct state established,related accept
    ct state invalid drop
    meta l4proto icmp icmp type { echo-request, destination-unreachable, time-exceeded, parameter-problem } accept
    meta l4proto icmpv6 accept
    udp sport 67 udp dport 68 accept
    ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept
${ssh.map((rule) => `    ${rule}\n`).join("")}    meta nfproto ipv4 tcp dport { 80, 443 } accept
    counter drop
  }
  # Packets for published ports never reach the input chain: Docker turns them towards a container first.
  chain forward {
    type filter hook forward priority filter - 10; policy accept;
    ct state established,related accept
    iifname "docker*" accept
    iifname "br-*" accept
    meta l4proto tcp ct status dnat ct original proto-dst { 80, 443 } accept
    counter drop
  }
}
`;
}

/** One rule for each family that has admin networks: nft refuses an empty set. */
function sshRules({ sshPorts, adminCidrs }: Omit<HostFirewallArgs, "host">): string[] {
  const dport = sshPorts.length === 1 ? sshPorts.join("") : `{ ${sshPorts.join(", ")} }`;
  const families = [
    { family: "ip", cidrs: adminCidrs.v4 },
    { family: "ip6", cidrs: adminCidrs.v6 },
  ];
  return families
    .filter(({ cidrs }) => cidrs.length > 0)
    .map(
      ({ family, cidrs }) =>
        // More than a parallel deployment opens: the limit is there for a leaked key.
        `tcp dport ${dport} ${family} saddr { ${cidrs.join(", ")} } ct state new limit rate 120/minute burst 120 packets accept`,
    );
}

function renderUnit(): string {
  return `[Unit]
Description=TechnicIA firewall
DefaultDependencies=no
After=local-fs.target
Before=network-pre.target docker.service
Wants=network-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft --file ${TABLE_PATH}

[Install]
WantedBy=multi-user.target
`;
}
