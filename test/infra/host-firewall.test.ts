import { describe, expect, it } from "vitest";

import { HostFirewall, renderFirewall } from "../../infra/host-firewall.ts";
import * as technicia from "../../provider/resources.ts";
import { register } from "../support/engine.ts";

const adminCidrs = { v4: ["198.51.100.0/24", "192.0.2.7/32"], v6: ["2001:db8:51::/64"] };
const table = renderFirewall({ sshPorts: [22], adminCidrs });

describe("renderFirewall", () => {
  // After a change that is meant: npx vitest run --project parts test/infra/host-firewall --update
  it("renders the table of firewall.golden.nft", async () => {
    await expect(table).toMatchFileSnapshot("./firewall.golden.nft");
  });

  it("drops what no rule accepts, on the host and on the way to containers", () => {
    const [, input = "", forward = ""] = table.split(/^ {2}chain .*$/m);

    expect(input).toMatch(/policy drop;[^]*counter drop\n {2}\}/);
    expect(forward).toMatch(/policy accept;[^]*counter drop\n {2}\}/);
    expect(input.match(/(meta nfproto \w+ )?tcp dport .* accept/g)).toEqual([
      expect.stringMatching(
        /^tcp dport 22 ip saddr \{ 198\.51\.100\.0\/24, 192\.0\.2\.7\/32 \} ct state new limit /,
      ),
      expect.stringMatching(/^tcp dport 22 ip6 saddr \{ 2001:db8:51::\/64 \} ct state new limit /),
      "meta nfproto ipv4 tcp dport { 80, 443 } accept",
    ]);
    expect(forward.match(/.*dnat.*/g)).toEqual([expect.stringMatching(/proto-dst \{ 80, 443 \} accept$/)]);
  });

  it("has no ssh rule for a family without admin networks: nft refuses an empty set", () => {
    const text = renderFirewall({ sshPorts: [22], adminCidrs: { v4: ["198.51.100.0/24"], v6: [] } });

    expect(text).not.toContain("ip6 saddr { ");
    expect(text.match(/tcp dport 22 /g)).toHaveLength(1);
  });

  it("opens the port that sshd listens on, and port 22 no more", () => {
    const text = renderFirewall({
      sshPorts: [2222],
      adminCidrs: { v4: ["198.51.100.0/24"], v6: ["2001:db8::/64"] },
    });

    expect(text.match(/tcp dport 2222 /g)).toHaveLength(2);
    expect(text).not.toMatch(/tcp dport 22 /);
  });

  it("opens both ports before a move", () => {
    const text = renderFirewall({ sshPorts: [22, 2222], adminCidrs: { v4: ["198.51.100.0/24"], v6: [] } });

    expect(text).toContain("    tcp dport { 22, 2222 } ip saddr { 198.51.100.0/24 } ct state new limit ");
  });

  it("keeps containers away from the cloud's metadata, which Docker's own rules let through", () => {
    const [, , forward = ""] = table.split(/^ {2}chain .*$/m);

    expect(forward.indexOf("ip daddr 169.254.0.0/16 counter drop")).toBeGreaterThan(0);
    expect(forward.indexOf("ip daddr 169.254.0.0/16")).toBeLessThan(forward.indexOf('iifname "docker*"'));
  });

  it("replaces its own table only: flushing the rule set would remove Docker's rules", () => {
    expect(table).not.toContain("flush");
    expect(table.match(/^delete .*$/gm)).toEqual(["delete table inet technicia"]);
  });
});

describe("HostFirewall", () => {
  const define = () =>
    register(() => {
      const host = new technicia.Connection("connection", {});
      return new HostFirewall("firewall", { host, sshPorts: [22], adminCidrs });
    });

  it("has nft check the table before it replaces the old one", async () => {
    const { resource } = await define();

    expect(resource("firewall-table").inputs).toEqual({
      path: "/etc/technicia/firewall.nft",
      content: table,
      validate: 'nft --check --file "$FILE"',
      onChange: "test ! -e /etc/technicia/firewall.nft || nft --file /etc/technicia/firewall.nft",
      guard: { seconds: 90, admits: [...adminCidrs.v4, ...adminCidrs.v6] },
    });
  });

  it("is loaded at boot before the network is up and before Docker", async () => {
    const { resource, waitsFor } = await define();

    const { content, ...file } = resource("firewall-unit-file").inputs;

    expect(file).toEqual({
      path: "/etc/systemd/system/technicia-firewall.service",
      onChange: "systemctl daemon-reload",
    });
    expect(String(content).split("\n")).toEqual(
      expect.arrayContaining([
        "DefaultDependencies=no",
        "Before=network-pre.target docker.service",
        "RemainAfterExit=yes",
        "ExecStart=/usr/sbin/nft --file /etc/technicia/firewall.nft",
        "WantedBy=multi-user.target",
      ]),
    );
    expect(resource("firewall-unit").inputs).toEqual({
      unit: "technicia-firewall.service",
      enabled: true,
      active: true,
      guard: { seconds: 90 },
    });
    expect(waitsFor("firewall-unit", "firewall-table")).toBe(true);
    expect(waitsFor("firewall-unit", "firewall-unit-file")).toBe(true);
  });

  it("masks the distribution's unit, whose stop flushes every table, before its own table is loaded", async () => {
    const { resource, waitsFor } = await define();

    expect(resource("firewall-distribution-unit").inputs).toEqual({
      unit: "nftables.service",
      enabled: false,
      active: false,
      masked: true,
    });
    for (const later of ["firewall-table", "firewall-unit", "firewall-loaded"]) {
      expect(waitsFor(later, "firewall-distribution-unit"), later).toBe(true);
    }
  });

  it("admits ssh alone where the table cannot be loaded at boot, and Docker does not start then", async () => {
    const { resource, waitsFor } = await define();

    expect(resource("firewall-unit-file").inputs["content"]).toContain(
      "\nOnFailure=technicia-firewall-fallback.service\n",
    );
    expect(resource("firewall-fallback-unit-file").inputs).toMatchObject({
      path: "/etc/systemd/system/technicia-firewall-fallback.service",
      onChange: "systemctl daemon-reload",
    });
    expect(resource("firewall-docker-override").inputs).toEqual({
      path: "/etc/systemd/system/docker.service.d/10-technicia.conf",
      content: "[Unit]\nRequires=technicia-firewall.service\nAfter=technicia-firewall.service\n",
      onChange: "systemctl daemon-reload",
    });
    expect(waitsFor("firewall-unit", "firewall-fallback-unit-file")).toBe(true);
    expect(waitsFor("firewall-loaded", "firewall-docker-override")).toBe(true);
  });

  it("compares the loaded table with the file, and loads the file when they differ", async () => {
    const { resource, waitsFor } = await define();

    expect(resource("firewall-loaded").inputs).toMatchObject({
      desired: "the loaded table is the file's",
      apply: 'nft --file "$TABLE"',
      remove: "nft delete table inet technicia",
      variables: { TABLE: "/etc/technicia/firewall.nft" },
      guard: { seconds: 90 },
    });
    expect(resource("firewall-loaded").inputs["observe"]).toContain(
      "nft --stateless list table inet technicia",
    );
    expect(waitsFor("firewall-loaded", "firewall-unit")).toBe(true);
  });

  it("creates everything on the host, under one component", async () => {
    const { registrations } = await define();
    const own = registrations.filter(({ parent }) => parent === "firewall");

    expect(own).toHaveLength(7);
    expect(own.map(({ provider }) => provider)).toEqual(Array(7).fill("connection"));
  });
});
