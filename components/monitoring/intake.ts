/** Where the stores take what each of several servers sends: every sample and every line gets the name of its server there. */
import { INTAKE_PORTS, MONITORING_PORTS, SERVER_LABEL } from "../../common/monitoring.ts";

export interface Intake {
  /** Name of the server of the stores, and its address in the tunnel. */
  readonly server: string;
  readonly address: string;

  /** The other servers. WireGuard lets none of them use another one's address. */
  readonly senders: readonly { readonly server: string; readonly address: string }[];
}

/** What may be sent, as the stores call it: nothing is read or deleted through the intake. */
export const INTAKE_PATHS = {
  metrics: "/api/v1/import/prometheus",
  journal: "/insert/journald/upload",
  accessLines: "/insert/jsonline",
} as const;

/** What each store is asked for instead, so that it adds the label itself. */
export const STORED_AS = {
  metrics: (server: string) => `${INTAKE_PATHS.metrics}?extra_label=${SERVER_LABEL}=${server}`,
  journal: (server: string) => `${INTAKE_PATHS.journal}?extra_fields=${SERVER_LABEL}=${server}`,
  accessLines: (server: string) =>
    `${INTAKE_PATHS.accessLines}?_stream_fields=app_name,${SERVER_LABEL}&extra_fields=${SERVER_LABEL}=${server}`,
} as const;

/** nginx's servers of the intake. Who is none of ours is refused, whatever it sends. */
export function renderIntake({ server, senders }: Intake): string {
  const { tunnel, loopback } = INTAKE_PORTS;
  const names = [
    `    "~^${loopback} " ${server};\n`,
    ...senders.map((sender) => `    "${tunnel} ${sender.address}" ${sender.server};\n`),
  ];
  const location = (
    path: keyof typeof INTAKE_PATHS,
    store: "metrics" | "logs",
  ) => `    location = ${INTAKE_PATHS[path]} {
      limit_except POST { deny all; }
      set $target ${store}:${MONITORING_PORTS[store]};
      proxy_pass http://$target${STORED_AS[path]("$sender")};
    }
`;
  return `  map "$server_port $remote_addr" $sender {
    default "";
${names.join("")}  }
  server {
    listen ${tunnel};
    listen ${loopback};
    if ($sender = "") { return 403; }
${location("metrics", "metrics")}${location("journal", "logs")}${location("accessLines", "logs")}    location / { return 404; }
  }
`;
}
