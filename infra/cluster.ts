/** The Swarm of several servers: who begins it, how the others join, and what each of them is in it. */
import * as pulumi from "@pulumi/pulumi";

import { nodeLabel, type ServerLabel, type ServerRole, votes } from "../common/servers.ts";
import { script, scriptParts } from "../common/script.ts";
import * as technicia from "../provider/resources.ts";
import { programsOf } from "./programs.ts";

const FOLDER = new URL("scripts/", import.meta.url);
const DOOR = "technicia-swarm-door";
const DOOR_PROGRAM = "/opt/technicia/bin/swarm-door";
const DOOR_PORT = 7947;

/** Longest wait of a server for the one before it to have joined, and for its own turn. */
const JOIN_SECONDS = 600;

/** A server, as the Swarm and the other servers know it. */
export interface Member {
  readonly name: string;
  readonly role: ServerRole;
  readonly labels: readonly ServerLabel[];

  /** In the tunnel. */
  readonly address: string;

  /** What it shows to be let in. */
  readonly proof: pulumi.Input<string>;
}

export interface DoorArgs {
  readonly host: technicia.Connection;

  /** Address at which it is. */
  readonly address: string;

  /** Whom it lets in. */
  readonly members: readonly Member[];

  /** Whether its server orders the certificate, which it gives to those of `members` where visitors arrive as well. */
  readonly givesCertificate: boolean;
}

/**
 * What lets the other servers into the Swarm, on each that votes. It listens in the tunnel, gives a token to who proves to be one of ours, and
 * makes that token invalid when the connection ends: none leaves the servers, and none is worth stealing afterwards. On the server that
 * orders the certificate it also gives that and its key to the other gateways.
 */
export function createDoor(
  name: string,
  { host, address, members, givesCertificate }: DoorArgs,
  opts: pulumi.CustomResourceOptions,
): technicia.Unit {
  const onHost = { ...opts, provider: host };
  const program = new technicia.File(
    `${name}-program`,
    {
      path: DOOR_PROGRAM,
      content: script(new URL("swarm-door.sh", FOLDER)),
      mode: "0755",
      validate: 'bash -n "$FILE"',
    },
    onHost,
  );
  const lines = members.map(({ name: server, role, proof, labels }) => {
    const also = givesCertificate && labels.includes("gateway") ? " certificate" : "";
    return pulumi.interpolate`${server} ${votes(role) ? "manager" : "worker"} ${proof}${also}\n`;
  });
  const list = new technicia.File(
    `${name}-list`,
    {
      path: "/etc/technicia/swarm-door",
      content: pulumi.secret(pulumi.all(lines).apply((texts) => texts.join(""))),
      mode: "0400",
    },
    onHost,
  );
  const units = Object.entries({ [`${DOOR}.socket`]: socket(address), [`${DOOR}@.service`]: SERVICE }).map(
    ([unit, content]) =>
      new technicia.File(
        `${name}-${unit.endsWith(".socket") ? "socket" : "service"}`,
        { path: `/etc/systemd/system/${unit}`, content, onChange: "systemctl daemon-reload" },
        onHost,
      ),
  );
  return new technicia.Unit(
    `${name}-unit`,
    { unit: `${DOOR}.socket`, enabled: true, active: true },
    { ...onHost, dependsOn: [...listOf(opts.dependsOn), program, list, ...units] },
  );
}

// It binds to the address before the interface has it, and so never keeps the boot waiting.
const socket = (address: string) => `[Unit]
Description=Let servers of TechnicIA into the Swarm

[Socket]
ListenStream=${address}:${DOOR_PORT}
FreeBind=yes
Accept=yes
MaxConnections=16

[Install]
WantedBy=sockets.target
`;

const SERVICE = `[Unit]
Description=Let a server of TechnicIA into the Swarm

[Service]
ExecStart=${DOOR_PROGRAM}
StandardInput=socket
StandardOutput=socket
StandardError=journal
RuntimeMaxSec=300
`;

export interface MembershipArgs {
  readonly host: technicia.Connection;
  readonly member: Member;

  /** The other servers that vote. */
  readonly doors: readonly Member[];

  /** Whether it begins the Swarm where no other server is in one. */
  readonly isFirst: boolean;
}

export function createMembership(
  name: string,
  { host, member, doors, isFirst }: MembershipArgs,
  opts: pulumi.CustomResourceOptions,
): technicia.State {
  return new technicia.State(
    name,
    {
      ...programsOf("swarm-member.sh"),
      desired: `active, at ${member.address}`,
      variables: {
        SERVER: member.name,
        ADDRESS: member.address,
        DOORS: doors.map(({ address }) => address).join(" "),
        FIRST: isFirst ? "yes" : "no",
      },
      secrets: { PROOF: member.proof },
      timeoutSeconds: JOIN_SECONDS,
    },
    { ...opts, provider: host },
  );
}

/** What a server is for, which a manager writes down; `manager` is the connection to it. */
export function createNode(
  name: string,
  { manager, member }: { readonly manager: technicia.Connection; readonly member: Member },
  opts: pulumi.CustomResourceOptions,
): technicia.State {
  const { nodes, observe, apply } = scriptParts(new URL("swarm-labels.sh", FOLDER), [
    "nodes",
    "observe",
    "apply",
  ]);
  const labels = member.labels.map((label) => `${nodeLabel(label)}=1`).sort();
  const availability = member.role === "witness" ? "drain" : "active";
  const role = votes(member.role) ? "manager" : "worker";
  return new technicia.State(
    name,
    {
      observe: `${nodes}\n${observe}`,
      apply: `${nodes}\n${apply}`,
      desired: `${availability}, ${role}, labels: ${labels.join(" ") || "none"}`,
      variables: {
        SERVER: member.name,
        ADDRESS: member.address,
        AVAILABILITY: availability,
        ROLE: role,
        LABELS: labels.join(" "),
      },
      timeoutSeconds: 180,
    },
    { ...opts, provider: manager },
  );
}

function listOf(dependsOn: pulumi.CustomResourceOptions["dependsOn"]): pulumi.Input<pulumi.Resource>[] {
  return Array.isArray(dependsOn) ? dependsOn : [];
}
