import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";

import { Host, type HostArgs } from "../../infra/host.ts";
import { dockerDaemon, packageNames, RELOAD_SSHD, sshd } from "../../infra/host-files.ts";
import * as technicia from "../../provider/resources.ts";
import { register, type Registration } from "../support/engine.ts";
import { publicKey } from "../support/fixtures.ts";
import { orderedServer } from "./ordered-server.ts";

const ssh = {
  user: "debian",
  port: 22,
  privateKeyFile: "~/.ssh/id_ed25519",
  publicKey,
  adminCidrs: { v4: ["198.51.100.0/24"], v6: ["2001:db8:51::/64"] },
  admins: [{ name: "alice", keys: [publicKey, `${publicKey}-2`] }],
};

function define(change: Partial<HostArgs> = {}) {
  return register(
    () =>
      new Host("host", {
        cloud: new technicia.Connection("cloud", {}),
        edgeFirewall: new technicia.Connection("edge", {}),
        address: pulumi.output("203.0.113.10"),
        serverId: pulumi.output("disk-1"),
        ssh,
        dockerSource: "distribution",
        swapGib: 4,
        timeZone: "Europe/Paris",
        ...change,
      }),
  );
}

const names = (registrations: readonly Registration[]) => registrations.map(({ name }) => name);

