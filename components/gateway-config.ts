import { renderEditor, SOCKET_SECONDS } from "./gateway-editor.ts";
import { renderForwarded } from "./gateway-forwarded.ts";
import {
  heldFirst,
  heldInLog,
  type Hold,
  renderHold,
  renderHoldLocation,
  renderHoldModule,
} from "./gateway-hold.ts";
import {
  type GatewayMonitoring,
  renderDeadman,
  renderNeighbours,
  renderStoreLog,
} from "./gateway-monitoring.ts";
import {
  BODY_MAX_MIB,
  renderTooLargeLocations,
  RETRY_SECONDS,
  UNAVAILABLE_LOCATIONS,
  UNAVAILABLE_MAPS,
  UNHEALTHY,
  whenTooLarge,
  whenUnavailable,
} from "./gateway-unavailable.ts";
import { INNER_WEBHOOKS } from "../common/documents.ts";
import { OPENABLE_PATHS, type OpenablePath, WEBHOOKS } from "../common/services.ts";

/** What an environment decides about its public routes. */
export interface GatewayConfig {
  readonly domain: string;

  /** Name under which the editor is served to `editorCidrs`; without one it is not public. */
  readonly editorDomain?: string | undefined;

  /** Networks that may open the editor. */
  readonly editorCidrs: readonly string[];

  /** Which of n8n's public paths are open besides its webhooks. */
  readonly openPaths: readonly OpenablePath[];

  readonly visitors: VisitorLimits;
  readonly uploadMaxMib: number;
  readonly uploadSeconds: number;
  readonly answerSeconds: number;

  /** Whether to send HSTS: only for a certificate that browsers trust. */
  readonly hsts: boolean;

  /** Whether the frontend serves everything that is not a route of the API; otherwise that is a 404. */
  readonly frontend: boolean;

  /** Address in the tunnel of the server that orders the certificate; undefined: it is this one. */
  readonly challengeServer?: string | undefined;

  /** Undefined without monitoring. */
  readonly monitoring?: GatewayMonitoring | undefined;

  /** Undefined: requests to n8n that come while it restarts are answered 503. */
  readonly hold?: Hold | undefined;
}

/** What one address may ask for. */
interface VisitorLimits {
  /** Of n8n, over any time longer than a burst. */
  readonly requestsPerSecond: number;

  /** Requests beyond that rate which are still answered at once. */
  readonly burst: number;

  /** Requests that are answered at the same time. */
  readonly connections: number;

  /** Seconds of silence in the middle of a request or an answer after which the connection is closed. */
  readonly silentSeconds: number;
}

/** The gateway's folders, on the host and as the container sees them. */
export const GATEWAY_DIRECTORY = {
  host: "/opt/technicia/gateway",
  container: "/etc/nginx/technicia",
} as const;
export const WEBROOT = { host: "/opt/technicia/acme", container: "/var/www/acme" } as const;

/** How nginx reaches n8n. The container's path is a glob, because nginx tolerates a missing file only in globs. */
export const N8N_ROUTE = {
  host: `${GATEWAY_DIRECTORY.host}/routes/n8n.conf`,
  container: `${GATEWAY_DIRECTORY.container}/routes/*.conf`,
  content: "default n8n:5678;\n",
} as const;

/** nginx's whole configuration. */
export function renderGateway(config: GatewayConfig): string {
  return `# Managed: a change made here by hand is found and undone.
${renderHoldModule(config)}user nginx;
# Together with the connections a bound on memory: about 30 KiB for each connection that only waits.
worker_processes 2;
# A reload cuts what an old worker still answers after this time: nothing that is allowed lasts longer.
worker_shutdown_timeout ${longestRequest(config)}s;
pid /run/nginx.pid;
error_log /dev/stderr warn;
events { worker_connections 2048; }
http {
${renderLogging(config)}${renderStoreLog(config)}
${renderForwarding(config)}
${PATHS}
${renderLimits(config)}
${renderHeaders(config)}${UNAVAILABLE_MAPS}${renderNeighbours(config)}${renderHold(config)}
${TLS}
${renderPlainServer(config)}
${UNKNOWN_NAMES}
${renderPublicServer(config)}
${renderEditor(config)}}
`;
}

function longestRequest({ uploadSeconds, answerSeconds, editorDomain }: GatewayConfig): number {
  return Math.max(uploadSeconds, answerSeconds, editorDomain === undefined ? 0 : SOCKET_SECONDS);
}

function renderLogging(config: GatewayConfig): string {
  return `  include /etc/nginx/mime.types;
  default_type application/octet-stream;
  server_tokens off;
  # A host name has up to 253 characters; nginx's own default holds 46.
  server_names_hash_bucket_size 512;
  map_hash_bucket_size 512;
  log_format technicia escape=json '{"time":"$time_iso8601","id":"$request_id","remote":"$remote_addr","host":"$host","method":"$request_method","uri":"$uri","status":$status,"bytes":$body_bytes_sent,"seconds":$request_time,"upstream":"$upstream_addr"${heldInLog(config)}}';
  access_log /dev/stdout technicia;
`;
}

