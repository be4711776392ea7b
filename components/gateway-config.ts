import { WEBHOOKS } from "../common/services.ts";

/** What an environment decides about its public routes. */
export interface GatewayConfig {
  readonly domain: string;

  /** Name under which the editor is served to `editorCidrs`; without one it is not public. */
  readonly editorDomain?: string | undefined;

  /** Networks that may open the editor. */
  readonly editorCidrs: readonly string[];

  readonly uploadMaxMib: number;
  readonly uploadSeconds: number;
  readonly answerSeconds: number;

  /** Whether to send HSTS: only for a certificate that browsers trust. */
  readonly hsts: boolean;

  /** Whether the frontend serves everything that is not a route of the API; otherwise that is a 404. */
  readonly frontend: boolean;
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
user nginx;
worker_processes auto;
worker_shutdown_timeout 60s;
pid /run/nginx.pid;
error_log /dev/stderr warn;
events { worker_connections 1024; }
http {
${LOGGING}
${renderForwarding(config)}
${renderHeaders(config)}
${TLS}
${renderPlainServer(config)}
${UNKNOWN_NAMES}
${renderPublicServer(config)}
${renderEditor(config)}}
`;
}

const LOGGING = `  include /etc/nginx/mime.types;
  default_type application/octet-stream;
  server_tokens off;
  log_format technicia escape=json '{"time":"$time_iso8601","remote":"$remote_addr","method":"$request_method","uri":"$uri","status":$status,"bytes":$body_bytes_sent,"seconds":$request_time,"upstream":"$upstream_addr"}';
  access_log /dev/stdout technicia;
`;

function renderForwarding({ answerSeconds }: GatewayConfig): string {
  return `  # Docker's name server; a service that was replaced has another address within a second.
  resolver 127.0.0.11 valid=1s ipv6=off;
  resolver_timeout 3s;

  client_max_body_size 1m;
  proxy_http_version 1.1;
  proxy_connect_timeout 3s;
  proxy_read_timeout ${answerSeconds}s;
  proxy_send_timeout ${answerSeconds}s;
  proxy_set_header Host $host;
  proxy_set_header X-Real-IP $remote_addr;
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Host $http_host;
  proxy_set_header X-Forwarded-Proto $scheme;
  # Empty until n8n has an owner: whoever reached it before could claim it.
  map $host $n8n {
    include ${N8N_ROUTE.container};
  }
  map $http_upgrade $connection_upgrade {
    default upgrade;
    '' '';
  }
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $connection_upgrade;
`;
}

/** A second place with headers would take away those of the first. */
function renderHeaders({ hsts }: GatewayConfig): string {
  return `  # A header with an empty value is not sent.
  map $status $retry_after {
    503 15;
    default '';
  }
  add_header Retry-After $retry_after always;
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
  ssl_session_cache shared:tls:10m;
  ssl_session_timeout 1d;
  ssl_session_tickets off;
  ssl_prefer_server_ciphers off;
  ssl_certificate ${GATEWAY_DIRECTORY.container}/tls/fullchain.pem;
  ssl_certificate_key ${GATEWAY_DIRECTORY.container}/tls/privkey.pem;
`;

function renderPlainServer({ domain, editorDomain }: GatewayConfig): string {
  return `  server {
    listen 80 default_server;
    listen [::]:80 default_server;
    location ^~ /.well-known/acme-challenge/ {
      root ${WEBROOT.container};
      default_type text/plain;
    }
    location = /gateway-health {
      allow 127.0.0.1;
      deny all;
      access_log off;
      return 204;
    }
    location / { return 301 https://${editorDomain === undefined ? domain : "$redirect_host"}$request_uri; }
  }
${editorDomain === undefined ? "" : renderRedirectHost(domain, editorDomain)}`;
}

function renderRedirectHost(domain: string, editorDomain: string): string {
  return `  map $host $redirect_host {
    ${editorDomain} ${editorDomain};
    default ${domain};
  }
`;
}

const UNKNOWN_NAMES = `  server {
    listen 443 ssl default_server;
    listen [::]:443 ssl default_server;
    server_name _;
    return 421;
  }
`;

function renderPublicServer(config: GatewayConfig): string {
  return `  server {
    listen 443 ssl;
    listen [::]:443 ssl;
    server_name ${config.domain};
    error_page 503 = @unavailable;
    if ($n8n = '') { return 503; }

${HEALTH}
${renderApi(config)}
    location /api/ { return 404; }
    location /webhook/ {
      client_max_body_size ${config.uploadMaxMib}m;
      proxy_read_timeout ${config.uploadSeconds}s;
      proxy_send_timeout ${config.uploadSeconds}s;
      proxy_pass http://$n8n;
      error_page 502 503 504 = @unavailable;
    }
    location / {
${config.frontend ? FRONTEND : "      return 404;\n"}    }
    location @unavailable {
      default_type application/json;
      return 503 '{"status":"unavailable"}';
    }
  }`;
}

const HEALTH = `    # Says that the gateway, n8n, the vector store and the database behind it all answer.
    location = /healthz {
      auth_request /internal/vector-store-ready;
      proxy_pass http://$n8n/healthz/readiness;
      proxy_intercept_errors on;
      error_page 401 403 404 500 502 503 504 = @unavailable;
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

function renderApi({ uploadMaxMib, uploadSeconds }: GatewayConfig): string {
  const answered = WEBHOOKS.filter((name) => name !== "upload");
  return `    location = /api/upload {
      client_max_body_size ${uploadMaxMib}m;
      proxy_request_buffering off;
      proxy_buffering off;
      proxy_read_timeout ${uploadSeconds}s;
      proxy_send_timeout ${uploadSeconds}s;
      proxy_pass http://$n8n/webhook/upload$is_args$args;
      error_page 502 503 504 = @unavailable;
    }
${answered.map(renderWebhook).join("")}`;
}

function renderWebhook(name: string): string {
  return `    location = /api/${name} {
      proxy_pass http://$n8n/webhook/${name}$is_args$args;
      error_page 502 503 504 = @unavailable;
    }
`;
}

const FRONTEND = `      set $target frontend:80;
      proxy_pass http://$target;
      error_page 502 503 504 = @unavailable;
`;

function renderEditor({ editorDomain, editorCidrs, uploadMaxMib }: GatewayConfig): string {
  if (editorDomain === undefined) return "";
  return `
  server {
    listen 443 ssl;
    listen [::]:443 ssl;
    server_name ${editorDomain};
${editorCidrs.map((cidr) => `    allow ${cidr};\n`).join("")}    deny all;
    if ($n8n = '') { return 503; }
    location = /metrics { return 404; }
    location / {
      client_max_body_size ${uploadMaxMib}m;
      proxy_read_timeout 1h;
      proxy_pass http://$n8n;
    }
  }
`;
}
