import { createHash } from "node:crypto";

import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

import { describeInApi } from "./service-spec.ts";

/**
 * When Docker's plugin first checks whether a service runs. It checks again 5 s later, then every 10 s.
 *
 * A task takes 1 to 4 s to start, and is healthy at its first health check, 5 s later.
 */
const FIRST_LOOK = "10s";

/** A network that a service joins, and the names it answers to there. */
export interface Attachment {
  readonly network: docker.Network;
  readonly aliases?: readonly string[];
}

/** A secret that a service reads as a file. */
export interface SecretFile {
  /** Value; encrypted in the state, a Swarm secret on the host. */
  readonly value: pulumi.Input<string>;

  /** Name under `/run/secrets`, or an absolute path. */
  readonly file: string;

  /** Whether its first value stays, because its reader never reads it again: another value would restart the service for nothing. @default false */
  readonly isForSetUp?: boolean;
}

/** A volume, a folder of the host or memory that a service sees as a folder. */
export interface Mount {
  readonly type: "volume" | "bind" | "tmpfs";

  /** Volume name or host path; nothing for tmpfs. */
  readonly source?: pulumi.Input<string>;

  readonly target: string;
  readonly readOnly?: boolean;
}

/** What an environment decides about every one of its services. */
export interface CommonServiceArgs {
  /**
   * Image with its digest. Docker's plugin resolves a tag when it creates a service and not when it updates one, so a tag alone would be a
   * difference after every creation.
   */
  readonly image: pulumi.Input<string>;

  /** Memory ceiling in MiB and CPU ceiling in cores. */
  readonly limits: { readonly memoryMib: number; readonly cpus: number };

  /** Longest wait for the service to converge, in seconds. */
  readonly convergenceSeconds: number;

  /** How long an updated task is watched before it counts as good, in seconds. */
  readonly observationSeconds: number;

  /** Name of its lines in the server's journal. @default its lines stay with Docker */
  readonly logTag?: string | undefined;

  /** What has to be done before the task that `revision` names takes the place of another. @default nothing */
  readonly before?: (revision: pulumi.Output<string>) => pulumi.Input<pulumi.Resource>;

  /** Where it runs, of several servers. @default - once, on the only server */
  readonly placement?: Placement | undefined;

  /** Connection to the server of its volumes. @default that of its other resources */
  readonly volumesOn?: docker.Provider | undefined;
}

/** Where tasks of a service run. */
export interface Placement {
  /** How many, or one on every server that fits. */
  readonly tasks: number | "everyServer";

  /** Label that a server has to have: `technicia.n8n`. @default - every server that takes tasks fits */
  readonly label?: string;
}

/** What one long-running service decides; everything else is the same for all of them. */
export interface ServiceArgs extends CommonServiceArgs {
  readonly networks: readonly Attachment[];

  /** Command of the container's health check, in Docker's form (`CMD`, … or `CMD-SHELL`, …). */
  readonly health: readonly string[];

  /** How long a start may take before failed checks count, as a Go duration. @default "30s" */
  readonly startPeriod?: string;

  /** Command instead of the image's entrypoint. @default the image's own */
  readonly command?: readonly string[];

  /** Arguments instead of the image's command. @default the image's own */
  readonly args?: readonly string[];

  /** Environment; never a secret. @default nothing is added */
  readonly environment?: Readonly<Record<string, pulumi.Input<string>>>;

  /** @default - none */
  readonly secrets?: readonly SecretFile[];

  /** @default - none */
  readonly mounts?: readonly Mount[];

  /** User and group ids that own the secret files, as the image's process runs. @default `runsAs`, or 0 */
  readonly uid?: number;

  /** User and group ids of the process, whatever the image says. @default the image's own */
  readonly runsAs?: number;

  /**
   * Whether two instances must never run at once because they would write the same data; such a service stops before its
   * successor starts, and an update that fails stays as it is instead of starting the version before.
   *
   * @default false
   */
  readonly ownsData?: boolean;

  /** Ports published on every address of the host, which forces the same order as `ownsData`. @default none */
  readonly ports?: readonly number[];

  /** Whether the image works with a read-only root file system. @default false */
  readonly readOnly?: boolean;

  /** Capabilities that the service keeps; all others are dropped. @default none */
  readonly capabilities?: readonly string[];

  /** Time between the stop signal and the kill, as a Go duration. @default "30s" */
  readonly stopGracePeriod?: string;
}

