/** What the gateway does for the monitoring: its access log goes to the log store, and neighbours say at it that they live. */

/** What the gateway does for the monitoring. */
export interface GatewayMonitoring {
  /** Names of the environments that say here that they live. */
  readonly neighbours: readonly string[];
}

interface Monitored {
  readonly monitoring?: GatewayMonitoring | undefined;
}

/** Where the log store takes lines of the access log: its folder on the host and in both containers, and the socket in it. */
export const ACCESS_SOCKET = {
  host: "/opt/technicia/monitoring/socket",
  container: "/run/technicia",
  file: "access.sock",
  /** Group of nginx's workers in its image, which may write to it. */
  gid: 101,
} as const;

/** The tokens of neighbours, one or while it is rotated two, as entries of nginx's map of who asks. The container's path is a glob, as that of n8n's route. */
export const NEIGHBOUR_TOKEN = {
  host: "/opt/technicia/gateway/neighbours/token.conf",
  container: "/etc/nginx/technicia/neighbours/*.conf",
  /** A text of a map is compared without regard to case, an expression is not; the token has no character that means anything in one. */
  content: (tokens: readonly string[]) => tokens.map((token) => `"~^Bearer ${token}$" 1;\n`).join(""),
} as const;

/** Datagrams: nginx neither waits for a log store that is away nor needs it to start. */
export function renderStoreLog({ monitoring }: Monitored): string {
  if (monitoring === undefined) return "";
  const { container, file } = ACCESS_SOCKET;
  return `  access_log syslog:server=unix:${container}/${file},tag=gateway,nohostname technicia;\n`;
}

/** Whether the request has the token of the neighbours; nobody has it while there is none. */
export function renderNeighbours({ monitoring }: Monitored): string {
  if (monitoring === undefined || monitoring.neighbours.length === 0) return "";
  return `
  map $http_authorization $is_neighbour {
    default 0;
    include ${NEIGHBOUR_TOKEN.container};
  }
`;
}

/** A neighbour says every minute that it lives: its line in the access log is what counts. It is answered before any limit is looked at. */
export function renderDeadman({ monitoring }: Monitored): string {
  return (monitoring?.neighbours ?? [])
    .map(
      (stack) => `    location = /deadman/${stack} {
      if ($request_method != POST) { return 404; }
      if ($is_neighbour = 0) { return 404; }
      return 204;
    }
`,
    )
    .join("");
}