function renderForwarding({ answerSeconds }: GatewayConfig): string {
  return `  # Docker's name server; a service that was replaced has another address within a second.
  resolver 127.0.0.11 valid=1s ipv6=off;
  resolver_timeout 3s;

  client_max_body_size ${BODY_MAX_MIB}m;
  # Bodies and answers pass in pieces: a temporary file would be in the container's memory.
  client_body_buffer_size 16k;
  proxy_request_buffering off;
  proxy_buffering off;
  proxy_max_temp_file_size 0;
  proxy_http_version 1.1;
  proxy_connect_timeout 3s;
  proxy_read_timeout ${answerSeconds}s;
  proxy_send_timeout ${answerSeconds}s;
${renderForwarded("  ", "request")}
  # Empty until n8n has an owner: whoever reached it before could claim it.
  map $host $n8n {
    include ${N8N_ROUTE.container};
  }
`;
}

// nginx chooses a location by the decoded path. Whatever is behind it may read what the visitor wrote in another way.
const PATHS = `  # A path of plain words, which n8n reads as nginx does; of any other path nothing is forwarded to n8n.
  map $request_uri $n8n_path {
    "~^(?<plain_path>(?:/[A-Za-z0-9_~-]+)+)(?:\\?|$)" $plain_path;
    default '';
  }
  # Empty and dot segments, and encoded or backward slashes, dots and percent signs.
  map $request_uri $odd_path {
    "~*^[^?]*(?://|/\\.\\.?(?:[/?]|$)|%(?:25|2e|2f|5c)|\\x5c)" 1;
    default 0;
  }
`;

function renderLimits({ visitors }: GatewayConfig): string {
  const { requestsPerSecond, silentSeconds } = visitors;
  return `  limit_req_zone $binary_remote_addr zone=requests:10m rate=${requestsPerSecond}r/s;
  limit_conn_zone $binary_remote_addr zone=connections:10m;
  limit_req_status 429;
  limit_conn_status 429;
  client_header_timeout ${silentSeconds}s;
  client_body_timeout ${silentSeconds}s;
  send_timeout ${silentSeconds}s;
  keepalive_timeout 30s;
  reset_timedout_connection on;
`;
}

/** A second place with headers would take away those of the first. */
function renderHeaders({ hsts }: GatewayConfig): string {
  return `  # A header with an empty value is not sent.
  map $status $retry_after {
    429 1;
    503 ${RETRY_SECONDS};
    default '';
  }
  add_header Retry-After $retry_after always;
  add_header X-Request-Id $request_id always;
  add_header X-Content-Type-Options nosniff always;
  add_header X-Frame-Options SAMEORIGIN always;
  add_header Referrer-Policy strict-origin-when-cross-origin always;
${hsts ? HSTS : ""}`;
}

// Browsers ignore it over plain HTTP, so it is sent over HTTPS only.
const HSTS = `  map $https $hsts {
    on 'max-age=31536000';
    default '';
  }
  add_header Strict-Transport-Security $hsts always;
`;

const TLS = `  http2 on;
  ssl_protocols TLSv1.2 TLSv1.3;
  # Of TLS 1.2, only what has forward secrecy and authenticates each record as one; 1.3 has nothing else.
  ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;
  ssl_session_cache shared:tls:10m;
  ssl_session_timeout 1d;
  ssl_session_tickets off;
  ssl_prefer_server_ciphers off;
  ssl_certificate ${GATEWAY_DIRECTORY.container}/tls/fullchain.pem;
  ssl_certificate_key ${GATEWAY_DIRECTORY.container}/tls/privkey.pem;
`;

function renderPlainServer({ domain, editorDomain, challengeServer }: GatewayConfig): string {
  const challenge = challengeServer === undefined ? OWN_CHALLENGE : passedChallenge(challengeServer);
  return `  server {
    listen 80 default_server;
    location ^~ /.well-known/acme-challenge/ {
${challenge}    }
    location = /gateway-health {
      allow 127.0.0.1;
      deny all;
      access_log off;
      return 204;
    }
    # Clients repeat the request as it was: a POST stays one.
    location / { return 308 https://${editorDomain === undefined ? domain : "$redirect_host"}$request_uri; }
  }
${editorDomain === undefined ? "" : renderRedirectHost(domain, editorDomain)}`;
}

const OWN_CHALLENGE = `      root ${WEBROOT.container};
      default_type text/plain;
`;

/** The names have the addresses of all gateways, so the authority may ask any of them for the answer that one has. */
function passedChallenge(server: string): string {
  return `      # Two servers that each take the other one for the one that orders would pass it on for ever.
      if ($http_x_challenge_passed) { return 404; }
      proxy_set_header Host $host;
      proxy_set_header X-Challenge-Passed 1;
      proxy_read_timeout 10s;
      proxy_pass http://${server};
`;
}

