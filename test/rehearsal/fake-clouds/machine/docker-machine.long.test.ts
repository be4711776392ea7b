/* eslint-disable
  @typescript-eslint/no-unsafe-assignment,
  @typescript-eslint/no-unsafe-member-access
  -- answers have every shape, and their shape is what is asserted here */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { type FakeOvh, startOvh } from "../../../../rehearsal/fake-clouds/ovh/server.ts";
import { run } from "../../../../common/run.ts";
import { until } from "../../../support/until.ts";
import { connects, type Datacentre, startDatacentre } from "./datacentre.ts";
import { ovhClient } from "../ovh/client.ts";
import { orderServer } from "../ovh/ordering.ts";

let place: Datacentre;
let ovh: FakeOvh;
let call: ReturnType<typeof ovhClient>;
let serviceName: string;
let folder: string;
let publicKey: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "technicia-machine-"));
  await run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", join(folder, "key")]);
  publicKey = (await readFile(join(folder, "key.pub"), "utf8")).trim();
  place = await startDatacentre();
  ovh = await startOvh({ machine: place.machine, addresses: [place.address], images: ["Debian 12"] });
  call = ovhClient(ovh.url);
});

afterAll(async () => {
  await ovh.close();
  await place.stop();
  await rm(folder, { recursive: true });
});

/** cloud-init may restart sshd once more after OVH has reported the server as installed. */
function lettingIn(): Promise<boolean> {
  return until("the server lets the ordered key in", () =>
    ssh("true").then(
      () => true,
      () => false,
    ),
  );
}

/** Logs in as the image's first user with the key that was ordered. */
function ssh(command: string): Promise<string> {
  const options = [
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "BatchMode=yes",
    "ConnectTimeout=5",
  ];
  const flags = options.flatMap((option) => ["-o", option]);
  return run(["ssh", ...flags, "-i", join(folder, "key"), `debian@${place.address.ipv4}`, command]);
}

const hostKey = (): Promise<string> =>
  place.on(place.server, "cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub");

async function taskDone(path: string): Promise<void> {
  const { body: task } = await call(
    "POST",
    `/vps/${serviceName}${path}`,
    path === "/rebuild" ? await rebuild() : undefined,
  );
  await ovh.settled();
  expect((await call("GET", `/vps/${serviceName}/tasks/${task.id}`)).body.state).toBe("done");
}

async function rebuild(): Promise<unknown> {
  const [imageId] = (await call("GET", `/vps/${serviceName}/images/available`)).body;
  return { imageId, publicSshKey: publicKey };
}

describe("a server behind the fake OVH", () => {
  it("listens on port 22 once its order is delivered, and lets nobody in", async () => {
    serviceName = await orderServer(ovh, call);

    expect(await connects(place.client, place.address.ipv4, 22, place)).toBe(true);
    await expect(ssh("true")).rejects.toThrow("Permission denied");
    expect(await place.on(place.server, "ls /srv")).toBe("");
  });

  it("is another system after a rebuild: own host keys, nothing of the old disk, the key let in", async () => {
    const before = await hostKey();
    await place.on(place.server, "echo old > /srv/old; echo old > /var/lib/docker/old");

    await taskDone("/rebuild");

    await lettingIn();
    expect(await ssh("sudo id --user --name; hostname")).toBe(`root\n${serviceName.split(".")[0]}\n`);
    expect(await hostKey()).not.toBe(before);
    expect(await place.on(place.server, "ls /srv /var/lib/docker")).not.toContain("old");
  });

  it("has been prepared by the script at delivery, once somebody can log in", async () => {
    expect(await place.on(place.server, "cat /srv/prepared")).toBe("prepared");
  });

  it("keeps its disk, host keys, routes and resolver over a reboot", async () => {
    const before = await hostKey();
    const bootedAt = await place.on(place.server, "stat --format=%Y /proc/1");
    await place.on(place.server, "echo kept > /srv/kept; echo kept > /var/lib/docker/kept; touch /run/gone");

    await taskDone("/reboot");

    await lettingIn();
    expect(await place.on(place.server, "cat /srv/kept /var/lib/docker/kept")).toBe("kept\nkept");
    expect(await place.succeeds(place.server, "test -e /run/gone")).toBe(false);
    expect(await place.on(place.server, "stat --format=%Y /proc/1")).not.toBe(bootedAt);
    expect(await hostKey()).toBe(before);
    expect(await place.on(place.server, "ip -4 route show default")).toContain(place.address.ipv4Gateway);
    expect(await place.on(place.server, "cat /etc/resolv.conf")).toBe("nameserver 198.51.100.53");
    expect(await ssh("echo in")).toBe("in\n");
  });
});

