import * as pulumi from "@pulumi/pulumi";

import { GOSSIP_PORT } from "../common/servers.ts";
import * as technicia from "../provider/resources.ts";
import { LOGIN_GUARD } from "./login-guard.ts";
import { programsOf } from "./programs.ts";

const TABLE_PATH = "/etc/technicia/firewall.nft";
const UNIT = "technicia-firewall.service";
const FALLBACK_UNIT = "technicia-firewall-fallback.service";
const LOADED = programsOf("firewall.sh");

/** What an environment decides about the server's own firewall. */
export interface HostFirewallArgs {
  /** Connection to the server. */
  readonly host: technicia.Connection;

  /** Ports that sshd listens on. */
  readonly sshPorts: readonly number[];

  /** Networks that may reach ssh. */
  readonly adminCidrs: { readonly v4: readonly string[]; readonly v6: readonly string[] };

  /** The tunnel to other servers. @default - there is one server */
  readonly tunnel?: TunnelRules | undefined;
}

export interface TunnelRules {
  readonly interface: string;

  /** UDP port that the tunnel comes in at. */
  readonly port: number;

  /** Public IPv4 addresses of the other servers. */
  readonly peers: readonly pulumi.Input<string>[];

  /** Port of a container in the tunnel, and the addresses there that may reach it. @default - no container has one */
  readonly published?: Published;
}

interface Published {
  readonly port: number;
  readonly from: readonly string[];
}

/** Ports in the tunnel: the Swarm's managers, its members, and the door to it. */
const SWARM_TCP = [2377, GOSSIP_PORT, 7947];

/** Its members, and the networks of its services. */
const SWARM_UDP = [4789, GOSSIP_PORT];

/**
 * The server's own firewall: one nftables table for IPv4 and IPv6, loaded before Docker at boot. Where it cannot be loaded, a built-in table
 * admits ssh alone, and Docker does not start.
 *
 * From outside it admits ssh from the admin networks, and over IPv4 ports 80 and 443, also where Docker publishes others.
 */
export class HostFirewall extends pulumi.ComponentResource {
  /** Proves that the loaded table is the one on disk. */
  readonly loaded: technicia.State;

  constructor(name: string, args: HostFirewallArgs, opts?: pulumi.ComponentResourceOptions) {
    super("technicia:infra:HostFirewall", name, {}, opts);
    const onHost = { parent: this, provider: args.host };

    // Its stop flushes every table, ours and Docker's too; nothing may start it later.
    const distribution = new technicia.Unit(
      `${name}-distribution-unit`,
      { unit: "nftables.service", enabled: false, active: false, masked: true },
      onHost,
    );
    const table = new technicia.File(
      `${name}-table`,
      {
        path: TABLE_PATH,
        content: contentOf(args),
        validate: 'nft --check --file "$FILE"',
        // Once a destroy has removed the file, there is nothing to load.
        onChange: `test ! -e ${TABLE_PATH} || nft --file ${TABLE_PATH}`,
        guard: { ...LOGIN_GUARD, admits: [...args.adminCidrs.v4, ...args.adminCidrs.v6] },
      },
      { ...onHost, dependsOn: [distribution] },
    );
    const unitFile = (role: string, path: string, content: string) =>
      new technicia.File(
        `${name}-${role}`,
        { path: `/etc/systemd/system/${path}`, content, onChange: "systemctl daemon-reload" },
        onHost,
      );
    const unitFiles = [
      unitFile("unit-file", UNIT, renderUnit()),
      unitFile("fallback-unit-file", FALLBACK_UNIT, renderFallbackUnit(args)),
    ];
    const unit = new technicia.Unit(
      `${name}-unit`,
      { unit: UNIT, enabled: true, active: true, guard: LOGIN_GUARD },
      { ...onHost, dependsOn: [table, ...unitFiles] },
    );
    const dockerOverride = unitFile("docker-override", "docker.service.d/10-technicia.conf", DOCKER_OVERRIDE);
    this.loaded = new technicia.State(
      `${name}-loaded`,
      {
        ...LOADED,
        desired: "the loaded table is the file's",
        variables: { TABLE: TABLE_PATH },
        guard: LOGIN_GUARD,
      },
      { ...onHost, dependsOn: [unit, dockerOverride] },
    );
    this.registerOutputs({});
  }
}

