import { describe, expect, it } from "vitest";

import { DockerMachine } from "../../../../rehearsal/fake-clouds/machine/docker-machine.ts";
import { placesOf, SECOND_SERVER, SERVER } from "../../../../rehearsal/world.ts";

/** Two servers behind an engine that does whatever it is told, and what it was told. */
function machineOf() {
  const told: string[] = [];
  const bodies = new Map<string, unknown>();
  const machine = new DockerMachine({
    docker: {
      call: (endpoint, { body } = {}) => {
        told.push(endpoint);
        bodies.set(endpoint, body);
        return Promise.resolve(undefined);
      },
      exec: (container, [program = ""]) => {
        told.push(`${program} on ${container}`);
        return Promise.resolve({ code: 0, stdout: "", stderr: "" });
      },
    },
    places: placesOf({ hasNeighbour: true, servers: "1" }),
    images: { "Debian 12": "server:1" },
    nameserver: "198.51.100.53",
    router: "router",
  });
  return { machine, told, bodies };
}

const [first, second] = placesOf({ hasNeighbour: true, servers: "1" }).map(({ ipv4, ipv6 }, index) => ({
  ...{ serviceName: `vps-${index}.vps.ovh.net`, image: "Debian 12", publicKey: null, ipv4, ipv6 },
})) as [Spec, Spec];
type Spec = Parameters<DockerMachine["deliver"]>[0];

describe("the servers behind the fake OVH", () => {
  it("are each delivered to the place that has their address", async () => {
    const { machine, told, bodies } = machineOf();
    await machine.deliver(first);
    await machine.deliver(second);

    expect(told.filter((line) => line.startsWith("POST /containers/create"))).toEqual([
      `POST /containers/create?name=${SERVER}`,
      `POST /containers/create?name=${SECOND_SERVER}`,
    ]);
    expect(bodies.get(`POST /containers/create?name=${SECOND_SERVER}`)).toMatchObject({
      Hostname: "vps-1",
      Env: expect.arrayContaining(["DELIVERY_GATEWAY=198.18.114.254"]) as unknown,
      HostConfig: {
        NetworkMode: "technicia-rehearsal-datacentre-2",
        Binds: expect.arrayContaining([`${SECOND_SERVER}-docker:/var/lib/docker`]) as unknown,
      },
    });
  });

  it.each(["rebuild", "reboot", "remove"] as const)("leave the other alone: %s", async (action) => {
    const { machine, told } = machineOf();
    await machine[action](second);

    const named = told.filter((line) => line.includes(SERVER));
    expect(named).not.toEqual([]);
    expect(named.filter((line) => !line.includes(SECOND_SERVER))).toEqual([]);
  });

  it("have an address that there is room for", async () => {
    const { machine, told } = machineOf();

    await expect(machine.deliver({ ...first, ipv4: "198.18.115.10" })).rejects.toThrow(
      "vps-0.vps.ovh.net: no place has the address 198.18.115.10",
    );
    expect(told).toEqual([]);
  });
});
