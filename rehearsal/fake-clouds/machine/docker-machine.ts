import { until } from "../../../common/until.ts";

import { serverRunArgs } from "../../images/server/run.ts";
import type { DockerApi } from "./docker-api.ts";
import { readRunArgs } from "./docker-run.ts";
import { renderEdge } from "./edge-rules.ts";
import type { Machine, MachineSpec } from "./machine.ts";
import type { FirewallRule } from "../ovh/state.ts";

const BOOT_LIMIT_MS = 120_000;
const LINES_OF_FAILURE = 15;

/** Room for one server. */
export interface Place {
  /** Name of the server's container; its volume has the same name with `-docker` after it. */
  readonly container: string;
  /** Docker network of the datacentre. */
  readonly network: string;
  readonly ipv4: string;
  readonly ipv6: string;
  /** As OVH names it. */
  readonly datacentre?: string;
  /** The server's default routes. */
  readonly gateway: string;
  /** @default that of the Docker network */
  readonly gateway6?: string;
}

export interface DockerMachineOptions {
  readonly docker: Pick<DockerApi, "call" | "exec">;
  /** A server is in the place that has its IPv4 address. */
  readonly places: readonly Place[];
  /** Docker image behind each operating system, by OVH's name for it. */
  readonly images: Readonly<Record<string, string>>;
  /** Resolver of the delivered system. */
  readonly nameserver: string;
  /** Certificate authorities (PEM) that the delivered system trusts besides its own. */
  readonly authority?: string;
  /** Container that forwards between the internet and the datacentre. */
  readonly router: string;
  /** A bash script that makes another system of a delivered server before it is handed over. @default none */
  readonly atDelivery?: string;
  /** Whether programs on a server may make network devices. @default false */
  readonly hasTun?: boolean;
  /** Seconds for which the updates of the first boot hold dpkg's lock. @default none are installed then */
  readonly upgradeSeconds?: number;
}

/** Servers that are containers, behind a router that is another container. */
export class DockerMachine implements Machine {
  readonly #options: DockerMachineOptions;

  constructor(options: DockerMachineOptions) {
    this.#options = options;
  }

  async deliver(spec: MachineSpec): Promise<void> {
    // An interrupted delivery or an earlier rehearsal may have left one.
    await this.remove(spec);
    await this.#install(spec);
  }

  async rebuild(spec: MachineSpec): Promise<void> {
    await this.remove(spec);
    await this.#install(spec);
  }

  async reboot(spec: MachineSpec): Promise<void> {
    const place = this.#placeOf(spec);
    await this.#options.docker.call(`POST /containers/${place.container}/restart?t=30`);
    await this.#booted(place);
  }

  async remove(spec: MachineSpec): Promise<void> {
    const { docker } = this.#options;
    const { container } = this.#placeOf(spec);
    // The swap is the whole machine's, and its file cannot be removed while it is in use.
    await docker.exec(container, ["swapoff", "--all"]).catch(() => undefined);
    await docker.call(`DELETE /containers/${container}?force=true&v=true`, { alsoAccepted: 404 });
    await docker.call(`DELETE /volumes/${volumeOf(container)}?force=true`, { alsoAccepted: 404 });
  }

  async applyFirewall(ip: string, rules: readonly FirewallRule[], enabled: boolean): Promise<void> {
    const { docker, router } = this.#options;
    const script = renderEdge(ip, rules, enabled);
    const { code, stderr } = await docker.exec(router, [
      "sh",
      "-c",
      'printf %s "$1" | nft -f -',
      "sh",
      script,
    ]);
    if (code !== 0) throw new Error(`edge firewall of ${ip}: nft ended with ${code}: ${stderr.trim()}`);
  }

  #placeOf({ serviceName, ipv4 }: MachineSpec): Place {
    const place = this.#options.places.find((one) => one.ipv4 === ipv4);
    if (place === undefined) throw new Error(`${serviceName}: no place has the address ${ipv4}`);
    return place;
  }

  async #install(spec: MachineSpec): Promise<void> {
    const { docker, images, nameserver, authority, upgradeSeconds, hasTun = false } = this.#options;
    const place = this.#placeOf(spec);
    const { container, network, gateway, gateway6 } = place;
    const volume = volumeOf(container);
    const image = images[spec.image];
    if (!image) {
      throw new Error(
        `no image for the operating system "${spec.image}"; npm start -- --image "${spec.image}" builds it`,
      );
    }
    const { name, body } = readRunArgs(
      serverRunArgs({
        name: container,
        image,
        hostname: spec.serviceName.split(".")[0] ?? spec.serviceName,
        network,
        ip: spec.ipv4,
        ip6: spec.ipv6,
        volume,
        dns: [nameserver],
        gateway,
        ...(gateway6 !== undefined && { gateway6 }),
        ...(spec.publicKey !== null && { authorizedKey: spec.publicKey }),
        ...(authority !== undefined && { certificates: authority }),
        ...(upgradeSeconds !== undefined && { upgradeSeconds }),
        hasTun,
      }),
    );
    const { Labels } = body as { Labels: Readonly<Record<string, string>> };
    await docker.call("POST /volumes/create", { body: { Name: volume, Labels } });
    await docker.call(`POST /containers/create?name=${name}`, { body });
    await docker.call(`POST /containers/${container}/start`);
    await this.#booted(place);
    // Without a key it is installed once more before anybody has it.
    if (spec.publicKey !== null) await this.#prepare(place);
  }

  async #prepare({ container }: Place): Promise<void> {
    const { docker, atDelivery } = this.#options;
    if (atDelivery === undefined) return;
    const { code, stdout, stderr } = await docker.exec(container, [
      "bash",
      "-euo",
      "pipefail",
      "-c",
      atDelivery,
    ]);
    if (code === 0) return;
    const said = `${stdout}${stderr}`.trim().split("\n").slice(-LINES_OF_FAILURE).join("\n");
    throw new Error(`${container}: its script at delivery ended with ${code}: ${said}`);
  }

  /** OVH reports a server as installed once it runs; cloud-init and the first updates may take minutes more. */
  async #booted({ container }: Place): Promise<void> {
    const { docker } = this.#options;
    const late = () =>
      new Error(`${container}: expected sshd to run within ${BOOT_LIMIT_MS / 1000} s; look at docker logs`);
    await until(
      async () => (await docker.exec(container, ["systemctl", "is-active", "ssh.service"])).code === 0,
      { limit: BOOT_LIMIT_MS, every: 250, late },
    );
  }
}

function volumeOf(container: string): string {
  return `${container}-docker`;
}