function contentOf({ tunnel, ...args }: HostFirewallArgs): pulumi.Input<string> {
  if (tunnel === undefined) return renderFirewall(args);
  return pulumi
    .all([...tunnel.peers])
    .apply((peers) => renderFirewall({ ...args, tunnel: { ...tunnel, peers } }));
}

type Rendered = Omit<HostFirewallArgs, "host" | "tunnel"> & {
  readonly tunnel?: Omit<TunnelRules, "peers"> & { readonly peers: readonly string[] };
};

/** The table, as nft reads it. Loading it again replaces the old one in one transaction. */
export function renderFirewall(args: Rendered): string {
  const input = [...sshRules(args), ...tunnelRules(args)];
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
${input.map((rule) => `    ${rule}\n`).join("")}    meta nfproto ipv4 tcp dport { 80, 443 } accept
    counter drop
  }
  # Packets for published ports never reach the input chain: Docker turns them towards a container first.
  chain forward {
    type filter hook forward priority filter - 10; policy accept;
    ct state established,related accept
    # The cloud's metadata service tells whoever asks how the server was set up.
    ip daddr 169.254.0.0/16 counter drop
    iifname "docker*" accept
    iifname "br-*" accept
    meta l4proto tcp ct status dnat ct original proto-dst { 80, 443 } accept
${publishedRules(args)}    counter drop
  }
}
`;
}

/** The tunnel's packets from the other servers, and from inside it what a Swarm's servers say to each other. */
function tunnelRules({ tunnel }: Rendered): string[] {
  if (tunnel === undefined) return [];
  const inside = `iifname "${tunnel.interface}"`;
  return [
    `udp dport ${tunnel.port} ip saddr { ${tunnel.peers.join(", ")} } accept`,
    `${inside} tcp dport { ${SWARM_TCP.join(", ")} } accept`,
    `${inside} udp dport { ${SWARM_UDP.join(", ")} } accept`,
  ];
}

/** From the other servers alone: the tunnel is also where packets of an overlay network come out. */
function publishedRules({ tunnel }: Rendered): string {
  if (tunnel?.published === undefined) return "";
  const { port, from } = tunnel.published;
  return `    iifname "${tunnel.interface}" ip saddr { ${from.join(", ")} } meta l4proto tcp ct status dnat ct original proto-dst ${port} accept
`;
}

/** One rule for each family that has admin networks: nft refuses an empty set. */
function sshRules({ sshPorts, adminCidrs }: Pick<HostFirewallArgs, "sshPorts" | "adminCidrs">): string[] {
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
OnFailure=${FALLBACK_UNIT}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft --file ${TABLE_PATH}

[Install]
WantedBy=multi-user.target
`;
}

/** For a damaged table: it depends on no other file. The next load of the table replaces it. */
export function renderFallbackUnit(args: Pick<HostFirewallArgs, "sshPorts" | "adminCidrs">): string {
  const input = [
    "iif lo accept",
    "ct state established,related accept",
    "meta l4proto { icmp, icmpv6 } accept",
  ];
  const network = ["udp sport 67 udp dport 68 accept", "udp sport 547 udp dport 546 accept"];
  const rules = [...input, ...network, ...sshRules(args)].join("; ");
  const chains = [
    `chain input { type filter hook input priority 0; policy drop; ${rules}; }`,
    "chain forward { type filter hook forward priority -10; policy drop; }",
  ];
  return `[Unit]
Description=TechnicIA firewall that admits ssh alone
DefaultDependencies=no
After=local-fs.target

[Service]
Type=oneshot
ExecStart=/usr/sbin/nft "table inet technicia; delete table inet technicia; table inet technicia { ${chains.join("; ")}; }"
`;
}

/** Docker does not start without the table. */
const DOCKER_OVERRIDE = `[Unit]
Requires=${UNIT}
After=${UNIT}
`;
