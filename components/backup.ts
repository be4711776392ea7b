import { createHmac } from "node:crypto";

import * as pulumi from "@pulumi/pulumi";

import { DOCUMENTS } from "../common/documents.ts";
import { LOOPBACK_PORTS } from "../common/monitoring.ts";
import { PLANNED, silencesFor } from "../common/planned-alerts.ts";
import * as technicia from "../provider/resources.ts";
import { createPrograms } from "./python-programs.ts";

const FOLDER = "/opt/technicia/backup";
const PROGRAM = `${FOLDER}/main.py`;
const SCRIPTS = new URL("scripts/backup/", import.meta.url);

/** What an environment decides about its backups. */
export interface BackupArgs {
  readonly host: technicia.Connection;

  /** Name of the environment. */
  readonly stack: string;

  /** restic's image. */
  readonly image: pulumi.Input<string>;

  readonly place: { readonly address: string; readonly region: string; readonly bucket: string };

  readonly database: "sqlite" | "postgres";

  /** Whether the files of uploaded documents are kept. */
  readonly documents: boolean;

  /** Whether alerts watch the server, of which a drill silences those about its own load. */
  readonly isMonitored: boolean;

  readonly schedule: {
    readonly hours: number;
    readonly qdrantHours: number;
    readonly drillDays: number;
    readonly memoryMib: number;
    readonly drillMemoryMib: number;
  };

  readonly keys: {
    /** As `<access key id>:<secret access key>`. */
    readonly writer: pulumi.Input<string>;
    readonly reader: pulumi.Input<string>;
    readonly password: pulumi.Input<string>;

    /** Of Qdrant, if it asks for one. */
    readonly qdrant?: pulumi.Input<string> | undefined;

    /** n8n's own; only a fingerprint of it leaves the program. */
    readonly n8n: pulumi.Input<string>;
  };
}

/** The sets of backups: the program that makes, restores and rehearses them on the server, its keys, and its timers. */
export class Backup extends pulumi.ComponentResource {
  constructor(name: string, args: BackupArgs, opts: pulumi.ComponentResourceOptions) {
    super("technicia:components:Backup", name, {}, opts);
    const onHost = { parent: this, provider: args.host };
    const programs = createPrograms(name, { scripts: SCRIPTS, folder: FOLDER, main: "main.py" }, onHost);
    const settings = new technicia.File(
      `${name}-settings`,
      { path: "/etc/technicia/backup.json", content: renderSettings(args) },
      onHost,
    );
    const keys = createKeys(name, args, onHost);
    for (const [kind, calendar, description] of [
      ["backup", `*-*-* 00/${args.schedule.hours}:00:00`, "Make a set of TechnicIA's backups"],
      ["drill", "*-*-* 02:30:00", "Rehearse the restore of TechnicIA's newest set"],
    ] as const) {
      createTimer(
        kind === "backup" ? name : `${name}-${kind}`,
        { kind, calendar, description },
        { ...onHost, dependsOn: [...programs, settings, ...keys] },
      );
    }
    this.registerOutputs({});
  }
}

function createKeys(
  name: string,
  { keys }: BackupArgs,
  onHost: pulumi.CustomResourceOptions,
): pulumi.Resource[] {
  const files = {
    writer: credentials(keys.writer),
    reader: credentials(keys.reader),
    password: keys.password,
    "qdrant-key": keys.qdrant,
  };
  return Object.entries(files).flatMap(([file, content]) =>
    content === undefined
      ? []
      : [
          new technicia.File(
            `${name}-${file}`,
            { path: `/etc/technicia/backup/${file}`, content: pulumi.secret(content), mode: "0400" },
            onHost,
          ),
        ],
  );
}

/** The form of AWS's shared file of credentials. */
function credentials(key: pulumi.Input<string>): pulumi.Output<string> {
  return pulumi.output(key).apply((text) => {
    const [id = "", ...secret] = text.split(":");
    return `[default]\naws_access_key_id = ${id}\naws_secret_access_key = ${secret.join(":")}\n`;
  });
}

/** Alertmanager on the server's loopback, and the alerts that a drill causes. */
const SILENCE = {
  address: `http://127.0.0.1:${LOOPBACK_PORTS.alerts}`,
  comment: `${PLANNED}rehearsal of a restore`,
  matchers: silencesFor({ kind: "drill" }),
};

function renderSettings({
  stack,
  image,
  place,
  database,
  documents,
  isMonitored,
  schedule,
  keys,
}: BackupArgs): pulumi.Output<string> {
  const fingerprint = pulumi.unsecret(pulumi.output(keys.n8n).apply(fingerprintOf));
  const { qdrantHours, drillDays, memoryMib, drillMemoryMib } = schedule;
  return pulumi.all([image, fingerprint]).apply(([restic, keyFingerprint]) => {
    const settings = {
      stack,
      repository: `s3:${place.address}/${place.bucket}/${stack}`,
      region: place.region,
      restic,
      database,
      qdrantHours,
      drillDays,
      memoryMib,
      drillMemoryMib,
      keyFingerprint,
      // A key that is not there leaves the file of every other environment as it is.
      ...(documents && { documents: DOCUMENTS.volume }),
      ...(isMonitored && { silence: SILENCE }),
    };
    return `${JSON.stringify(settings, undefined, 2)}\n`;
  });
}

/** Tells two keys apart, and neither from a random text. */
export function fingerprintOf(key: string): string {
  return createHmac("sha256", key).update("technicia").digest("hex");
}

interface Timer {
  readonly kind: "backup" | "drill";
  readonly calendar: string;
  readonly description: string;
}

function createTimer(
  name: string,
  { kind, calendar, description }: Timer,
  onHost: pulumi.CustomResourceOptions,
): void {
  const unit = kind === "backup" ? "technicia-backup" : "technicia-backup-drill";
  const command = kind === "backup" ? "make" : "drill --when-due";
  const files = [
    ["service", renderService(description, command)],
    ["timer", renderTimer(description, calendar)],
  ].map(
    ([ending, content]) =>
      new technicia.File(
        `${name}-${ending}`,
        {
          path: `/etc/systemd/system/${unit}.${ending}`,
          content: content!,
          onChange: "systemctl daemon-reload",
        },
        onHost,
      ),
  );
  new technicia.Unit(
    `${name}-schedule`,
    { unit: `${unit}.timer`, enabled: true, active: true },
    { ...onHost, dependsOn: files },
  );
}

function renderService(description: string, command: string): string {
  return `[Unit]
Description=${description}
Requires=docker.service
After=docker.service network-online.target
Wants=network-online.target

[Service]
Type=oneshot
ExecStart=${PROGRAM} ${command}
Nice=19
IOSchedulingClass=idle
CPUWeight=1
TimeoutStartSec=6h
`;
}

function renderTimer(description: string, calendar: string): string {
  return `[Unit]
Description=${description}

[Timer]
OnCalendar=${calendar}
RandomizedDelaySec=5min
Persistent=true

[Install]
WantedBy=timers.target
`;
}
