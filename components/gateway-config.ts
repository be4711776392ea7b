import { WEBHOOKS } from "../common/services.ts";

/** What nginx needs to know to be the gateway of one environment. */
export interface GatewayConfig {
  readonly domain: string;

  /** Name under which the editor is served to allowed addresses; none keeps it off the public side. */
  readonly editorDomain?: string | undefined;

  /** Networks that may open the editor. */
  readonly editorCidrs: readonly string[];

  readonly uploadMaxMib: number;
  readonly uploadSeconds: number;
  readonly answerSeconds: number;

  /** Whether browsers may be told to insist on HTTPS: only once they trust the certificate. */
  readonly hsts: boolean;

  /** Whether the frontend answers everything that is no route of the API. */
  readonly frontend: boolean;
}

/** Where the gateway's files lie, on the host and as the container sees them. */
export const GATEWAY_DIRECTORY = {
  host: "/opt/technicia/gateway",
  container: "/etc/nginx/technicia",
} as const;
export const WEBROOT = { host: "/opt/technicia/acme", container: "/var/www/acme" } as const;

/** Where nginx learns how to reach n8n. It is a pattern there, because nginx does without a file only where it looks for several. */
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
  include /etc/nginx/mime.types;
  default_type application/octet-stream;
  server_tokens off;
  log_format technicia escape=json '{"time":"$time_iso8601","remote":"$remote_addr","method":"$request_method","uri":"$uri","status":$status,"bytes":$body_bytes_sent,"seconds":$request_time,"upstream":"$upstream_addr"}';
  access_log /dev/stdout technicia;

  # Docker's name server; a service that was replaced has another address within a second.
  resolver 127.0.0.11 valid=1s ipv6=off;
  resolver_timeout 3s;

  client_max_body_size 1m;
  proxy_http_version 1.1;
  proxy_connect_timeout 3s;
  proxy_read_timeout ${config.answerSeconds}s;
  proxy_send_timeout ${config.answerSeconds}s;
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

  # A header with an empty value is not sent.
  map $status $retry_after {
    503 15;
    default '';
  }
  add_header Retry-After $retry_after always;
  add_header X-Content-Type-Options nosniff always;
  add_header X-Frame-Options SAMEORIGIN always;
  add_header Referrer-Policy strict-origin-when-cross-origin always;
${config.hsts ? HSTS : ""}
  http2 on;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache shared:tls:10m;
  ssl_session_timeout 1d;
  ssl_session_tickets off;
  ssl_prefer_server_ciphers off;
  ssl_certificate ${GATEWAY_DIRECTORY.container}/tls/fullchain.pem;
  ssl_certificate_key ${GATEWAY_DIRECTORY.container}/tls/privkey.pem;

  server {
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
    location / { return 301 https://${config.editorDomain === undefined ? config.domain : "$redirect_host"}$request_uri; }
  }
${config.editorDomain === undefined ? "" : renderRedirectHost(config.domain, config.editorDomain)}
  server {
    listen 443 ssl default_server;
    listen [::]:443 ssl default_server;
    server_name _;
    return 421;
  }

  server {
    listen 443 ssl;
    listen [::]:443 ssl;
    server_name ${config.domain};
    error_page 503 = @unavailable;
    if ($n8n = '') { return 503; }

    # Says that the gateway, n8n, the vector store and the database behind it all answer.
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

    location = /api/upload {
      client_max_body_size ${config.uploadMaxMib}m;
      proxy_request_buffering off;
      proxy_buffering off;
      proxy_read_timeout ${config.uploadSeconds}s;
      proxy_send_timeout ${config.uploadSeconds}s;
      proxy_pass http://$n8n/webhook/upload$is_args$args;
      error_page 502 503 504 = @unavailable;
    }
${WEBHOOKS.filter((name) => name !== "upload")
  .map(renderWebhook)
  .join("")}
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
  }
${config.editorDomain === undefined ? "" : renderEditor(config.editorDomain, config)}}
`;
}

const FRONTEND = `      set $target frontend:80;
      proxy_pass http://$target;
      error_page 502 503 504 = @unavailable;
`;

function renderWebhook(name: string): string {
  return `    location = /api/${name} {
      proxy_pass http://$n8n/webhook/${name}$is_args$args;
      error_page 502 503 504 = @unavailable;
    }
`;
}

// A browser must heed it over HTTPS only, and is sent it only there.
const HSTS = `  map $https $hsts {
    on 'max-age=31536000';
    default '';
  }
  add_header Strict-Transport-Security $hsts always;
`;

function renderRedirectHost(domain: string, editorDomain: string): string {
  return `  map $host $redirect_host {
    ${editorDomain} ${editorDomain};
    default ${domain};
  }
`;
}

function renderEditor(editorDomain: string, config: GatewayConfig): string {
  return `
  server {
    listen 443 ssl;
    listen [::]:443 ssl;
    server_name ${editorDomain};
${config.editorCidrs.map((cidr) => `    allow ${cidr};\n`).join("")}    deny all;
    if ($n8n = '') { return 503; }
    location = /metrics { return 404; }
    location / {
      client_max_body_size ${config.uploadMaxMib}m;
      proxy_read_timeout 1h;
      proxy_pass http://$n8n;
    }
  }
`;
}
