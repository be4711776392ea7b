/** What the host sends to the stores: its own metrics and those of its containers, and its journal. */
import * as pulumi from "@pulumi/pulumi";

import { INTAKE_PORTS, LOOPBACK_PORTS } from "../../common/monitoring.ts";
import { script } from "../../common/script.ts";
import * as technicia from "../../provider/resources.ts";
import { createPrograms } from "../python-programs.ts";

const SCRIPTS = new URL("../scripts/monitoring/", import.meta.url);
const OF_SERVER = new URL("../scripts/monitoring-server/", import.meta.url);
const PATCHES = new URL("../../ops/server/patches.sh", import.meta.url);
export const RELOAD_UNITS = "systemctl daemon-reload";

/** The host's exporter of metrics; it listens on the loopback, as a file that is there before its package says. */
export function createExporter(name: string, onHost: pulumi.CustomResourceOptions): void {
  new technicia.Unit(
    `${name}-exporter`,
    { unit: "prometheus-node-exporter.service", enabled: true, active: true },
    onHost,
  );
}

/** One of several servers. */
export interface Sender {
  /** Address in the tunnel of the server of the stores. @default - it is this one */
  readonly store?: string;

  /** Whether it knows what the Swarm is to run. */
  readonly managesSwarm: boolean;

  /** How often its collector writes a line: the journal of a server without work would count as lost. */
  readonly signSeconds: number;
}

interface Collection {
  readonly seconds: number;
  /** Folder on the host. */
  readonly folder: string;

  /** @default - an only server, which is not named in what it sends */
  readonly sender?: Sender | undefined;
}

/** Address and port at which each of several servers sends. */
export function intakeOf({ store }: Sender): string {
  return store === undefined ? `127.0.0.1:${INTAKE_PORTS.loopback}` : `${store}:${INTAKE_PORTS.tunnel}`;
}

/** Measures containers and records, and pushes that and the exporter's metrics to the store; gives its modules. */
export function createCollector(
  name: string,
  collection: Collection,
  onHost: pulumi.CustomResourceOptions,
): technicia.File[] {
  const { folder, sender } = collection;
  const main = mainOf(collection);
  const modules = [SCRIPTS, ...(sender ? [OF_SERVER] : [])].flatMap((scripts) =>
    createPrograms(name, { scripts, folder, main }, onHost),
  );
  const patches = new technicia.File(
    `${name}-program-patches`,
    { path: `${folder}/patches.sh`, content: script(PATCHES), validate: 'bash -n "$FILE"' },
    onHost,
  );
  const service = new technicia.File(
    `${name}-collect-service`,
    {
      path: "/etc/systemd/system/technicia-collect.service",
      content: renderCollector(collection),
      onChange: RELOAD_UNITS,
    },
    onHost,
  );
  const files = [...modules, patches, service];
  new technicia.Unit(
    `${name}-collect`,
    {
      unit: "technicia-collect.service",
      enabled: true,
      active: true,
      triggers: files.map(({ sha256 }) => sha256),
    },
    { ...onHost, dependsOn: [...dependenciesOf(onHost), ...files] },
  );
  return modules;
}

/** Of a program that reads what everybody may read, and writes nothing but its own counters. */
export const SANDBOX = `CapabilityBoundingSet=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_UNIX AF_INET
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
`;

const mainOf = ({ sender }: Pick<Collection, "sender">) =>
  sender === undefined ? "collect.py" : "collect_server.py";

function renderSender({ managesSwarm, signSeconds }: Sender): string {
  const manages = managesSwarm ? "Environment=MANAGES_SWARM=yes\n" : "";
  return `Environment=SIGN_SECONDS=${signSeconds}\n${manages}`;
}

/** Of a program that reads everything and changes nothing but its own counters. */
function renderCollector(collection: Collection): string {
  const { seconds, folder, sender } = collection;
  const store = sender === undefined ? `127.0.0.1:${LOOPBACK_PORTS.metrics}` : intakeOf(sender);
  const ofSeveral = sender === undefined ? "" : renderSender(sender);
  return `[Unit]
Description=Measure the host and TechnicIA's containers
After=docker.service network.target
StartLimitIntervalSec=0

[Service]
ExecStart=/usr/bin/python3 -B ${folder}/${mainOf(collection)}
Environment=SECONDS_BETWEEN=${seconds}
Environment=STORE=${store}
Environment=EXPORTER=127.0.0.1:9100
Environment=DOCKER_SOCKET=/run/docker.sock
${ofSeveral}Restart=always
RestartSec=5
RuntimeDirectory=technicia-collect
RuntimeDirectoryPreserve=yes
UMask=0077
Nice=5
CPUQuota=50%
# apt, which is asked once an hour, takes most of it.
MemoryMax=256M
${SANDBOX}
[Install]
WantedBy=multi-user.target
`;
}

/** The journal, with the lines of all containers: what the store has taken is not sent again, and what it missed is sent later. */
export function createJournalUpload(
  name: string,
  sender: Sender | undefined,
  onHost: pulumi.CustomResourceOptions,
): void {
  const store = sender === undefined ? `127.0.0.1:${LOOPBACK_PORTS.logs}` : intakeOf(sender);
  const settings = new technicia.File(
    `${name}-journal-settings`,
    {
      path: "/etc/systemd/journal-upload.conf.d/10-technicia.conf",
      content: `[Upload]\nURL=http://${store}/insert/journald\n`,
    },
    onHost,
  );
  const override = new technicia.File(
    `${name}-journal-override`,
    {
      path: "/etc/systemd/system/systemd-journal-upload.service.d/10-technicia.conf",
      // By itself it ends for good when the store is away.
      content: "[Unit]\nStartLimitIntervalSec=0\n\n[Service]\nRestart=always\nRestartSec=5\n",
      onChange: RELOAD_UNITS,
    },
    onHost,
  );
  new technicia.Unit(
    `${name}-journal-upload`,
    {
      unit: "systemd-journal-upload.service",
      enabled: true,
      active: true,
      triggers: [settings.sha256, override.sha256],
    },
    { ...onHost, dependsOn: [...dependenciesOf(onHost), settings, override] },
  );
}

function dependenciesOf({ dependsOn }: pulumi.CustomResourceOptions): pulumi.Resource[] {
  return (dependsOn ?? []) as pulumi.Resource[];
}
