import * as pulumi from "@pulumi/pulumi";

import { script, scriptParts } from "../common/script.ts";
import * as technicia from "../provider/resources.ts";
import type { TunnelRules } from "./host-firewall.ts";

/** Interface of the tunnel, whose name is that of its file and of its unit. */
const TUNNEL_INTERFACE = "wg0";

/** What an Ethernet's packet leaves beside WireGuard's own head, over IPv6 too. */
const TUNNEL_MTU = 1420;

/** Less than what a firewall on the way forgets a connection after. */
const KEEPALIVE_SECONDS = 25;

const CONFIGURATION = `/etc/wireguard/${TUNNEL_INTERFACE}.conf`;
const UNIT = `wg-quick@${TUNNEL_INTERFACE}.service`;
const VALIDATE = script(new URL("scripts/wireguard-validate.sh", import.meta.url));
const RELOAD = script(new URL("scripts/wireguard-reload.sh", import.meta.url));

/** Another server, as this one reaches it. */
export interface Peer {
  readonly name: string;

  /** In the tunnel. */
  readonly address: string;

  /** Public IPv4 address. */
  readonly endpoint: pulumi.Input<string>;

  readonly publicKey: pulumi.Input<string>;
}

/** What an environment decides about a server's end of the tunnel. */
export interface WireguardArgs {
  readonly host: technicia.Connection;

  /** This server's address in the tunnel, and how long the tunnel's network part is: `10.86.3.7`, 16. */
  readonly address: string;
  readonly prefix: number;

  /** UDP port of every server. */
  readonly port: number;

  readonly privateKey: pulumi.Input<string>;

  /** All other servers. */
  readonly peers: readonly Peer[];

  /** Port of a container that the other servers reach. @default - none */
  readonly publishedPort?: number;
}

/** A server's end of the tunnel between the servers. Docker starts after it: a Swarm whose address is missing never tries again. */
export class Wireguard extends pulumi.ComponentResource {
  /** The interface has its address. */
  readonly up: technicia.Unit;

  readonly #args: WireguardArgs;
  readonly #name: string;

  constructor(name: string, args: WireguardArgs, opts?: pulumi.ComponentResourceOptions) {
    super("technicia:infra:Wireguard", name, {}, opts);
    this.#name = name;
    this.#args = args;
    const onHost = { parent: this, provider: args.host };
    const configuration = new technicia.File(
      `${name}-configuration`,
      {
        path: CONFIGURATION,
        content: pulumi.secret(renderTunnel(args)),
        mode: "0600",
        validate: VALIDATE,
        onChange: RELOAD,
      },
      onHost,
    );
    const override = new technicia.File(
      `${name}-docker-override`,
      {
        path: "/etc/systemd/system/docker.service.d/20-technicia-tunnel.conf",
        content: DOCKER_OVERRIDE,
        onChange: "systemctl daemon-reload",
      },
      onHost,
    );
    this.up = new technicia.Unit(
      `${name}-unit`,
      { unit: UNIT, enabled: true, active: true },
      { ...onHost, dependsOn: [configuration, override] },
    );
    this.registerOutputs({});
  }

  /** Proves that every other server answers, once all of them are `up`. */
  createProof(dependsOn: readonly pulumi.Resource[]): technicia.State {
    const { host, peers } = this.#args;
    return new technicia.State(
      `${this.#name}-heard`,
      {
        ...scriptParts(new URL("scripts/wireguard-heard.sh", import.meta.url), ["observe", "apply"]),
        desired: "every server answers",
        variables: { PEERS: peers.map(({ name, address }) => `${name}=${address}`).join(" ") },
      },
      { parent: this, provider: host, dependsOn: [...dependsOn] },
    );
  }
}

/** What of it the server's firewall admits. */
export function rulesOf({
  port,
  peers,
  publishedPort,
}: Pick<WireguardArgs, "port" | "peers" | "publishedPort">): TunnelRules {
  const from = peers.map(({ address }) => address);
  return {
    interface: TUNNEL_INTERFACE,
    port,
    peers: peers.map(({ endpoint }) => endpoint),
    ...(publishedPort === undefined ? {} : { published: { port: publishedPort, from } }),
  };
}

/** The file that `wg-quick` reads. */
function renderTunnel({
  address,
  prefix,
  port,
  privateKey,
  peers,
}: Omit<WireguardArgs, "host" | "publishedPort">): pulumi.Output<string> {
  const sections = peers.map(
    (peer) => pulumi.interpolate`
[Peer]
# ${peer.name}
PublicKey = ${peer.publicKey}
AllowedIPs = ${peer.address}/32
Endpoint = ${peer.endpoint}:${port}
PersistentKeepalive = ${KEEPALIVE_SECONDS}
`,
  );
  const head = pulumi.interpolate`# Managed: a change made here by hand is found and undone.
[Interface]
Address = ${address}/${prefix}
ListenPort = ${port}
PrivateKey = ${privateKey}
MTU = ${TUNNEL_MTU}
`;
  return pulumi.all([head, ...sections]).apply((texts) => texts.join(""));
}

const DOCKER_OVERRIDE = `[Unit]
Requires=${UNIT}
After=${UNIT}
`;
