import { until } from "../../../common/until.ts";

import { serverRunArgs } from "../../images/server/run.ts";
import type { DockerApi } from "./docker-api.ts";
import { readRunArgs } from "./docker-run.ts";
import { renderEdge } from "./edge-rules.ts";
import type { Machine, MachineSpec } from "./machine.ts";
import type { FirewallRule } from "../ovh/state.ts";

const BOOT_LIMIT_MS = 120_000;
const LINES_OF_FAILURE = 15;

export interface DockerMachineOptions {
  readonly docker: DockerApi;
  /** Name of the server's container; its volume has the same name with `-docker` after it. */
  readonly container: string;
  /** Docker image behind each operating system, by OVH's name for it. */
  readonly images: Readonly<Record<string, string>>;
  /** Docker network of the datacentre. */
  readonly network: string;
  /** The server's default routes. @default those of the Docker network */
  readonly gateway?: string;
  readonly gateway6?: string;
  /** Resolver of the delivered system. */
  readonly nameserver: string;
  /** Certificate authorities (PEM) that the delivered system trusts besides its own. */
  readonly authority?: string;
  /** Container that forwards between the internet and the datacentre. */
  readonly router: string;
  /** A bash script that makes another system of a delivered server before it is handed over. @default none */
  readonly atDelivery?: string;
  /** Seconds for which the updates of the first boot hold dpkg's lock. @default none are installed then */
  readonly upgradeSeconds?: number;
}

/** A server that is a container, behind a router that is another container. Only one server can exist. */
export class DockerMachine implements Machine {
  readonly #options: DockerMachineOptions;

  constructor(options: DockerMachineOptions) {
    this.#options = options;
  }

  async deliver(spec: MachineSpec): Promise<void> {
    // An interrupted delivery or an earlier rehearsal may have left one.
    await this.remove();
    await this.#install(spec);
  }

  async rebuild(spec: MachineSpec): Promise<void> {
    await this.remove();
    await this.#install(spec);
  }

  async reboot(): Promise<void> {
    const { docker, container } = this.#options;
    await docker.call(`POST /containers/${container}/restart?t=30`);
    await this.#booted();
  }

  async remove(): Promise<void> {
    const { docker, container } = this.#options;
    // The swap is the whole machine's, and its file cannot be removed while it is in use.
    await docker.exec(container, ["swapoff", "--all"]).catch(() => undefined);
    await docker.call(`DELETE /containers/${container}?force=true&v=true`, { alsoAccepted: 404 });
    await docker.call(`DELETE /volumes/${this.#volume}?force=true`, { alsoAccepted: 404 });
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

  get #volume(): string {
    return `${this.#options.container}-docker`;
  }

  async #install(spec: MachineSpec): Promise<void> {
    const { docker, container, network, images, gateway, gateway6, nameserver, authority } = this.#options;
    const { upgradeSeconds } = this.#options;
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
        volume: this.#volume,
        dns: [nameserver],
        ...(gateway !== undefined && { gateway }),
        ...(gateway6 !== undefined && { gateway6 }),
        ...(spec.publicKey !== null && { authorizedKey: spec.publicKey }),
        ...(authority !== undefined && { certificates: authority }),
        ...(upgradeSeconds !== undefined && { upgradeSeconds }),
      }),
    );
    const { Labels } = body as { Labels: Readonly<Record<string, string>> };
    await docker.call("POST /volumes/create", { body: { Name: this.#volume, Labels } });
    await docker.call(`POST /containers/create?name=${name}`, { body });
    await docker.call(`POST /containers/${container}/start`);
    await this.#booted();
    // Without a key it is installed once more before anybody has it.
    if (spec.publicKey !== null) await this.#prepare();
  }

  async #prepare(): Promise<void> {
    const { docker, container, atDelivery } = this.#options;
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
  async #booted(): Promise<void> {
    const { docker, container } = this.#options;
    const late = () =>
      new Error(`${container}: expected sshd to run within ${BOOT_LIMIT_MS / 1000} s; look at docker logs`);
    await until(
      async () => (await docker.exec(container, ["systemctl", "is-active", "ssh.service"])).code === 0,
      { limit: BOOT_LIMIT_MS, every: 250, late },
    );
  }
}
