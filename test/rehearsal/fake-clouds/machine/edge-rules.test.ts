import { describe, expect, it } from "vitest";

import { renderEdge } from "../../../../rehearsal/fake-clouds/machine/edge-rules.ts";
import type { FirewallRule } from "../../../../rehearsal/fake-clouds/ovh/state.ts";

function rule(given: Partial<FirewallRule>): FirewallRule {
  return {
    sequence: 0,
    action: "permit",
    protocol: "tcp",
    source: null,
    destinationPort: null,
    sourcePort: null,
    tcpOption: null,
    fragments: null,
    state: "ok",
    creationDate: "2026-01-05T09:00:00+00:00",
    ...given,
  };
}

function ruleLines(rules: readonly FirewallRule[]): readonly string[] {
  const lines = renderEdge("203.0.113.10", rules, true).split("\n");
  return lines.slice(lines.indexOf("    ip daddr != 203.0.113.10 accept") + 1, -3).map((line) => line.trim());
}

describe("renderEdge", () => {
  it("renders the recommended rules in the order of their sequence", () => {
    const rules = [
      rule({ sequence: 19, action: "deny", protocol: "ipv4" }),
      rule({ sequence: 1, destinationPort: 22, source: "198.51.100.0/24" }),
      rule({ sequence: 0, tcpOption: "established" }),
      rule({ sequence: 5, protocol: "udp", sourcePort: 53, source: "198.51.100.53" }),
      rule({ sequence: 4, protocol: "icmp" }),
    ];

    expect(renderEdge("203.0.113.10", rules, true)).toBe(`table ip edge_203_0_113_10
delete table ip edge_203_0_113_10
table ip edge_203_0_113_10 {
  chain fragments {
    type filter hook prerouting priority -450; policy accept;
    ip daddr 203.0.113.10 ip protocol udp ip frag-off & 0x3fff != 0 drop
  }
  chain edge {
    type filter hook forward priority filter; policy accept;
    ip daddr != 203.0.113.10 accept
    ip protocol tcp tcp flags & (ack | rst) != 0 accept
    ip protocol tcp ip saddr 198.51.100.0/24 tcp dport 22 accept
    ip protocol icmp accept
    ip protocol udp ip saddr 198.51.100.53 udp sport 53 accept
    drop
  }
}
`);
  });

  it("renders each protocol and option", () => {
    const rules = [
      rule({ sequence: 1, protocol: "ah" }),
      rule({ sequence: 2, protocol: "esp" }),
      rule({ sequence: 3, protocol: "gre", action: "deny" }),
      rule({ sequence: 4, tcpOption: "syn", destinationPort: 25, action: "deny" }),
      rule({ sequence: 5, fragments: true }),
      rule({ sequence: 6, sourcePort: 1, destinationPort: 0 }),
      rule({ sequence: 10, protocol: "ipv4", source: "0.0.0.0/0" }),
    ];

    expect(ruleLines(rules)).toEqual([
      "ip protocol ah accept",
      "ip protocol esp accept",
      "ip protocol gre drop",
      "ip protocol tcp tcp dport 25 tcp flags & (syn | ack) == syn drop",
      "ip protocol tcp ip frag-off & 0x1fff != 0 accept",
      "ip protocol tcp tcp sport 1 tcp dport 0 accept",
      "ip saddr 0.0.0.0/0 accept",
    ]);
  });

  it("accepts everything without rules", () => {
    expect(ruleLines([])).toEqual([]);
  });

  it("removes the table when the firewall is off, whatever its rules", () => {
    expect(renderEdge("203.0.113.10", [rule({ action: "deny" })], false)).toBe(
      "table ip edge_203_0_113_10\ndelete table ip edge_203_0_113_10\n",
    );
  });
});