/** One long-running service of the Swarm; the only maker of `docker.Service`. */
export class Service extends pulumi.ComponentResource {
  readonly service: docker.Service;

  /** Name under which Docker knows it. */
  readonly swarmName: pulumi.Output<string>;

  /** Image that it runs. */
  readonly image: pulumi.Output<string>;

  /** All that it declares, as Docker's API describes it. */
  readonly spec: pulumi.Output<object>;

  /** Changes whenever what runs changes. */
  readonly revision: pulumi.Output<string>;

  constructor(name: string, args: ServiceArgs, opts: pulumi.ComponentResourceOptions) {
    super("technicia:components:Service", name, {}, opts);
    const taskSpec = describeTask(args, createSecrets(name, args.secrets ?? [], { parent: this }));
    const update = describeUpdate(args);
    const declared = {
      name,
      taskSpec,
      mode: describeMode(args.placement),
      endpointSpec: {
        // Virtual addresses need IPVS in the kernel; one task per service has no use for them.
        mode: "dnsrr",
        ports: (args.ports ?? []).map((port) => ({
          targetPort: port,
          publishedPort: port,
          protocol: "tcp",
          publishMode: "host",
        })),
      },
      updateConfig: update,
      rollbackConfig: { ...update, failureAction: "pause" },
    };
    // The plugin refuses it for a service of every server.
    const convergeConfig = declared.mode.global
      ? undefined
      : { delay: FIRST_LOOK, timeout: goDuration(args.convergenceSeconds) };
    const task = pulumi.output(taskSpec).apply(digestOf);
    const dependsOn = args.before === undefined ? [] : [args.before(task)];
    this.service = new docker.Service(
      `${name}-service`,
      { ...declared, ...(convergeConfig && { convergeConfig }) },
      // Docker adds the platforms of the image to a placement, which the next refresh finds.
      {
        ...{ parent: this, dependsOn },
        ...(args.placement && { ignoreChanges: ["taskSpec.placement.platforms"] }),
      },
    );
    this.spec = pulumi.output(declared).apply(describeInApi);

    this.swarmName = this.service.name;
    this.image = this.service.taskSpec.containerSpec.image;
    // Of what was asked for: the daemon's answer gains defaults at the first refresh.
    this.revision = pulumi.all([task, this.service.id]).apply(([digest]) => digest);
    this.registerOutputs({ revision: this.revision });
  }
}

interface MountedSecret {
  readonly file: string;
  readonly secret: docker.Secret;
}

/** The secrets are auto-named: a new value is a new secret, and the old one goes only after the service has left it. */
function createSecrets(
  name: string,
  secrets: readonly SecretFile[],
  opts: pulumi.CustomResourceOptions,
): MountedSecret[] {
  return secrets.map(({ file, value, isForSetUp = false }) => {
    const data = pulumi.secret(pulumi.output(value).apply(toBase64));
    const options = isForSetUp ? { ...opts, ignoreChanges: ["data"] } : opts;
    return { file, secret: new docker.Secret(`${name}-${secretLabel(file)}`, { data }, options) };
  });
}

function digestOf(spec: object): string {
  return createHash("sha256").update(JSON.stringify(spec)).digest("hex").slice(0, 16);
}

/** `Service.revision` is a digest of this text: a changed order of keys makes the public probe run again in every stack. */
function describeTask(
  args: ServiceArgs,
  secrets: readonly MountedSecret[],
): docker.types.input.ServiceTaskSpec {
  return {
    containerSpec: describeContainer(args, secrets),
    // With `name` every preview would replace the service: the daemon answers with ids.
    networksAdvanceds: args.networks.map(({ network, aliases }) => ({
      id: network.id,
      aliases: [...(aliases ?? [])],
    })),
    resources: {
      limits: {
        memoryBytes: args.limits.memoryMib * 1024 * 1024,
        nanoCpus: Math.round(args.limits.cpus * 1_000_000_000),
      },
    },
    // The daemon answers with all four; one left out would be a permanent difference.
    restartPolicy: { condition: "any", delay: "2s", maxAttempts: 0, window: "0s" },
    logDriver:
      args.logTag === undefined
        ? { name: "json-file", options: { "max-size": "10m", "max-file": "5" } }
        : { name: "journald", options: { tag: args.logTag } },
    ...(args.placement === undefined ? {} : { placement: describePlacement(args.placement) }),
  };
}

