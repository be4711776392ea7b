import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

import { scriptParts } from "../common/script.ts";
import { createDataVolume, Service, type CommonServiceArgs } from "./service.ts";

const UID = 1000;
const { ready: READY } = scriptParts(new URL("scripts/qdrant-ready.sh", import.meta.url), ["ready"]);

/** What an environment decides about its Qdrant. */
export interface QdrantArgs extends CommonServiceArgs {
  /** Network that Qdrant shares with its callers. */
  readonly network: docker.Network;

  /** Key that every request must carry; none when a caller cannot send it. */
  readonly apiKey?: pulumi.Input<string> | undefined;

  /** Key that it takes as well, while the callers change from one to the other. @default - none */
  readonly otherApiKey?: pulumi.Input<string> | undefined;

  /** Whether `pulumi destroy` must leave the stored vectors alone. */
  readonly protectData: boolean;
}

/** The vector database of one environment; it publishes no port. */
export class Qdrant extends pulumi.ComponentResource {
  readonly service: Service;
  readonly volume: docker.Volume;

  constructor(name: string, args: QdrantArgs, opts: pulumi.ComponentResourceOptions) {
    super("technicia:components:Qdrant", name, {}, opts);

    this.volume = createDataVolume(`${name}-storage`, args, { parent: this });
    const snapshots = createDataVolume(`${name}-snapshots`, args, { parent: this });
    this.service = new Service(
      name,
      {
        ...args,
        networks: [{ network: args.network, aliases: ["qdrant", "technicia-qdrant"] }],
        // The image's own entrypoint lets PID 1 end before Qdrant has flushed.
        command: ["./qdrant"],
        environment: {
          QDRANT__TELEMETRY_DISABLED: "true",
          QDRANT__LOG_LEVEL: "INFO",
          QDRANT__SERVICE__ENABLE_CORS: "false",
          QDRANT__SERVICE__ENABLE_SNAPSHOT_URL_RECOVERY: "false",
          QDRANT__STORAGE__SNAPSHOTS_PATH: "/qdrant/snapshots",
          // Its own default is in the image's folder.
          QDRANT_INIT_FILE_PATH: "/qdrant/storage/.qdrant-initialized",
        },
        // Qdrant reads no `_FILE` variable; its configuration file keeps the key out of `docker inspect`.
        secrets:
          args.apiKey === undefined
            ? []
            : [
                {
                  file: "/qdrant/config/production.yaml",
                  value: configuration(args.apiKey, args.otherApiKey),
                },
              ],
        uid: UID,
        readOnly: true,
        mounts: [
          { type: "volume", source: this.volume.name, target: "/qdrant/storage" },
          { type: "volume", source: snapshots.name, target: "/qdrant/snapshots" },
          { type: "tmpfs", target: "/tmp" },
        ],
        health: ["CMD", "bash", "-c", READY],
        ownsData: true,
        stopGracePeriod: "1m",
      },
      { parent: this },
    );
    this.registerOutputs({});
  }
}

function configuration(
  apiKey: pulumi.Input<string>,
  otherApiKey: pulumi.Input<string> | undefined,
): pulumi.Output<string> {
  const other = otherApiKey === undefined ? {} : { alt_api_key: otherApiKey };
  return pulumi.jsonStringify({ service: { api_key: apiKey, ...other } });
}
