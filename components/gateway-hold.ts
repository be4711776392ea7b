/**
 * What of nginx's configuration holds requests to n8n while it restarts: each of n8n's routes asks `hold.js` before it forwards anything. Bodies
 * stay in their connections. Without a pause, and after a start of nginx, everything passes.
 */

/** How long requests to n8n may wait. */
export interface Hold {
  /** Of one request; after this it is answered 503. Also how long a pause lasts that nobody renews. */
  readonly maxSeconds: number;

  /** How long to wait for requests that n8n answers already. */
  readonly drainSeconds: number;

  /** Public paths, each with what is below it, that are answered 503 at once. */
  readonly exclude: readonly string[];
}

interface Held {
  /** Undefined: nothing is held. */
  readonly hold?: Hold | undefined;
}

/** The program that nginx runs. */
export const HOLD_PROGRAM = {
  host: "/opt/technicia/gateway/hold.js",
  container: "/etc/nginx/technicia/hold.js",
} as const;

/** On the container's own loopback, where `gateway-hold` on the server asks it. */
export const HOLD_PORT = 8081;

/**
 * Requests that may wait at the same time; more are answered 503 at once. Each takes about 120 KiB, and a worker that the kernel kills for its
 * memory leaves its visitors counted for good.
 */
export const MOST_WAITING = 800;

// The official image has it in this place, except for its `slim` variants, and so has Debian.
const MODULE = "/usr/lib/nginx/modules/ngx_http_js_module.so";

export function renderHoldModule({ hold }: Held): string {
  return hold === undefined ? "" : `load_module ${MODULE};\n`;
}

/** The end of a line of the access log: for how long a request was held. To be written is also how nginx tells that it is over. */
export function heldInLog({ hold }: Held): string {
  return hold === undefined ? "" : ',"held":$held';
}

/** What is shared by all servers, and the server by which requests are paused. */
export function renderHold({ hold }: Held): string {
  if (hold === undefined) return "";
  const paths = hold.exclude.map((path) => `    "~^${path}(?:[/?]|$)" 1;\n`).join("");
  return `
  js_import hold from ${HOLD_PROGRAM.container};
  js_shared_dict_zone zone=hold:32k type=number;
  js_var $hold_state '';
  js_set $held hold.leave;
  map '' $hold_max_seconds { default ${hold.maxSeconds}; }
  map '' $hold_most_waiting { default ${MOST_WAITING}; }
  # By the path as it was sent: routes to n8n take plain words only.
  map $request_uri $hold_excluded {
    default 0;
${paths}  }
  server {
    listen 127.0.0.1:${HOLD_PORT};
    access_log off;
    location = /pause { js_content hold.pause; }
    location = /resume { js_content hold.resume; }
    location = /state { js_content hold.state; }
  }
`;
}

/** Directives of a location that forwards to n8n. */
export function heldFirst({ hold }: Held): string[] {
  return hold === undefined ? [] : ["auth_request /internal/hold;"];
}

/** Whom a server's routes ask. It is asked with the length of the request's body, and has no limit of its own for it. */
export function renderHoldLocation({ hold }: Held): string {
  if (hold === undefined) return "";
  return `    location = /internal/hold {
      internal;
      client_max_body_size 0;
      js_content hold.wait;
    }
`;
}
