/** Runs the gateway's nginx with exactly the rights and limits that the component registers. */
import { join } from "node:path";

import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

import { tryRun } from "../../common/run.ts";
import { script } from "../../common/script.ts";
import type { GatewayConfig } from "../../components/gateway-config.ts";
import { Gateway } from "../../components/gateway.ts";
import type { DeclaredService } from "../../components/service-spec.ts";
import * as technicia from "../../provider/resources.ts";
import { imageOf } from "../support/containers.ts";
import { register } from "../support/engine.ts";
import { gatewayConfig } from "../support/gateway.ts";
import { ask, makeCertificate, type Stage, untilServing } from "./nginx.ts";

/** The memory limit of the committed stacks. */
const MEMORY_MIB = 256;

/** What the component registers for nginx. */
interface ContainerSpec {
  readonly commands: readonly string[];
  readonly capDrops: readonly string[];
  readonly capAdds: readonly string[];
  readonly mounts: readonly {
    readonly type: string;
    readonly source?: string;
    readonly target: string;
    readonly tmpfsOptions?: { readonly sizeBytes?: number };
  }[];
}

interface Declared {
  readonly taskSpec: { readonly containerSpec: ContainerSpec };
}

/** What the component registers for a state of the host. */
interface StateScripts {
  readonly observe: string;
  readonly desired: string;
  readonly apply: string;
  readonly variables: Readonly<Record<string, string>>;
}

export async function defineGateway(change: Partial<GatewayConfig>) {
  const { resource } = await register(() => {
    const provider = new docker.Provider("docker", {});
    new Gateway(
      "gateway",
      {
        image: "nginx",
        limits: { memoryMib: MEMORY_MIB, cpus: 0.5 },
        host: new technicia.Connection("host", {}),
        networks: [new docker.Network("edge", {}, { provider })],
        config: gatewayConfig(change),
        n8nOwner: new pulumi.ComponentResource("test:index:Owner", "owner"),
        convergenceSeconds: 300,
        observationSeconds: 10,
      },
      { provider },
    );
  });
  const { hold } = gatewayConfig(change);
  const inputs = resource("gateway-service").inputs as unknown as DeclaredService & Declared;
  const service = Object.entries(inputs).filter(([name]) => name !== "convergeConfig");
  return {
    service: Object.fromEntries(service) as unknown as DeclaredService & Declared,
    handover: {
      program: resource("gateway-handover-program").inputs as { path: string; content: string },
      begin: resource("gateway-handover-begin").inputs as unknown as StateScripts,
      end: resource("gateway-handover-end").inputs as unknown as StateScripts,
    },
    configuration: resource("gateway-configuration").inputs as { content: string; validate: string },
    placeholder: resource("gateway-placeholder").inputs as { apply: string },
    route: resource("gateway-n8n-route").inputs as { path: string; content: string },
    hold: hold && {
      script: resource("gateway-hold").inputs["content"] as string,
      program: resource("gateway-hold-program").inputs["content"] as string,
    },
    container: inputs.taskSpec.containerSpec,
  };
}

type Files = Awaited<ReturnType<typeof defineGateway>>;

/** Starts it and gives its address once it serves; its certificate and configuration are in the stage's folder. */
export async function startGateway(
  stage: Stage,
  {
    files,
    role = "gateway",
    domain = gatewayConfig().domain,
  }: { readonly files: Files; readonly role?: string; readonly domain?: string },
): Promise<string> {
  // The script that has it read its files again knows the first one by this name.
  const configuration = role === "gateway" ? "nginx.conf" : `${role}.conf`;
  await stage.write(configuration, files.configuration.content);
  await makeCertificate(files.placeholder.apply, stage.folder, domain);
  const address = await stage.network.start(role, [
    ...runArguments(files.container, stage.folder),
    // As Swarm would have it, for the script that tells nginx to read its files again.
    ...["--label", `com.docker.swarm.service.name=technicia-${role}`],
    ...["--health-cmd", "true", "--health-interval", "500ms"],
    await imageOf("nginx"),
    ...files.container.commands.map((word) => word.replace("nginx.conf", configuration)),
  ]);
  await untilServing(() => ask(address, { path: "/", name: domain })).catch(async (error: unknown) => {
    throw new Error(await stage.network.logs(role), { cause: error });
  });
  return address;
}

const RELOAD = new URL("../../components/scripts/gateway-reload.sh", import.meta.url);

/** Has it read its files again, by the script of the server; fails with what that printed. */
export async function reloadGateway({ network }: Stage): Promise<void> {
  // On a server there is one gateway; here other tests have theirs at the same time.
  const ours = `docker() {
  if [ "$1" = ps ]; then command docker "$@" --filter network=${network.name}; else command docker "$@"; fi
}
`;
  const { code, stderr } = await tryRun(["bash", "-s"], { input: `${ours}${script(RELOAD)}` });
  if (code !== 0) throw new Error(`the reload ended with ${code}: ${stderr}`);
}

function runArguments(container: ContainerSpec, folder: string): string[] {
  const onHost: Record<string, string> = {
    "/opt/technicia/gateway": folder,
    "/opt/technicia/acme": join(folder, "acme"),
  };
  const mounts = container.mounts.flatMap(({ type, source = "", target, tmpfsOptions }) => [
    "--mount",
    type === "tmpfs"
      ? ["type=tmpfs", `dst=${target}`, ...sizeOf(tmpfsOptions)].join(",")
      : `type=bind,src=${onHost[source]},dst=${target},readonly`,
  ]);
  return [
    ...["--init", "--read-only", "--security-opt", "no-new-privileges:true"],
    // Swarm gives a container as much swap again.
    ...["--memory", `${MEMORY_MIB}m`, "--memory-swap", `${2 * MEMORY_MIB}m`],
    ...container.capDrops.flatMap((capability) => ["--cap-drop", capability]),
    ...container.capAdds.flatMap((capability) => ["--cap-add", capability]),
    ...mounts,
  ];
}

function sizeOf(options: ContainerSpec["mounts"][number]["tmpfsOptions"]): string[] {
  return options?.sizeBytes === undefined ? [] : [`tmpfs-size=${options.sizeBytes}`];
}
