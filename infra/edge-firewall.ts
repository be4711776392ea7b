import * as pulumi from "@pulumi/pulumi";

import * as technicia from "../provider/resources.ts";
import { MOST_EDGE_RULES } from "./edge-limits.ts";
import { LOGIN_GUARD } from "./login-guard.ts";

const LAST_SEQUENCE = MOST_EDGE_RULES - 1;

/** A rule with plain values. */
export interface EdgeRule {
  readonly sequence: number;
  readonly action: "permit" | "deny";
  readonly protocol: "icmp" | "ipv4" | "tcp" | "udp";
  readonly port?: number;
  readonly sourcePort?: number;
  readonly source?: string;
  readonly tcpOption?: "established";
}

/** What an environment decides about the firewall at OVH's edge. */
export interface EdgeFirewallArgs {
  /** Connection to OVH's API. */
  readonly cloud: technicia.Connection;

  /** IPv4 address that the firewall protects. */
  readonly ip: pulumi.Input<string>;

  /** Ports that the server's sshd listens on; the commands use the first. */
  readonly sshPorts: readonly [number, ...number[]];

  /** IPv4 networks that may reach ssh. */
  readonly adminCidrs: readonly string[];

  /** Service that tells callers their own address, or `none`. */
  readonly addressService: string;

  /** UDP port of the tunnel, and the other servers' public IPv4 addresses. @default - there is one server */
  readonly tunnel?: { readonly port: number; readonly peers: readonly pulumi.Input<string>[] } | undefined;
}

/**
 * OVH's network firewall in front of the server.
 *
 * It is stateless, and it sees neither IPv6 nor traffic from inside OVH: the host has a firewall of its own.
 */
export class EdgeFirewall extends pulumi.ComponentResource {
  readonly firewall: technicia.EdgeFirewall;

  constructor(name: string, args: EdgeFirewallArgs, opts?: pulumi.ComponentResourceOptions) {
    super("technicia:infra:EdgeFirewall", name, {}, opts);

    this.firewall = new technicia.EdgeFirewall(
      `${name}-rules`,
      {
        ip: args.ip,
        rules: rulesOf(args),
        guard: { ...LOGIN_GUARD, sshPort: args.sshPorts[0], addressService: args.addressService },
      },
      { parent: this, provider: args.cloud },
    );
    this.registerOutputs({ state: this.firewall.state });
  }
}

function rulesOf({ sshPorts, adminCidrs, tunnel }: EdgeFirewallArgs): pulumi.Input<EdgeRule[]> {
  if (tunnel === undefined) return edgeRules(sshPorts, adminCidrs);
  const { port, peers } = tunnel;
  return pulumi.all([...peers]).apply((known) => edgeRules(sshPorts, adminCidrs, { port, peers: known }));
}

/** The rules, first match first. Replies to the server's own DNS and NTP queries need rules, because the firewall keeps no state. */
export function edgeRules(
  sshPorts: readonly number[],
  adminCidrs: readonly string[],
  tunnel?: { readonly port: number; readonly peers: readonly string[] },
): EdgeRule[] {
  const permits: Omit<EdgeRule, "sequence">[] = [
    { action: "permit", protocol: "tcp", tcpOption: "established" },
    ...sshPorts.flatMap((port) =>
      adminCidrs.map((source) => ({
        action: "permit" as const,
        protocol: "tcp" as const,
        port,
        // OVH writes a rule for everybody without a source.
        ...(source === "0.0.0.0/0" ? {} : { source }),
      })),
    ),
    { action: "permit", protocol: "tcp", port: 80 },
    { action: "permit", protocol: "tcp", port: 443 },
    { action: "permit", protocol: "icmp" },
    { action: "permit", protocol: "udp", sourcePort: 53 },
    { action: "permit", protocol: "udp", sourcePort: 123 },
    ...(tunnel?.peers ?? []).map((peer) => ({
      action: "permit" as const,
      protocol: "udp" as const,
      port: tunnel!.port,
      source: `${peer}/32`,
    })),
  ];
  return [
    ...permits.map((rule, sequence) => ({ sequence, ...rule })),
    { sequence: LAST_SEQUENCE, action: "deny", protocol: "ipv4" },
  ];
}
