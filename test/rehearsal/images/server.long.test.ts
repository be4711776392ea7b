import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { ensureAuthority } from "../../../rehearsal/authority.ts";
import { run } from "../../../common/run.ts";
import { docker } from "../../../rehearsal/docker.ts";
import { publishImages } from "../../../rehearsal/images/publish.ts";
import { serverRunArgs } from "../../../rehearsal/images/server/run.ts";
import { prepareImages } from "../../../rehearsal/images/build.ts";
import { SYSTEM_NAMES } from "../../../rehearsal/images/catalog.ts";
import { Bench, type Container, images, uniqueName } from "./container.ts";
import { until } from "../../support/until.ts";

const ADDRESS = "198.18.77.10";
const ADDRESS6 = "2001:db8:77::10";
/** Of a second server on the same network. */
const OTHER_ADDRESS = "198.18.77.11";
const OTHER_ADDRESS6 = "2001:db8:77::11";

async function booted(container: Container): Promise<string> {
  return until("the server has booted", async () => {
    const state = await container
      .exec(["systemctl", "is-system-running"])
      .catch((error: unknown) => String(error));
    return /running\n|degraded/.test(state) ? state.trim() : undefined;
  });
}

describe.each(SYSTEM_NAMES)("the server image of %s", (system) => {
  const bench = new Bench();
  let folder: string;
  let network: string;
  let server: Container;

  async function deliver(ip: string, ip6: string): Promise<Container> {
    const name = uniqueName("server");
    const resolver = /^nameserver\s+(\S+)/m.exec(await readFile("/etc/resolv.conf", "utf8"))?.[1] ?? "";
    const delivered = {
      authorizedKey: (await readFile(join(folder, "key.pub"), "utf8")).trim(),
      certificates: await readFile(join(folder, "ca.pem"), "utf8"),
      dns: [resolver],
    };
    const { systems } = await prepareImages({ progress: () => undefined, system });
    const image = systems[system] ?? "";
    const volume = await bench.volume();
    await docker(serverRunArgs({ name, network, ip, ip6, volume, image, hostname: "vps-1", ...delivered }));
    return bench.adopt(name);
  }

  /** Runs a command as the login user, as an operator would. */
  function ssh(address: string, command: string): Promise<string> {
    const options = [
      "StrictHostKeyChecking=no",
      `UserKnownHostsFile=${join(folder, "known_hosts")}`,
      "LogLevel=ERROR",
      "BatchMode=yes",
    ];
    return run([
      "ssh",
      "-i",
      join(folder, "key"),
      ...options.flatMap((option) => ["-o", option]),
      `debian@${address}`,
      command,
    ]);
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "technicia-server-"));
    await ensureAuthority(folder);
    await run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", join(folder, "key")]);
    network = await bench.network("--subnet", "198.18.77.0/24", "--ipv6", "--subnet", "2001:db8:77::/64");
    server = await deliver(ADDRESS, ADDRESS6);
  });

  afterAll(async () => {
    await bench.remove();
    await rm(folder, { recursive: true });
  });

  it("boots to running without a failed unit, within 20 s", async () => {
    expect(await booted(server)).toBe("running");
    const [seconds] = /[\d.]+(?=s \(userspace\))/.exec(await server.exec(["systemd-analyze", "time"])) ?? [
      "0.9",
    ];
    expect(Number(seconds)).toBeLessThan(20);
  });

  it("lets in the key of the order, with sudo and without passwords", async () => {
    expect(await ssh(ADDRESS, "sudo id -un; id -un; hostname")).toBe("root\ndebian\nvps-1\n");
    expect(await ssh(ADDRESS6, "sudo passwd --status debian; sudo passwd --status root")).toMatch(
      /^debian L .*\nroot L /,
    );
  });

  it("is a fresh system of that release with nothing of ours on it", async () => {
    expect(await ssh(ADDRESS, ". /etc/os-release; echo $PRETTY_NAME")).toContain(
      `Debian GNU/Linux ${system.replace("Debian ", "")} (`,
    );
    await expect(ssh(ADDRESS, "command -v docker || command -v nft || command -v iptables")).rejects.toThrow(
      "got 1",
    );
    expect(
      await ssh(
        ADDRESS,
        "systemctl is-active systemd-timesyncd ssh cron; test ! -d /opt/technicia && echo none",
      ),
    ).toBe("active\nactive\nactive\nnone\n");
  });

  it("trusts the authority that came with the order", async () => {
    expect(await ssh(ADDRESS, "openssl verify /usr/local/share/ca-certificates/delivery.crt")).toContain(
      ": OK",
    );
  });

  it("has ordinary files where Docker mounts its own, for they are replaced by renaming", async () => {
    const replaced =
      "for f in hostname hosts resolv.conf; do sudo cp /etc/$f /etc/$f.new && sudo mv /etc/$f.new /etc/$f || exit 1; done";

    await expect(
      ssh(ADDRESS, `${replaced}; sudo hostnamectl set-hostname renamed && hostname`),
    ).resolves.toBe("renamed\n");
  });

  it("gives each server host keys of its own", async () => {
    const other = await deliver(OTHER_ADDRESS, OTHER_ADDRESS6);
    await booted(other);
    const keyOf = (container: Container) => container.exec(["cat", "/etc/ssh/ssh_host_ed25519_key.pub"]);

    expect(await keyOf(other)).not.toBe(await keyOf(server));
  });

  it("comes back from a reboot typed on it as the same server", async () => {
    const before = await ssh(
      ADDRESS,
      "cat /etc/ssh/ssh_host_ed25519_key.pub /etc/machine-id; echo kept | sudo tee /etc/kept",
    );
    const boots = async () => Number(await server.inspect("{{.RestartCount}}"));
    const earlier = await boots();
    await ssh(ADDRESS, "sudo systemctl reboot").catch(() => undefined);
    await until("the server has booted again", async () => (await boots()) > earlier);

    expect(await booted(server)).toBe("running");
    expect(await ssh(ADDRESS, "cat /etc/ssh/ssh_host_ed25519_key.pub /etc/machine-id /etc/kept")).toBe(
      before,
    );
    // What was changed by hand stays, as on a disk.
    expect(await ssh(ADDRESS, "cat /etc/hostname")).toBe("renamed\n");
  });

  it("comes back from docker restart within 30 s", async () => {
    const began = Date.now();
    await docker(["restart", "--time", "30", server.name]);

    expect(await booted(server)).toBe("running");
    expect(Date.now() - began).toBeLessThan(30_000);
  });
});

describe("publishImages", () => {
  it("publishes nothing twice", async () => {
    await publishImages(await images(), { progress: () => undefined });
    const progress: string[] = [];
    await publishImages(await images(), { progress: (line) => progress.push(line) });

    expect(progress).toEqual([]);
  });
});
