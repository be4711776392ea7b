import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

import { HOLD_SCRIPT } from "../common/hold.ts";
import { script, scriptParts } from "../common/script.ts";
import * as technicia from "../provider/resources.ts";
import {
  GATEWAY_DIRECTORY,
  type GatewayConfig,
  N8N_ROUTE,
  renderGateway,
  WEBROOT,
} from "./gateway-config.ts";
import { HOLD_PORT, HOLD_PROGRAM } from "./gateway-hold.ts";
import { Handover } from "./gateway-handover.ts";
import { Handovers } from "./gateway-handovers.ts";
import { ACCESS_SOCKET, NEIGHBOUR_TOKEN } from "./gateway-monitoring.ts";
import { Service, type CommonServiceArgs } from "./service.ts";

const RELOAD = "/opt/technicia/bin/gateway-reload";
const TLS = `${GATEWAY_DIRECTORY.host}/tls`;
const DIRECTORIES = scriptParts(new URL("scripts/gateway-directories.sh", import.meta.url), [
  "observe",
  "apply",
  "remove",
]);

const SOCKET_FOLDER = scriptParts(new URL("scripts/gateway-socket.sh", import.meta.url), [
  "observe",
  "apply",
  "remove",
]);

/** What an environment decides about its gateway. */
export interface GatewayArgs extends CommonServiceArgs {
  readonly host: technicia.Connection;

  /** Of several gateways. @default - it runs on `host` alone */
  readonly others?: OtherGateways;

  /** Networks on which the gateway finds what it forwards to. */
  readonly networks: readonly docker.Network[];

  readonly config: GatewayConfig;

  /** With any of which neighbours say that they live. @default - nobody can */
  readonly neighbourTokens?: readonly pulumi.Input<string>[];

  /** n8n's owner: the gateway routes nothing to n8n before it exists. */
  readonly n8nOwner: pulumi.Resource;
}

/** Servers on which the gateway runs beside the one that orders the certificate. */
interface OtherGateways {
  /** By name. */
  readonly servers: Readonly<Record<string, technicia.Connection>>;

  /** Address in the tunnel of the server that orders the certificate. */
  readonly challengeServer: string;

  /** Connection to a server that manages the Swarm. */
  readonly manager: technicia.Connection;
}

/** nginx: TLS, the public routes and nothing else. Its configuration is a host file, reloaded without a dropped connection. */
export class Gateway extends pulumi.ComponentResource {
  readonly service: Service;
  readonly configuration: technicia.File;

  constructor(name: string, args: GatewayArgs, opts: pulumi.ComponentResourceOptions) {
    super("technicia:components:Gateway", name, {}, opts);
    const { others } = args;
    const servers = Object.entries(others?.servers ?? {}).map(([server, provider]) => ({
      name: `${server}/${name}`,
      onHost: { parent: this, provider },
    }));
    const onHost = { parent: this, provider: args.host };
    const own = createFiles(name, args, onHost);
    const config = { ...args.config, challengeServer: others?.challengeServer };
    const files = [own, ...servers.map((one) => createFiles(one.name, { ...args, config }, one.onHost))];
    this.configuration = own.configuration;
    const ready = files.flatMap(({ configuration, folders }) => [configuration, ...folders]);
    const handover =
      others === undefined
        ? new Handover(name, args, onHost)
        : new Handovers(name, {
            ...args,
            servers: [{ name, onHost }, ...servers],
            onManager: { parent: this, provider: others.manager },
          });
    const before = (revision: pulumi.Output<string>) => handover.begin(revision, ready);
    this.service = createService(name, { ...args, before }, { parent: this, dependsOn: ready });
    handover.end(this.service.revision);
    // After the service: a gateway that is starting may have read its files already, and nothing makes it read them again.
    for (const server of [{ name, onHost }, ...servers]) {
      new technicia.File(
        `${server.name}-n8n-route`,
        { path: N8N_ROUTE.host, content: N8N_ROUTE.content, onChange: RELOAD },
        { ...server.onHost, dependsOn: [this.service, args.n8nOwner] },
      );
    }
    this.registerOutputs({});
  }
}

/** What it finds on a server before it starts there. */
function createFiles(
  name: string,
  args: GatewayArgs,
  onHost: pulumi.CustomResourceOptions,
): { readonly configuration: technicia.File; readonly folders: readonly technicia.State[] } {
  const placeholder = createPlaceholder(name, args.config, onHost);
  const reload = new technicia.File(
    `${name}-reload`,
    {
      path: RELOAD,
      content: script(new URL("scripts/gateway-reload.sh", import.meta.url)),
      mode: "0755",
      validate: 'bash -n "$FILE"',
    },
    onHost,
  );
  const neighbours = createNeighbourToken(name, args, { ...onHost, dependsOn: [placeholder, reload] });
  const hold = createHold(name, args, { ...onHost, dependsOn: [placeholder, reload] });
  const configuration = new technicia.File(
    `${name}-configuration`,
    {
      path: `${GATEWAY_DIRECTORY.host}/nginx.conf`,
      content: renderGateway(args.config),
      validate: validation(args.image),
      onChange: RELOAD,
    },
    { ...onHost, dependsOn: [placeholder, reload, ...neighbours, ...hold] },
  );
  return { configuration, folders: createSocketFolder(name, args, onHost) };
}

