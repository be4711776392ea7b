import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { run, tryRun } from "../../common/run.ts";
import { script } from "../../common/script.ts";
import { imageOf } from "../support/containers.ts";

const IPV6 = script(new URL("../../infra/scripts/ipv6.sh", import.meta.url));
const NAME = `technicia-test-ipv6-${process.pid}`;
const ADDRESS = "2001:db8:113::10";
const GATEWAY = "2001:db8:1ff::1";

// A line to a router of its own, as an image that configures IPv4 alone leaves it.
const LINE = `
ip netns del gateway 2>/dev/null || true
ip link del eth9 2>/dev/null || true
ip netns add gateway
ip link add eth9 type veth peer name gw0 netns gateway
ip netns exec gateway sysctl --quiet --write net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.accept_dad=0
sysctl --quiet --write net.ipv6.conf.all.disable_ipv6=0
ip netns exec gateway ip link set gw0 up
ip netns exec gateway ip -6 address add ${GATEWAY}/64 dev gw0 nodad
ip netns exec gateway ip -6 route add 2001:db8:113::/64 dev gw0
ip link set eth9 up
ip address add 192.0.2.10/24 dev eth9
ip -4 route replace default via 192.0.2.1 dev eth9
rm --recursive --force /etc/netplan /etc/systemd/network /etc/network /usr/local/bin/*
mkdir --parents /usr/local/bin`;

beforeAll(async () => {
  await run([
    ...["docker", "run", "--detach", "--name", NAME, "--label", "technicia.rehearsal=test"],
    ...["--network", "none", "--cap-add", "NET_ADMIN", "--cap-add", "SYS_ADMIN"],
    ...["--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"],
    ...["--security-opt", "systempaths=unconfined"],
    ...["--entrypoint", "sleep", await imageOf("server"), "infinity"],
  ]);
});
afterAll(() => run(["docker", "rm", "--force", "--volumes", NAME]));
beforeEach(() => bash(LINE));

const tryBash = (text: string) =>
  tryRun(["docker", "exec", "--interactive", NAME, "bash", "-euo", "pipefail", "-s"], { input: text });

async function bash(text: string): Promise<string> {
  const { code, stdout, stderr } = await tryBash(text);
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  return stdout.trim();
}

const ipv6 = (what: "observe" | "apply" | "remove") =>
  bash(`ADDRESS=${ADDRESS}\nGATEWAY=${GATEWAY}\n${IPV6}\n${what}`);

/** The ways in which images configure their network, and the file that each gets. */
const MANAGERS = {
  netplan: {
    setUp: `mkdir /etc/netplan; touch /etc/netplan/50-cloud-init.yaml; printf '#!/bin/sh\n' >/usr/local/bin/netplan; chmod +x /usr/local/bin/netplan`,
    file: "/etc/netplan/60-technicia-ipv6.yaml",
    content: `network:
  version: 2
  ethernets:
    eth9:
      addresses: ["${ADDRESS}/128"]
      routes: [{ to: "::/0", via: "${GATEWAY}", on-link: true }]`,
  },
  networkd: {
    setUp: `printf '#!/bin/sh\necho "Network File: /etc/systemd/network/10-eth.network"\n' >/usr/local/bin/networkctl; chmod +x /usr/local/bin/networkctl`,
    file: "/etc/systemd/network/10-eth.network.d/60-technicia-ipv6.conf",
    content: `[Network]\nAddress=${ADDRESS}/128\n\n[Route]\nGateway=${GATEWAY}\nGatewayOnLink=yes`,
  },
  ifupdown: {
    setUp: `mkdir /etc/network; echo 'source /etc/network/interfaces.d/*' >/etc/network/interfaces`,
    file: "/etc/network/interfaces.d/60-technicia-ipv6",
    content: `iface eth9 inet6 static
    address ${ADDRESS}/128
    accept_ra 0
    post-up ip -6 route replace ${GATEWAY} dev eth9
    post-up ip -6 route replace default via ${GATEWAY} dev eth9`,
  },
};

describe.each(Object.entries(MANAGERS))(
  "the IPv6 address, where %s configures the network",
  (_name, manager) => {
    it("is configured now and for the next boot", async () => {
      await bash(manager.setUp);
      expect(await ipv6("observe")).toBe(`no interface has ${ADDRESS}`);

      await ipv6("apply");

      expect(await ipv6("observe")).toBe("configured");
      expect(await bash(`cat ${manager.file}`)).toBe(manager.content);
    });

    it("loses its file with the setting", async () => {
      await bash(manager.setUp);
      await ipv6("apply");

      await ipv6("remove");

      expect((await tryBash(`test -e ${manager.file}`)).code).toBe(1);
    });
  },
);

describe("the IPv6 address", () => {
  it("is left alone where the image has configured it", async () => {
    await bash(
      `ip -6 address add ${ADDRESS}/64 dev eth9 nodad; ip -6 route add ${GATEWAY} dev eth9; ip -6 route add default via ${GATEWAY}`,
    );

    expect(await ipv6("observe")).toBe("configured");
  });

  it("differs without a default route", async () => {
    await bash(`ip -6 address add ${ADDRESS}/64 dev eth9 nodad`);

    expect(await ipv6("observe")).toBe("no default route");
  });

  it("differs where the gateway does not answer", async () => {
    await bash(MANAGERS.ifupdown.setUp);
    await ipv6("apply");
    await bash("ip netns exec gateway ip link set gw0 down; ip -6 neighbour flush dev eth9");

    expect(await ipv6("observe")).toBe("the gateway of the default route does not answer");
  });

  it("is taken back where the gateway does not answer, because everything would wait for it", async () => {
    await bash(MANAGERS.ifupdown.setUp);
    await bash("ip netns exec gateway ip link set gw0 down");

    const { code, stderr } = await tryBash(`ADDRESS=${ADDRESS}\nGATEWAY=${GATEWAY}\n${IPV6}\napply`);

    expect(code).toBe(1);
    expect(stderr).toBe(
      `server.ipv6: expected the gateway ${GATEWAY} to answer, got no answer; set server.ipv6 to false to do without IPv6\n`,
    );
    expect(await ipv6("observe")).toBe(`no interface has ${ADDRESS}`);
    expect(await bash("ip -6 route show default; ls /etc/network/interfaces.d")).toBe("");
  });

  it("is nothing where OVHcloud assigned none", async () => {
    expect(await bash(`ADDRESS=\nGATEWAY=\n${IPV6}\nobserve`)).toBe("configured");
  });

  it("ends in .cfg where only such files are read", async () => {
    await bash(`mkdir /etc/network; echo 'source /etc/network/interfaces.d/*.cfg' >/etc/network/interfaces`);

    await ipv6("apply");

    expect(await bash("ls /etc/network/interfaces.d")).toBe("60-technicia-ipv6.cfg");
  });

  it("is refused with a sentence where nothing configures the network", async () => {
    const { code, stderr } = await tryBash(`ADDRESS=${ADDRESS}\nGATEWAY=${GATEWAY}\n${IPV6}\napply`);

    expect(code).toBe(1);
    expect(stderr).toContain(`configure ${ADDRESS} on the server yourself, or set server.ipv6 to false`);
  });
});
