import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";

import { scriptParts } from "../common/script.ts";
import * as technicia from "../provider/resources.ts";
import { INTAKE_PORTS } from "../common/monitoring.ts";
import { type Intake, renderIntake } from "./monitoring/intake.ts";
import type { Attachment } from "./service.ts";

/** Its container, and the unit that starts it. */
const TUNNEL = "technicia-tunnel";
const CONFIGURATION = "/opt/technicia/tunnel/nginx.conf";
const { reload: RELOAD } = scriptParts(new URL("scripts/tunnel-reload.sh", import.meta.url), ["reload"]);

/** What an environment decides about the ports that its operators reach through ssh. */
export interface TunnelArgs {
  /** nginx image; the gateway's, so that no other has to be pulled. */
  readonly image: pulumi.Input<string>;

  readonly host: technicia.Connection;
  readonly networks: readonly Attachment[];

  /** Addresses of those networks: whoever comes over one of them is refused, or the tunnel would connect it to the others. */
  readonly refusedRange: string;

  /** Name of its lines in the server's journal. @default its lines stay with Docker */
  readonly logTag?: string | undefined;

  /** Port on the host's loopback → service and port behind it. */
  readonly ports: Readonly<Record<number, string>>;

  /** Where several servers send what they measure and log. @default - there is one server, or no monitoring */
  readonly intake?: Intake;
}

/**
 * Ports on the server's loopback, and so at the end of an ssh tunnel, for services that are reachable from nowhere else.
 *
 * A plain container, because a Swarm service cannot publish on one address only.
 */
export class Tunnel extends pulumi.ComponentResource {
  readonly container: docker.Container;

  constructor(name: string, args: TunnelArgs, opts: pulumi.ComponentResourceOptions) {
    super("technicia:components:Tunnel", name, {}, opts);

    const configuration = new technicia.File(
      `${name}-configuration`,
      { path: CONFIGURATION, content: renderTunnel(args), onChange: RELOAD },
      { parent: this, provider: args.host },
    );
    this.container = new docker.Container(
      name,
      {
        name: TUNNEL,
        image: args.image,
        command: ["nginx", "-c", "/etc/nginx/tunnel/nginx.conf", "-g", "daemon off;"],
        restart: "always",
        init: true,
        readOnly: true,
        tmpfs: { "/tmp": "", "/run": "" },
        memory: 64,
        memorySwap: 64,
        // The master gives its temporary directories to the user nobody, and becomes it.
        capabilities: { drops: ["ALL"], adds: ["CAP_CHOWN", "CAP_SETGID", "CAP_SETUID"] },
        securityOpts: ["no-new-privileges:true"],
        ...(args.logTag === undefined
          ? { logDriver: "json-file", logOpts: { "max-size": "10m", "max-file": "5" } }
          : { logDriver: "journald", logOpts: { tag: args.logTag } }),
        networksAdvanced: args.networks.map(({ network }) => ({ name: network.name })),
        ports: publishedPorts(args),
        // The directory, not the file: a replaced file is another inode, which the container would not see.
        volumes: [{ hostPath: "/opt/technicia/tunnel", containerPath: "/etc/nginx/tunnel", readOnly: true }],
        destroyGraceSeconds: 5,
        mustRun: true,
      },
      {
        parent: this,
        dependsOn: [configuration],
        deleteBeforeReplace: true,
        // The plugin records changes of these without applying them.
        replaceOnChanges: ["tmpfs", "init"],
      },
    );
    const unit = `${TUNNEL}.service`;
    const service = new technicia.File(
      `${name}-service`,
      { path: `/etc/systemd/system/${unit}`, content: SERVICE, onChange: "systemctl daemon-reload" },
      { parent: this, provider: args.host },
    );
    new technicia.Unit(
      `${name}-start`,
      { unit, enabled: true, active: true },
      { parent: this, provider: args.host, dependsOn: [service, this.container] },
    );
    this.registerOutputs({});
  }
}

// Docker starts the container once at boot. While the node is not ready yet, its networks of the Swarm are missing, and Docker gives up.
const SERVICE = `[Unit]
Description=Start TechnicIA's tunnel, again until its networks are there
Requires=docker.service
After=docker.service
PartOf=docker.service
StartLimitIntervalSec=0

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/docker start ${TUNNEL}
Restart=on-failure
RestartSec=5

[Install]
WantedBy=docker.service
`;

function publishedPorts({ ports, intake }: Pick<TunnelArgs, "ports" | "intake">) {
  // The default is 0.0.0.0.
  const publish = (port: number, ip = "127.0.0.1") => ({ internal: port, external: port, ip });
  const ofIntake = intake
    ? [publish(INTAKE_PORTS.loopback), publish(INTAKE_PORTS.tunnel, intake.address)]
    : [];
  return [...Object.keys(ports).map((port) => publish(Number(port))), ...ofIntake];
}

function renderTunnel({
  ports,
  refusedRange,
  intake,
}: Pick<TunnelArgs, "ports" | "refusedRange" | "intake">): string {
  const servers = Object.entries(ports).map(
    ([port, target]) => `  # A page of the internet whose name leads to the loopback sends that name.
  server {
    listen ${port} default_server;
    server_name _;
    return 421;
  }
  server {
    listen ${port};
    server_name localhost 127.0.0.1;
    location / {
      set $target ${target};
      proxy_pass http://$target;
    }
  }
`,
  );
  return `# Managed: a change made here by hand is found and undone.
pid /run/nginx.pid;
error_log /dev/stderr warn;
events {}
http {
  access_log off;
  client_body_temp_path /tmp/body;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  # Who comes through the published port has the address of Docker's bridge.
  deny ${refusedRange};
  resolver 127.0.0.11 valid=1s ipv6=off;
  client_max_body_size 0;
  proxy_request_buffering off;
  proxy_buffering off;
  proxy_http_version 1.1;
  proxy_read_timeout 1h;
  map $http_upgrade $connection_upgrade {
    default upgrade;
    '' '';
  }
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header X-Forwarded-Proto http;
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $connection_upgrade;
${servers.join("")}${intake ? renderIntake(intake) : ""}}
`;
}