describe("Host", () => {
  it("reads the host key over the cloud's connection, and requires it in all its own connections", async () => {
    const { resource } = await define();

    expect(resource("host-key")).toMatchObject({
      type: "technicia:host:HostKey",
      provider: "cloud",
      inputs: { address: "203.0.113.10", port: 22, serverId: "disk-1" },
    });
    expect(resource("host-connection").inputs).toEqual({
      hostAddress: "203.0.113.10",
      hostPort: "22",
      hostUser: "debian",
      hostPrivateKeyFile: "~/.ssh/id_ed25519",
      hostKey: "ssh-ed25519 AAAAhost",
      serverId: "disk-1",
    });
    expect(resource("host-docker-connection").inputs).toMatchObject({ host: "ssh://debian@203.0.113.10:22" });
    expect(resource("host-docker-connection").inputs["sshOpts"]).toContain(
      '"KnownHostsCommand=/bin/echo %H ssh-ed25519 AAAAhost"',
    );
  });

  it("creates everything else through its own connection, under one component", async () => {
    const { registrations } = await define();
    const others = registrations.filter(
      ({ custom, type, name }) => custom && !type.startsWith("pulumi:providers:") && name !== "host-key",
    );

    expect(others.length).toBeGreaterThan(15);
    expect(others.filter(({ provider }) => provider !== "host-connection")).toEqual([]);
    expect(others.filter(({ parent }) => !["host", "host-firewall"].includes(parent))).toEqual([]);
  });

  it("forbids passwords only once the keys of everybody that sshd admits exist", async () => {
    const { resource, waitsFor } = await define();

    expect(resource("host-sshd").inputs).toEqual({
      path: "/etc/ssh/sshd_config.d/10-technicia.conf",
      content: sshd([22], ["debian", "alice"]),
      validate: 'sshd -t -f "$FILE"',
      onChange: RELOAD_SSHD,
      guard: { seconds: 90 },
    });
    for (const first of ["host-login-keys", "host-admin-alice-keys", "host-admin-alice-sudo"]) {
      expect(waitsFor("host-sshd", first), first).toBe(true);
    }
  });

  it("gives each administrator an account, keys and sudo, whose files are checked first", async () => {
    const { resource, waitsFor } = await define();

    expect(resource("host-admin-alice").inputs).toMatchObject({
      desired: "alice administers",
      remove: '! id "$LOGIN" >/dev/null 2>&1 || userdel "$LOGIN"',
      variables: { LOGIN: "alice" },
    });
    expect(resource("host-admin-alice-keys").inputs).toEqual({
      path: "/home/alice/.ssh/authorized_keys",
      content: `${publicKey}\n${publicKey}-2\n`,
      owner: "alice",
      group: "alice",
      mode: "0600",
      validate: 'ssh-keygen -l -f "$FILE" >/dev/null',
      guard: { seconds: 90 },
    });
    expect(resource("host-admin-alice-sudo").inputs).toEqual({
      path: "/etc/sudoers.d/technicia-alice",
      content: "alice ALL=(ALL) NOPASSWD:ALL\n",
      mode: "0440",
      validate: 'visudo --check --quiet --file="$FILE"',
      guard: { seconds: 90 },
    });
    expect(waitsFor("host-admin-alice-keys", "host-admin-alice")).toBe(true);
  });

  it("admits only the login user when the settings name nobody else", async () => {
    const { resource, registrations } = await define({ ssh: { ...ssh, admins: [] } });

    expect(resource("host-sshd").inputs["content"]).toBe(sshd([22], ["debian"]));
    expect(names(registrations).filter((name) => name.includes("admin"))).toEqual([]);
  });

  it("writes dockerd's settings before the package starts it for the first time", async () => {
    const { resource, waitsFor } = await define();

    expect(resource("host-docker-settings").inputs).toMatchObject({
      path: "/etc/docker/daemon.json",
      content: dockerDaemon(),
    });
    expect(resource("host-packages").inputs).toEqual({
      names: packageNames("distribution"),
      namesIfKnown: ["docker-cli"],
    });
    expect(waitsFor("host-packages", "host-docker-settings")).toBe(true);
  });

  it.each(["Europe/Kiev", "US/Pacific", "EST5EDT"])(
    "has a package for the time zone %s on the releases that moved it there, before it is set",
    async (timeZone) => {
      const { resource, waitsFor } = await define({ timeZone });

      expect(resource("host-packages").inputs["namesIfKnown"]).toEqual(["docker-cli", "tzdata-legacy"]);
      expect(resource("host-time-zone").inputs["desired"]).toBe(timeZone);
      expect(waitsFor("host-time-zone", "host-packages")).toBe(true);
    },
  );

  it("adds Docker's repository before it installs from it, and only then", async () => {
    const own = await define({ dockerSource: "docker" });
    const distribution = await define();

    expect(own.resource("host-packages").inputs).toEqual({ names: packageNames("docker"), namesIfKnown: [] });
    expect(own.waitsFor("host-packages", "host-docker-repository")).toBe(true);
    expect(own.waitsFor("host-docker-repository", "host-docker-repository-key")).toBe(true);
    expect(own.resource("host-docker-repository-packages").inputs).toEqual({ names: ["ca-certificates"] });
    expect(own.waitsFor("host-docker-repository", "host-docker-repository-packages")).toBe(true);
    expect(names(distribution.registrations).filter((name) => name.includes("repository"))).toEqual([]);
  });

  it("loads the firewall before Docker runs and before the swarm opens its ports", async () => {
    const { waitsFor } = await define();

    expect(waitsFor("host-docker", "host-firewall-loaded")).toBe(true);
    expect(waitsFor("host-swarm", "host-firewall-loaded")).toBe(true);
    expect(waitsFor("host-firewall-table", "host-packages")).toBe(true);
  });

  it("starts a swarm of one manager that listens to its own server alone", async () => {
    const { resource } = await define();

    expect(resource("host-swarm").inputs).toMatchObject({
      desired: "active, manager: true, listening at 127.0.0.1:2377",
      remove: "docker swarm leave --force",
    });
  });

  it("looks for what is in the way before anything is installed or written for Docker", async () => {
    const { resource, waitsFor } = await define();

    expect(resource("host-obstacles").inputs).toMatchObject({
      desired: "nothing in the way",
      variables: { SOURCE: "distribution" },
    });
    expect(waitsFor("host-obstacles", "edge")).toBe(true);
    expect(waitsFor("host-docker-settings", "host-obstacles")).toBe(true);
    expect(waitsFor("host-packages", "host-obstacles")).toBe(true);
  });

  it("connects to Docker only once everything else on the host is ready", async () => {
    const { waitsFor } = await define();
    const ready = [
      ...[
        "host-node",
        "host-swarm",
        "host-docker",
        "host-docker-group",
        "host-sshd",
        "host-sysctl",
        "host-journal",
      ],
      ...["host-time-zone", "host-clock", "host-swap"],
    ];

    expect(ready.filter((name) => !waitsFor("host-docker-connection", name))).toEqual([]);
  });

  it("lets the login user use Docker, as ssh:// needs", async () => {
    const { resource } = await define();

    expect(resource("host-docker-group").inputs).toMatchObject({
      desired: "debian may use docker",
      variables: { LOGIN: "debian" },
    });
  });

  it("creates a swap file of the size of the settings, and none for 0", async () => {
    const some = await define({ swapGib: 4 });
    const none = await define({ swapGib: 0 });

    expect(some.resource("host-swap").inputs).toMatchObject({
      desired: "4 GiB",
      variables: { SIZE_GIB: "4" },
    });
    expect(names(none.registrations)).not.toContain("host-swap");
  });

  it("sets the time zone, the clock, the journal and daily upgrades", async () => {
    const { resource } = await define();

    expect(resource("host-time-zone").inputs).toMatchObject({
      desired: "Europe/Paris",
      variables: { ZONE: "Europe/Paris" },
    });
    expect(resource("host-clock").inputs["desired"]).toBe("kept in time");
    expect(resource("host-journal").inputs["content"]).toBe(
      "[Journal]\nSystemMaxUse=500M\nMaxRetentionSec=1month\n",
    );
    expect(resource("host-upgrades").inputs["path"]).toBe("/etc/apt/apt.conf.d/52technicia-upgrades");
    expect(resource("host-upgrades-timer").inputs).toEqual({
      unit: "apt-daily-upgrade.timer",
      enabled: true,
      active: true,
    });
  });

  it("keeps the exporter on the loopback from its first moment, and stops it when the monitoring goes", async () => {
    const { resource, waitsFor } = await define({ isMonitored: true });
    const { path, content, onChange } = resource("host-exporter-override").inputs;

    expect(path).toBe("/etc/systemd/system/prometheus-node-exporter.service.d/10-technicia.conf");
    expect(content).toMatch(
      /^ExecStart=\nExecStart=\/usr\/bin\/prometheus-node-exporter --web\.listen-address=127\.0\.0\.1:9100 /m,
    );
    expect(onChange).toContain("systemctl disable --now --quiet prometheus-node-exporter.service");
    expect(waitsFor("host-packages", "host-exporter-override")).toBe(true);
    expect(resource("host-packages").inputs["names"]).toEqual(
      packageNames("distribution", { isMonitored: true }),
    );
    expect(names((await define()).registrations)).not.toContain("host-exporter-override");
  });

  it("lets the journal take what all containers say together", async () => {
    const { resource } = await define({ isMonitored: true });

    expect(resource("host-journal").inputs["content"]).toContain(
      "RateLimitIntervalSec=30s\nRateLimitBurst=100000\n",
    );
  });

  it("registers the same while the server's address is not known yet", async () => {
    const program = () => {
      const { ipv4, serverId } = new technicia.Vps("server", orderedServer);
      new Host("host", {
        cloud: new technicia.Connection("cloud", {}),
        edgeFirewall: new technicia.Connection("edge", {}),
        address: ipv4,
        serverId,
        ssh,
        dockerSource: "docker",
        swapGib: 4,
        timeZone: "Europe/Paris",
      });
    };
    const preview = await register(program, { preview: true });
    const update = await register(program);

    expect(names(preview.registrations).sort()).toEqual(names(update.registrations).sort());
  });
});
