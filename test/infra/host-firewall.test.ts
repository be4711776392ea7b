import { describe, expect, it } from "vitest";

import { HostFirewall, renderFirewall } from "../../infra/host-firewall.ts";
import * as technicia from "../../provider/resources.ts";
import { register } from "../support/engine.ts";

const TABLE = `#!/usr/sbin/nft -f
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
    tcp dport 22 ip saddr { 198.51.100.0/24, 192.0.2.7/32 } ct state new limit rate 120/minute burst 120 packets accept
    tcp dport 22 ip6 saddr { 2001:db8:51::/64 } ct state new limit rate 120/minute burst 120 packets accept
    tcp dport { 80, 443 } accept
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

const UNIT = `[Unit]
Description=TechnicIA firewall
DefaultDependencies=no
After=local-fs.target
Before=network-pre.target docker.service
Wants=network-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/nft --file /etc/technicia/firewall.nft

[Install]
WantedBy=multi-user.target
`;

describe("renderFirewall", () => {
  it("admits ssh from the admin networks, 80 and 443, to the host and to what Docker publishes", () => {
    const adminCidrs = { v4: ["198.51.100.0/24", "192.0.2.7/32"], v6: ["2001:db8:51::/64"] };

    expect(renderFirewall({ sshPort: 22, adminCidrs })).toBe(TABLE);
  });

  it("has no ssh rule for a family without admin networks, since an empty set is no text that nft reads", () => {
    const text = renderFirewall({ sshPort: 22, adminCidrs: { v4: ["198.51.100.0/24"], v6: [] } });

    expect(text).not.toContain("ip6 saddr { ");
    expect(text.match(/tcp dport 22 /g)).toHaveLength(1);
  });

  it("opens the port that sshd listens on, and port 22 no more", () => {
    const text = renderFirewall({
      sshPort: 2222,
      adminCidrs: { v4: ["198.51.100.0/24"], v6: ["2001:db8::/64"] },
    });

    expect(text.match(/tcp dport 2222 /g)).toHaveLength(2);
    expect(text).not.toMatch(/tcp dport 22 /);
  });

  it("replaces its own table only: a flushed rule set would take Docker's rules along", () => {
    expect(TABLE).not.toContain("flush");
    expect(TABLE.match(/^delete .*$/gm)).toEqual(["delete table inet technicia"]);
  });
});

describe("HostFirewall", () => {
  const define = () =>
    register(() => {
      const host = new technicia.Connection("connection", {});
      const adminCidrs = { v4: ["198.51.100.0/24", "192.0.2.7/32"], v6: ["2001:db8:51::/64"] };
      return new HostFirewall("firewall", { host, sshPort: 22, adminCidrs });
    });

  it("has nft judge the table before it takes the old one's place", async () => {
    const { resource } = await define();

    expect(resource("firewall-table").inputs).toEqual({
      path: "/etc/technicia/firewall.nft",
      content: TABLE,
      validate: 'nft --check --file "$FILE"',
      onChange: "nft --file /etc/technicia/firewall.nft",
    });
  });

  it("is loaded at boot before the network is up and before Docker", async () => {
    const { resource, waitsFor } = await define();

    expect(resource("firewall-unit-file").inputs).toEqual({
      path: "/etc/systemd/system/technicia-firewall.service",
      content: UNIT,
      onChange: "systemctl daemon-reload",
    });
    expect(resource("firewall-unit").inputs).toEqual({
      unit: "technicia-firewall.service",
      enabled: true,
      active: true,
    });
    expect(waitsFor("firewall-unit", "firewall-table")).toBe(true);
    expect(waitsFor("firewall-unit", "firewall-unit-file")).toBe(true);
  });

  it("puts the distribution's unit away, but only once its own has loaded", async () => {
    const { resource, waitsFor } = await define();

    expect(resource("firewall-distribution-unit").inputs).toEqual({
      unit: "nftables.service",
      enabled: false,
      active: false,
    });
    expect(waitsFor("firewall-distribution-unit", "firewall-unit")).toBe(true);
  });

  it("proves that what is loaded is what the file says, and loads it again when it is not", async () => {
    const { resource, waitsFor } = await define();

    expect(resource("firewall-loaded").inputs).toMatchObject({
      desired: "the loaded table is the file's",
      apply: 'nft --file "$TABLE"',
      remove: "nft delete table inet technicia",
      variables: { TABLE: "/etc/technicia/firewall.nft" },
    });
    expect(resource("firewall-loaded").inputs["observe"]).toContain(
      "nft --stateless list table inet technicia",
    );
    expect(waitsFor("firewall-loaded", "firewall-unit")).toBe(true);
  });

  it("is all on the host, under one component", async () => {
    const { registrations } = await define();
    const own = registrations.filter(({ parent }) => parent === "firewall");

    expect(own).toHaveLength(5);
    expect(own.map(({ provider }) => provider)).toEqual(Array(5).fill("connection"));
  });
});
