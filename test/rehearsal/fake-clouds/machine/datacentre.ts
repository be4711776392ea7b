import { randomBytes } from "node:crypto";

import { run, tryRun } from "../../../../common/run.ts";
import { DockerApi } from "../../../../rehearsal/fake-clouds/machine/docker-api.ts";
import { DockerMachine } from "../../../../rehearsal/fake-clouds/machine/docker-machine.ts";
import type { ServerAddress } from "../../../../rehearsal/fake-clouds/ovh/context.ts";
import { imageOf } from "../../../support/containers.ts";
import { createFreeNetwork } from "../../../support/free-network.ts";

const LABEL = "technicia.rehearsal=1";

/** Two networks with a router between them: in one a client on the internet, in the other room for a server. */
export interface Datacentre {
  readonly machine: DockerMachine;
  readonly docker: DockerApi;
  readonly address: ServerAddress;
  /** Container of the server, once there is one. */
  readonly server: string;
  readonly router: string;
  readonly client: string;
  /** Address of the client. */
  readonly clientAddress: string;
  /** Runs bash in a container and answers what it printed; fails when it fails. */
  on(container: string, script: string): Promise<string>;
  /** The same, but only says whether it ended well. */
  succeeds(container: string, script: string): Promise<boolean>;
  stop(): Promise<void>;
}

export async function startDatacentre(): Promise<Datacentre> {
  const id = `technicia-test-${randomBytes(4).toString("hex")}`;
  const [server, router, client] = [`${id}-server`, `${id}-router`, `${id}-client`];
  const [internet, inside] = [`${id}-internet`, `${id}-inside`];
  const docker = new DockerApi();
  const stop = async (): Promise<void> => {
    await tryRun(["docker", "rm", "--force", "--volumes", server, router, client]);
    await run(["docker", "volume", "rm", "--force", `${server}-docker`]);
    for (const network of [internet, inside]) await tryRun(["docker", "network", "rm", network]);
  };

  try {
    const { v4: outer } = await createFreeNetwork(internet, LABEL);
    const { v4: inner, v6: inner6 } = await createFreeNetwork(inside, LABEL);
    const image = await imageOf("router");
    const common = ["run", "--detach", "--label", LABEL, "--cap-add", "NET_ADMIN"];
    await run([
      "docker",
      ...[...common, "--name", router, "--network", internet, "--ip", `${outer}.2`],
      ...["--sysctl", "net.ipv4.ip_forward=1", image, "sleep", "infinity"],
    ]);
    await run(["docker", "network", "connect", "--ip", `${inner}.254`, inside, router]);
    await run([
      "docker",
      ...[...common, "--name", client, "--network", internet, "--ip", `${outer}.9`],
      ...[image, "sleep", "infinity"],
    ]);
    await run(["docker", "exec", client, "ip", "route", "add", `${inner}.0/24`, "via", `${outer}.2`]);
    const address = {
      ipv4: `${inner}.10`,
      ipv6: `${inner6}::10`,
      ipv4Gateway: `${inner}.254`,
      ipv6Gateway: `${inner6}::1`,
    };
    const machine = new DockerMachine({
      docker,
      places: [{ container: server, network: inside, gateway: address.ipv4Gateway, ...address }],
      images: { "Debian 12": await imageOf("server") },
      nameserver: "198.51.100.53",
      router,
      atDelivery: "echo prepared > /srv/prepared",
    });
    const bash = (container: string, script: string) =>
      docker.exec(container, ["bash", "-euo", "pipefail", "-c", script]);
    const on = async (container: string, script: string): Promise<string> => {
      const { code, stdout, stderr } = await bash(container, script);
      if (code !== 0) throw new Error(`on ${container}: exit code ${code}\n${script}\n${stderr}`);
      return stdout.trim();
    };
    const succeeds = async (container: string, script: string): Promise<boolean> =>
      (await bash(container, script)).code === 0;
    return {
      ...{ machine, docker, address, server, router, client, on, succeeds, stop },
      clientAddress: `${outer}.9`,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Whether something accepts connections there. */
export function connects(
  from: string,
  to: string,
  port: number,
  { on }: Pick<Datacentre, "on">,
): Promise<boolean> {
  const script = `timeout 2 bash -c 'exec 3<>/dev/tcp/${to}/${port}' 2>/dev/null && echo yes || echo no`;
  return on(from, script).then((answer) => answer === "yes");
}
