import type { FirewallRule } from "../ovh/state.ts";

const FLAGS = {
  // No state is kept at the edge: "established" only means that the segment does not open a connection.
  established: "tcp flags & (ack | rst) != 0",
  syn: "tcp flags & (syn | ack) == syn",
} as const;

/**
 * The edge firewall of one address as an nftables script, for the router before the server.
 *
 * Stateless, IPv4 only, first match wins; a packet that no rule matches passes. Running it again replaces the earlier rules.
 */
export function renderEdge(ip: string, rules: readonly FirewallRule[], enabled: boolean): string {
  const table = `edge_${ip.replaceAll(".", "_")}`;
  const reset = [`table ip ${table}`, `delete table ip ${table}`];
  if (!enabled) return [...reset, ""].join("\n");
  const inOrder = [...rules].sort((a, b) => a.sequence - b.sequence);
  return [
    ...reset,
    `table ip ${table} {`,
    "  chain fragments {",
    // Before connection tracking, which reassembles fragments.
    "    type filter hook prerouting priority -450; policy accept;",
    `    ip daddr ${ip} ip protocol udp ip frag-off & 0x3fff != 0 drop`,
    "  }",
    "  chain edge {",
    "    type filter hook forward priority filter; policy accept;",
    `    ip daddr != ${ip} accept`,
    ...inOrder.map((rule) => `    ${renderRule(rule)}`),
    "  }",
    "}",
    "",
  ].join("\n");
}

function renderRule(rule: FirewallRule): string {
  const { protocol, source, sourcePort, destinationPort, tcpOption, fragments } = rule;
  const matches = [
    protocol === "ipv4" ? null : `ip protocol ${protocol}`,
    source === null ? null : `ip saddr ${source}`,
    sourcePort === null ? null : `${protocol} sport ${sourcePort}`,
    destinationPort === null ? null : `${protocol} dport ${destinationPort}`,
    tcpOption === null ? null : FLAGS[tcpOption],
    fragments === true ? "ip frag-off & 0x1fff != 0" : null,
    rule.action === "permit" ? "accept" : "drop",
  ];
  return matches.filter((match) => match !== null).join(" ");
}