/** The gateway's folders, and in them a certificate that nobody trusts: nginx does not start without one. */
function createPlaceholder(
  name: string,
  { domain }: GatewayConfig,
  onHost: pulumi.CustomResourceOptions,
): technicia.State {
  const directories = new technicia.State(
    `${name}-directories`,
    {
      ...DIRECTORIES,
      desired: `${TLS} 700\n${WEBROOT.host} 755`,
      variables: { TLS, WEBROOT: WEBROOT.host },
    },
    onHost,
  );
  return new technicia.State(
    `${name}-placeholder`,
    {
      observe: 'test -s "$TLS/fullchain.pem" -a -s "$TLS/privkey.pem" && echo present || echo absent',
      desired: "present",
      apply: script(new URL("scripts/placeholder-certificate.sh", import.meta.url)),
      variables: { TLS, DOMAIN: domain },
    },
    { ...onHost, dependsOn: [directories] },
  );
}

/** Its file and not the configuration holds the token: everybody on the server may read that one. */
function createNeighbourToken(
  name: string,
  { neighbourTokens = [] }: GatewayArgs,
  onHost: pulumi.CustomResourceOptions,
): technicia.File[] {
  if (neighbourTokens.length === 0) return [];
  const content = pulumi.secret(pulumi.all([...neighbourTokens]).apply(NEIGHBOUR_TOKEN.content));
  return [
    new technicia.File(
      `${name}-neighbour-token`,
      { path: NEIGHBOUR_TOKEN.host, content, mode: "0400", onChange: RELOAD },
      onHost,
    ),
  ];
}

/** The program by which nginx holds requests, without which it would not read its configuration, and the script that has it do so. */
function createHold(
  name: string,
  { config: { hold } }: GatewayArgs,
  opts: pulumi.CustomResourceOptions,
): technicia.File[] {
  if (hold === undefined) return [];
  const { maxSeconds, drainSeconds } = hold;
  const values = `MAX_SECONDS=${maxSeconds} DRAIN_SECONDS=${drainSeconds} PORT=${HOLD_PORT}\n`;
  const text = script(new URL("scripts/gateway-hold.sh", import.meta.url));
  const program = script(new URL("scripts/gateway-hold.js", import.meta.url));
  return [
    new technicia.File(
      `${name}-hold-program`,
      { path: HOLD_PROGRAM.host, content: program, onChange: RELOAD },
      opts,
    ),
    new technicia.File(
      `${name}-hold`,
      {
        path: HOLD_SCRIPT,
        content: text.replace("set -euo pipefail\n", `$&${values}`),
        mode: "0755",
        validate: 'bash -n "$FILE"',
      },
      opts,
    ),
  ];
}

/** The gateway cannot start without the folder, and answers without the socket in it. */
function createSocketFolder(
  name: string,
  { config }: GatewayArgs,
  onHost: pulumi.CustomResourceOptions,
): technicia.State[] {
  if (config.monitoring === undefined) return [];
  return [
    new technicia.State(
      `${name}-socket-folder`,
      {
        ...SOCKET_FOLDER,
        desired: `2750 0:${ACCESS_SOCKET.gid}`,
        variables: { FOLDER: ACCESS_SOCKET.host, GROUP: String(ACCESS_SOCKET.gid) },
      },
      onHost,
    ),
  ];
}

function createService(name: string, args: GatewayArgs, opts: pulumi.ComponentResourceOptions): Service {
  const { host, container } = GATEWAY_DIRECTORY;
  return new Service(
    name,
    {
      ...args,
      networks: args.networks.map((network) => ({ network })),
      command: ["nginx", "-c", `${container}/nginx.conf`, "-g", "daemon off;"],
      mounts: [
        { type: "bind", source: host, target: container, readOnly: true },
        { type: "bind", source: WEBROOT.host, target: WEBROOT.container, readOnly: true },
        { type: "tmpfs", target: "/run" },
        ...(args.config.monitoring === undefined
          ? []
          : [
              {
                type: "bind" as const,
                source: ACCESS_SOCKET.host,
                target: ACCESS_SOCKET.container,
                readOnly: true,
              },
            ]),
        { type: "tmpfs", target: "/var/cache/nginx" },
        { type: "tmpfs", target: "/tmp" },
      ],
      health: ["CMD-SHELL", "wget -q -O /dev/null http://127.0.0.1/gateway-health"],
      ports: [80, 443],
      readOnly: true,
      // The master reads the private key as root, binds the low ports and becomes the user nginx.
      capabilities: ["CHOWN", "DAC_OVERRIDE", "NET_BIND_SERVICE", "SETGID", "SETUID"],
    },
    opts,
  );
}

/** Has nginx check the file, in the image that will read it. */
function validation(image: pulumi.Input<string>): pulumi.Output<string> {
  return pulumi.interpolate`docker run --rm --network none --volume ${GATEWAY_DIRECTORY.host}:${GATEWAY_DIRECTORY.container}:ro '${image}' nginx -t -q -c "${GATEWAY_DIRECTORY.container}/$(basename "$FILE")"`;
}