function renderRedirectHost(domain: string, editorDomain: string): string {
  return `  map $host $redirect_host {
    ${editorDomain} ${editorDomain};
    default ${domain};
  }
`;
}

// Whoever asks for another name learns nothing, not even the certificate; 421 is for who names one of ours and then asks for another.
const UNKNOWN_NAMES = `  server {
    listen 443 ssl default_server;
    server_name _;
    ssl_reject_handshake on;
    return 421;
  }
`;

function renderPublicServer(config: GatewayConfig): string {
  return `  server {
    listen 443 ssl;
    server_name ${config.domain};
    error_page 503 = $unavailable;
    if ($odd_path) { return 404; }
    if ($n8n = '') { return 503; }
    limit_conn connections ${config.visitors.connections};

${HEALTH}
${renderDeadman(config)}${renderApi(config)}
    location /api/ { return 404; }
${renderWebhooks(config)}${config.openPaths.map((name) => renderOpenPath(name, config)).join("")}
    location / {
${config.frontend ? FRONTEND : "      return 404;\n"}    }
${renderHoldLocation(config)}${renderTooLargeLocations(config)}${UNAVAILABLE_LOCATIONS}  }`;
}

const HEALTH = `    # Says that the gateway, n8n, the vector store and the database behind it all answer.
    location = /healthz {
      if ($n8n_path = '') { return 404; }
      auth_request /internal/vector-store-ready;
      proxy_pass http://$n8n/healthz/readiness;
      proxy_intercept_errors on;
      ${UNHEALTHY}
    }
    location = /internal/vector-store-ready {
      internal;
      # A name of its own: a subrequest shares the variables of the request that it serves.
      set $store vector-store:8000;
      proxy_pass http://$store/health;
      proxy_pass_request_body off;
      proxy_set_header Content-Length '';
    }
`;

function renderApi(config: GatewayConfig): string {
  return WEBHOOKS.map((name) =>
    renderRoute(`= /api/${name}`, {
      config,
      target: `/webhook/${name}`,
      settings: [...(name === "upload" ? uploadSettings(config) : []), whenTooLarge(name)],
    }),
  ).join("");
}

function renderWebhooks(config: GatewayConfig): string {
  const settings = { upload: uploadSettings(config), other: longSettings(config) };
  return [
    // n8n serves them on the server's loopback.
    ...INNER_WEBHOOKS.map((name) => `    location = /webhook/${name} { return 404; }\n`),
    renderRoute("= /webhook/upload", { config, settings: [...settings.upload, whenTooLarge("upload")] }),
    renderRoute("/webhook/", { config, settings: [...settings.other, whenTooLarge("other")] }),
  ].join("");
}

function renderOpenPath(name: OpenablePath, config: GatewayConfig): string {
  if (name === "chat") return renderRoute("= /chat", { config, settings: SOCKET });
  // A form may have a field for a file.
  const settings = name === "forms" ? uploadSettings(config) : longSettings(config);
  return OPENABLE_PATHS[name].map((path) => renderRoute(path, { config, settings })).join("");
}

interface Route {
  readonly config: GatewayConfig;

  /** Path at n8n. @default the visitor's, when it consists of plain words */
  readonly target?: string;

  /** Directives of its own. */
  readonly settings: readonly string[];
}

/** A location that forwards to n8n what it matched, and nothing else. */
function renderRoute(match: string, { config, target = "$n8n_path", settings }: Route): string {
  const lines = [
    "if ($n8n_path = '') { return 404; }",
    `limit_req zone=requests burst=${config.visitors.burst} nodelay;`,
    ...heldFirst(config),
    ...settings,
    `proxy_pass http://$n8n${target}$is_args$args;`,
    whenUnavailable(config),
  ];
  return `    location ${match} {\n${lines.map((line) => `      ${line}\n`).join("")}    }\n`;
}

function uploadSettings(config: GatewayConfig): string[] {
  return [`client_max_body_size ${config.uploadMaxMib}m;`, ...longSettings(config)];
}

/** A workflow may run for as long as an upload may last. */
function longSettings({ uploadSeconds }: GatewayConfig): string[] {
  return [`proxy_read_timeout ${uploadSeconds}s;`, `proxy_send_timeout ${uploadSeconds}s;`];
}

/** n8n leaves a request without an answer when it expects a web socket and gets none, or gets one that it does not expect. */
const SOCKET = [
  "if ($http_upgrade !~* ^websocket$) { return 404; }",
  ...renderForwarded("", "socket").split("\n"),
];

// It serves files: whichever of these it answers itself, nobody has written it for visitors.
const FRONTEND = `      set $target frontend:80;
      proxy_pass http://$target;
      proxy_intercept_errors on;
      ${whenUnavailable({})}
`;