function describeMode(placement: Placement | undefined): docker.types.input.ServiceMode {
  if (placement?.tasks === "everyServer") return { global: true };
  return { replicated: { replicas: placement?.tasks ?? 1 } };
}

/** A service that may be anywhere is on as many servers as it has tasks: the plugin hands a preference to Docker as the name of a label alone. */
function describePlacement({ tasks, label }: Placement): docker.types.input.ServiceTaskSpecPlacement {
  return {
    ...(label === undefined ? {} : { constraints: [`node.labels.${label}==1`] }),
    ...(tasks === "everyServer" || tasks < 2 ? {} : { prefs: ["node.id"] }),
  };
}

function describeContainer(
  args: ServiceArgs,
  secrets: readonly MountedSecret[],
): docker.types.input.ServiceTaskSpecContainerSpec {
  const owner = String(args.uid ?? args.runsAs ?? 0);
  return {
    image: args.image,
    ...(args.runsAs === undefined ? {} : { user: `${args.runsAs}:${args.runsAs}` }),
    ...(args.command === undefined ? {} : { commands: [...args.command] }),
    ...(args.args === undefined ? {} : { args: [...args.args] }),
    // The daemon answers with none where it is empty.
    ...(args.environment === undefined ? {} : { env: { ...args.environment } }),
    healthcheck: {
      tests: [...args.health],
      interval: "5s",
      timeout: "5s",
      retries: 3,
      startPeriod: args.startPeriod ?? "30s",
    },
    init: true,
    readOnly: args.readOnly ?? false,
    capDrops: ["ALL"],
    capAdds: (args.capabilities ?? []).map((capability) => `CAP_${capability}`),
    stopGracePeriod: args.stopGracePeriod ?? "30s",
    mounts: (args.mounts ?? []).map((mount) => ({ ...mount, readOnly: mount.readOnly ?? false })),
    secrets: secrets.map(({ file, secret }) => ({
      secretId: secret.id,
      secretName: secret.name,
      fileName: file,
      fileUid: owner,
      fileGid: owner,
      fileMode: 0o400,
    })),
  };
}

function describeUpdate(args: ServiceArgs) {
  const stopFirst = args.ownsData === true || args.ports !== undefined;
  return {
    parallelism: 1,
    // An older version on data that a newer one has migrated may damage it, so that is a person's decision.
    failureAction: args.ownsData === true ? "pause" : "rollback",
    monitor: goDuration(args.observationSeconds),
    maxFailureRatio: "0.0",
    delay: "0s",
    order: stopFirst ? "stop-first" : "start-first",
  };
}

export interface DataVolumeArgs extends Pick<CommonServiceArgs, "volumesOn"> {
  readonly protectData: boolean;
}

/** A volume for data of one service; with `protectData` neither a destroy nor a replacement deletes it. */
export function createDataVolume(
  name: string,
  { protectData, volumesOn }: DataVolumeArgs,
  opts: pulumi.CustomResourceOptions,
): docker.Volume {
  const options = volumesOn === undefined ? opts : { ...opts, provider: volumesOn };
  return new docker.Volume(name, { name }, { ...options, protect: protectData, retainOnDelete: protectData });
}

/** Shell text that reads secret files into the environment of the process that replaces the shell. */
export function withSecretEnvironment(
  variables: Readonly<Record<string, string>>,
  command: string,
): string[] {
  const exports = Object.entries(variables).map(
    ([variable, file]) => `${variable}="$(cat /run/secrets/${file})"; export ${variable};`,
  );
  return ["sh", "-ec", `${exports.join(" ")} exec ${command}`];
}

/** The plugin reads a service's durations back in Go's form without zeros at the end; only that form is stable: `90` is `1m30s`, `60` is `1m`. */
export function goDuration(seconds: number): string {
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  const parts = [
    ...(hours > 0 ? [`${hours}h`] : []),
    ...(hours > 0 || minutes > 0 ? [`${minutes}m`] : []),
    `${seconds % 60}s`,
  ];
  return parts.join("").replace(/m0s$/, "m").replace(/h0m$/, "h");
}

function secretLabel(file: string): string {
  return (file.split("/").pop() ?? file).replace(/\.[a-z]+$/, "").replaceAll("_", "-");
}

function toBase64(value: string): string {
  return Buffer.from(value, "utf8").toString("base64");
}
