import { describe, expect, it } from "vitest";

import { readRunArgs } from "../../../../rehearsal/fake-clouds/machine/docker-run.ts";
import { serverRunArgs } from "../../../../rehearsal/images/server/run.ts";

describe("readRunArgs", () => {
  it("asks the engine for the server that the command line describes", () => {
    const { name, body } = readRunArgs(
      serverRunArgs({
        name: "server",
        image: "server:dev",
        hostname: "vps-1",
        network: "datacentre",
        ip: "203.0.113.10",
        ip6: "2001:db8:113::10",
        volume: "server-docker",
        gateway: "203.0.113.254",
        authorizedKey: "ssh-ed25519 AAAA= someone",
      }),
    );

    expect(name).toBe("server");
    expect(body).toMatchObject({
      Image: "server:dev",
      Hostname: "vps-1",
      Env: [
        "container=docker",
        "DELIVERY_GATEWAY=203.0.113.254",
        "DELIVERY_AUTHORIZED_KEY=ssh-ed25519 AAAA= someone",
      ],
      Labels: { "technicia.rehearsal": "1" },
      HostConfig: {
        NetworkMode: "datacentre",
        SecurityOpt: ["seccomp=unconfined", "apparmor=unconfined"],
        MaskedPaths: [],
        ReadonlyPaths: [],
        CgroupnsMode: "host",
        Binds: ["/sys/fs/cgroup:/sys/fs/cgroup:rw", "server-docker:/var/lib/docker"],
        Tmpfs: { "/run": "", "/run/lock": "", "/tmp": "exec" },
        RestartPolicy: { Name: "unless-stopped" },
      },
      NetworkingConfig: {
        EndpointsConfig: {
          datacentre: { IPAMConfig: { IPv4Address: "203.0.113.10", IPv6Address: "2001:db8:113::10" } },
        },
      },
    });
    expect(body).not.toHaveProperty("Cmd");
  });

  it("passes the command on", () => {
    expect(readRunArgs(["run", "image", "sleep", "1"]).body).toMatchObject({
      Image: "image",
      Cmd: ["sleep", "1"],
    });
  });

  it("fails when an option is not known", () => {
    expect(() => readRunArgs(["run", "--memory", "1g", "image"])).toThrow(
      'docker run: expected a known option, got "--memory"',
    );
  });
});
