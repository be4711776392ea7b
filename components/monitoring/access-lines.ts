/** The access log of a gateway whose server has no store: nginx finds the same socket there, and a program sends on what comes to it. */
import type * as pulumi from "@pulumi/pulumi";

import * as technicia from "../../provider/resources.ts";
import { ACCESS_SOCKET } from "../gateway-monitoring.ts";
import { createPrograms } from "../python-programs.ts";
import { intakeOf, RELOAD_UNITS, SANDBOX, type Sender } from "./collection.ts";
import { FOLDER } from "./programs.ts";

const SCRIPTS = new URL("../scripts/monitoring-access/", import.meta.url);
const MAIN = "access_lines.py";
const UNIT = "technicia-access-lines";

export interface AccessLines {
  readonly sender: Sender;

  /** The collector's programs, whose functions this one uses. */
  readonly after: readonly pulumi.Resource[];
}

export function createAccessLines(
  name: string,
  { sender, after }: AccessLines,
  onHost: pulumi.CustomResourceOptions,
): void {
  const programs = createPrograms(name, { scripts: SCRIPTS, folder: FOLDER, main: MAIN }, onHost);
  const file = (kind: "socket" | "service", content: string) =>
    new technicia.File(
      `${name}-access-${kind}`,
      { path: `/etc/systemd/system/${UNIT}.${kind}`, content, onChange: RELOAD_UNITS },
      onHost,
    );
  const [socket, service] = [file("socket", SOCKET), file("service", renderService(sender))];
  const files = [...programs, ...after, socket, service];
  const options = { ...onHost, dependsOn: files };
  const taken = new technicia.Unit(
    `${name}-access-taken`,
    { unit: `${UNIT}.socket`, enabled: true, active: true, triggers: [socket.sha256] },
    options,
  );
  // Apart from the socket, which nginx stays connected to while a new program takes the place of the old one.
  new technicia.Unit(
    `${name}-access-sent`,
    {
      unit: `${UNIT}.service`,
      enabled: true,
      active: true,
      triggers: [...programs, service].map(({ sha256 }) => sha256),
    },
    { ...options, dependsOn: [...files, taken] },
  );
}

const SOCKET = `[Unit]
Description=Take the access log of TechnicIA's gateway

[Socket]
ListenDatagram=${ACCESS_SOCKET.host}/${ACCESS_SOCKET.file}
SocketGroup=${ACCESS_SOCKET.gid}
SocketMode=0660

[Install]
WantedBy=sockets.target
`;

function renderService(sender: Sender): string {
  return `[Unit]
Description=Send the access log of TechnicIA's gateway to the log store
Requires=${UNIT}.socket
After=${UNIT}.socket network.target
StartLimitIntervalSec=0

[Service]
ExecStart=/usr/bin/python3 -B ${FOLDER}/${MAIN}
Environment=STORE=${intakeOf(sender)}
Restart=always
RestartSec=5
UMask=0077
CPUQuota=50%
MemoryMax=128M
${SANDBOX}
[Install]
WantedBy=multi-user.target
`;
}
