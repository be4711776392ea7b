import type * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

import { DOCUMENTS } from "../common/documents.ts";
import { COLLECTION } from "../common/services.ts";
import { script } from "../common/script.ts";
import * as technicia from "../provider/resources.ts";
import { UID as N8N_UID } from "./n8n.ts";
import { createPrograms } from "./python-programs.ts";
import { UID as PYTHON_UID } from "./python-service.ts";
import { createDataVolume, type Mount } from "./service.ts";

const FOLDER = "/opt/technicia/documents";
const KEY_FILE = "/etc/technicia/documents/qdrant-key";
const SCRIPTS = new URL("scripts/documents/", import.meta.url);

/** Beyond the longest run of a workflow: whoever has not ended by then was killed. */
const GRACE_SECONDS = 120;

/** What an environment decides about the files of its uploaded documents. */
export interface DocumentsArgs {
  /** Name of the environment. */
  readonly stack: string;
  readonly host: technicia.Connection;

  /** Whether `pulumi destroy` must leave the files alone. */
  readonly protectData: boolean;

  /** Connection to the server of its volume. @default that of its other resources */
  readonly volumesOn?: docker.Provider | undefined;

  /** Longest execution of a workflow, in seconds. */
  readonly executionSeconds: number;

  /** How long the PDF of a failed ingestion is kept, in days. */
  readonly failedDays: number;

  /** Of Qdrant, if it asks for one. */
  readonly qdrantKey?: pulumi.Input<string> | undefined;
}

/**
 * The files of uploaded documents: their volume, the program that lists, deletes and indexes them again, and a timer that removes what a failed
 * ingestion has left.
 */
export class Documents extends pulumi.ComponentResource {
  readonly volume: docker.Volume;

  /** What a service that reads and writes the files starts after. */
  readonly ready: pulumi.Resource;

  constructor(name: string, args: DocumentsArgs, opts: pulumi.ComponentResourceOptions) {
    super("technicia:components:Documents", name, {}, opts);
    const onHost = { parent: this, provider: args.host };
    this.volume = createDataVolume(`${name}-data`, args, { parent: this });
    this.ready = new technicia.State(
      `${name}-folder`,
      {
        observe: script(new URL("scripts/documents-folder-observe.sh", import.meta.url)),
        desired: `${N8N_UID}:${PYTHON_UID} 2770`,
        apply: script(new URL("scripts/documents-folder-apply.sh", import.meta.url)),
        variables: { VOLUME: this.volume.name, OWNER: `${N8N_UID}:${PYTHON_UID}`, MODE: "2770" },
      },
      { ...onHost, dependsOn: [this.volume] },
    );
    createProgram(name, args, { ...onHost, dependsOn: [this.ready] });
    this.registerOutputs({});
  }

  /** The volume as a service's folder. */
  mount(): Mount {
    return { type: "volume", source: this.volume.name, target: DOCUMENTS.folder };
  }
}

function createProgram(name: string, args: DocumentsArgs, onHost: pulumi.CustomResourceOptions): void {
  const programs = createPrograms(name, { scripts: SCRIPTS, folder: FOLDER, main: "main.py" }, onHost);
  const settings = new technicia.File(
    `${name}-settings`,
    { path: "/etc/technicia/documents.json", content: renderSettings(args) },
    onHost,
  );
  const key =
    args.qdrantKey === undefined
      ? []
      : [
          new technicia.File(
            `${name}-qdrant-key`,
            { path: KEY_FILE, content: pulumi.secret(args.qdrantKey), mode: "0400" },
            onHost,
          ),
        ];
  createTimer(name, { ...onHost, dependsOn: [...programs, settings, ...key] });
}

function renderSettings({ stack, executionSeconds, failedDays, qdrantKey }: DocumentsArgs): string {
  const settings = {
    stack,
    volume: DOCUMENTS.volume,
    collection: COLLECTION.collection,
    qdrant: "http://127.0.0.1:6333",
    n8n: "http://127.0.0.1:5678",
    staleSeconds: executionSeconds + GRACE_SECONDS,
    failedDays,
    ...(qdrantKey !== undefined && { qdrantKey: KEY_FILE }),
  };
  return `${JSON.stringify(settings, undefined, 2)}\n`;
}

function createTimer(name: string, onHost: pulumi.CustomResourceOptions): void {
  const files = [
    ["service", SWEEP],
    ["timer", EVERY_MINUTE],
  ].map(
    ([ending, content]) =>
      new technicia.File(
        `${name}-${ending}`,
        {
          path: `/etc/systemd/system/technicia-documents.${ending}`,
          content: content!,
          onChange: "systemctl daemon-reload",
        },
        onHost,
      ),
  );
  new technicia.Unit(
    `${name}-schedule`,
    { unit: "technicia-documents.timer", enabled: true, active: true },
    { ...onHost, dependsOn: files },
  );
}

const SWEEP = `[Unit]
Description=Remove what failed ingestions of documents have left
Requires=docker.service
After=docker.service

[Service]
Type=oneshot
ExecStart=${FOLDER}/main.py sweep
Nice=10
TimeoutStartSec=10min
`;

const EVERY_MINUTE = `[Unit]
Description=Remove what failed ingestions of documents have left

[Timer]
OnBootSec=2min
OnUnitInactiveSec=1min

[Install]
WantedBy=timers.target
`;
