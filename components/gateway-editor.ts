/** n8n's editor under a name of its own, for the networks that may open it. */
import { renderForwarded } from "./gateway-forwarded.ts";
import { heldFirst, type Hold, renderHoldLocation } from "./gateway-hold.ts";
import { UNAVAILABLE_LOCATIONS, whenUnavailable } from "./gateway-unavailable.ts";

interface Edited {
  readonly editorDomain?: string | undefined;
  readonly editorCidrs: readonly string[];
  readonly uploadMaxMib: number;
  readonly hold?: Hold | undefined;
}

/** Longest silence of the editor's web socket. */
export const SOCKET_SECONDS = 3600;

/** Web sockets of the editor: what it is told while it is open, and its trial of a chat. */
const EDITOR_SOCKETS = ["/rest/push", "/chat"];

export function renderEditor(config: Edited): string {
  const { editorDomain, editorCidrs, uploadMaxMib } = config;
  if (editorDomain === undefined) return "";
  return `
  server {
    listen 443 ssl;
    server_name ${editorDomain};
    ${whenUnavailable(config)}
${editorCidrs.map((cidr) => `    allow ${cidr};\n`).join("")}    deny all;
    if ($odd_path) { return 404; }
    if ($n8n = '') { return 503; }
    location ~* ^/metrics { return 404; }
    # n8n's public API: its keys are for the loopback and the tunnel. n8n does not tell capitals.
    location ~* ^/api/v[0-9] { return 404; }
${EDITOR_SOCKETS.map((path) => renderEditorSocket(path, config)).join("")}    location / {
${renderHeldFirst(config)}      client_max_body_size ${uploadMaxMib}m;
      proxy_read_timeout ${SOCKET_SECONDS}s;
      proxy_pass http://$n8n;
    }
${renderHoldLocation(config)}${UNAVAILABLE_LOCATIONS}  }
`;
}

function renderEditorSocket(path: string, config: Edited): string {
  return `    location = ${path} {
      if ($http_upgrade !~* ^websocket$) { return 404; }
${renderHeldFirst(config)}${renderForwarded("      ", "socket")}
      proxy_read_timeout ${SOCKET_SECONDS}s;
      proxy_pass http://$n8n;
    }
`;
}

function renderHeldFirst(config: Edited): string {
  return heldFirst(config)
    .map((line) => `      ${line}\n`)
    .join("");
}