describe("the enforced edge firewall", () => {
  const firewall = (): string => `/ip/${place.address.ipv4}%2F32/firewall`;
  const rules = (): string => `${firewall()}/${place.address.ipv4}/rule`;
  const reachesServer = (port: number): Promise<boolean> =>
    connects(place.client, place.address.ipv4, port, place);
  const serverReachesOut = (): Promise<boolean> => connects(place.server, place.clientAddress, 9000, place);
  const add = async (sequence: number, rule: object): Promise<void> => {
    expect((await call("POST", rules(), { sequence, ...rule })).status).toBe(200);
    await ovh.settled();
  };
  const remove = async (sequence: number): Promise<void> => {
    expect((await call("DELETE", `${rules()}/${sequence}`)).status).toBe(200);
    await ovh.settled();
  };
  const enable = async (enabled: boolean): Promise<void> => {
    expect((await call("PUT", `${firewall()}/${place.address.ipv4}`, { enabled })).status).toBe(200);
    await ovh.settled();
  };

  beforeAll(async () => {
    await place.on(place.server, "systemd-run --quiet python3 -m http.server 8000");
    await place.on(
      place.server,
      `cat > /srv/udp.py <<'PY'
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 7000))
while True:
    size = len(s.recvfrom(65535)[0])
    open(f"/run/udp-{size}", "w").close()
PY
systemd-run --quiet python3 /srv/udp.py`,
    );
    // Perl and bash are all that the client's image has.
    await place.docker.exec(place.client, [
      "bash",
      "-c",
      `perl -MIO::Socket::INET -e '
      my $s = IO::Socket::INET->new(LocalPort => 9000, Listen => 5, ReuseAddr => 1) or die; exit if fork; while (my $c = $s->accept) { close $c }' > /dev/null 2>&1 < /dev/null`,
    ]);
    await until("the server's web server answers", () => reachesServer(8000));
    await until("the server's UDP port is open", () =>
      place.succeeds(place.server, "ss -lun | grep -q :7000"),
    );
    expect((await call("POST", firewall(), { ipOnFirewall: place.address.ipv4 })).status).toBe(200);
  });

  it("lets everything through until it is switched on", async () => {
    await add(0, { action: "permit", protocol: "tcp", tcpOption: { option: "established" } });
    await add(1, { action: "permit", protocol: "tcp", destinationPort: 22 });
    await add(19, { action: "deny", protocol: "ipv4" });

    expect(await reachesServer(8000)).toBe(true);
  });

  it("then drops what no rule permits, and answers to the server still arrive", async () => {
    await enable(true);

    expect(await reachesServer(22)).toBe(true);
    expect(await reachesServer(8000)).toBe(false);
    expect(await serverReachesOut()).toBe(true);
  });

  it("keeps no state: without the rule for established traffic the server hears no answer", async () => {
    await remove(0);

    expect(await reachesServer(22)).toBe(true);
    expect(await serverReachesOut()).toBe(false);
    await add(0, { action: "permit", protocol: "tcp", tcpOption: { option: "established" } });
    expect(await serverReachesOut()).toBe(true);
  });

  it("goes by the lowest matching sequence and by the source", async () => {
    await add(2, { action: "deny", protocol: "tcp", destinationPort: 8000, source: place.clientAddress });
    await add(3, { action: "permit", protocol: "tcp", destinationPort: 8000 });
    expect(await reachesServer(8000)).toBe(false);

    await remove(2);
    expect(await reachesServer(8000)).toBe(true);
    await remove(3);
  });

  it("drops fragments of UDP even where UDP is permitted", async () => {
    const send = (size: number): Promise<string> =>
      place.on(
        place.client,
        `perl -e 'print "x" x ${size}' | head -c ${size} > /dev/udp/${place.address.ipv4}/7000`,
      );
    const arrived = (size: number) => () => place.succeeds(place.server, `test -e /run/udp-${size}`);
    await add(4, { action: "permit", protocol: "udp", destinationPort: 7000 });

    await send(3001);
    await send(101);
    // The small one was sent last: when it is there, the large one has had its chance.
    await until("the small datagram arrives", arrived(101));
    expect(await arrived(3001)()).toBe(false);

    await enable(false);
    await send(3001);
    await until("the large datagram arrives once the firewall is off", arrived(3001));
    await enable(true);
  });

  it("is removed with its rules", async () => {
    expect((await call("DELETE", `${firewall()}/${place.address.ipv4}`)).status).toBe(200);

    expect(await reachesServer(8000)).toBe(true);
    expect((await call("GET", firewall())).body).toEqual([]);
  });
});
