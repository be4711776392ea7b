import { describe, expect, it } from "vitest";

import { type GatewayConfig, renderGateway } from "../../components/gateway-config.ts";
import { NEIGHBOUR_TOKEN } from "../../components/gateway-monitoring.ts";
import { gatewayConfig } from "../support/gateway.ts";

const DOMAIN = "technicia.exemple.fr";
const EDITOR = "n8n.technicia.exemple.fr";

const render = (change: Partial<GatewayConfig> = {}) => renderGateway(gatewayConfig(change));

const withEditor = { editorDomain: EDITOR, editorCidrs: ["198.51.100.0/24", "2001:db8:51::/64"] };

/** The text between the braces that open behind `opening`. */
function block(text: string, opening: string): string {
  const start = text.indexOf(`${opening} {`);
  if (start < 0) throw new Error(`expected a block ${opening}, got none`);
  let depth = 0;
  for (let index = start + opening.length + 1; index < text.length; index += 1) {
    if (text[index] === "{") depth += 1;
    if (text[index] === "}") depth -= 1;
    if (depth === 0) return text.slice(start, index + 1);
  }
  throw new Error(`expected the block ${opening} to end`);
}

/** Server block by its name: the one for port 80 has none, the one for strangers is called `_`. */
function serverOf(text: string, name: string): string {
  const servers = text.split(/^ {2}server \{$/m).slice(1);
  const found = servers.find((server) => server.includes(`server_name ${name};`));
  if (found === undefined) throw new Error(`expected a server ${name}, got none`);
  return found;
}

const locations = (text: string) => [...text.matchAll(/^ *location (.+?) \{/gm)].map(([, match]) => match);

describe("the access log", () => {
  it("gives every request an id, which its answer, n8n and the log have", () => {
    const text = render();

    expect(text).toContain('"id":"$request_id"');
    expect(text).toContain("add_header X-Request-Id $request_id always;");
    expect(text).toContain("proxy_set_header X-Request-Id $request_id;");
  });

  it("goes to the log store as well with monitoring, and nowhere else without", () => {
    const toStore =
      "access_log syslog:server=unix:/run/technicia/access.sock,tag=gateway,nohostname technicia;";

    expect(render()).not.toContain("syslog:");
    expect(render({ monitoring: { neighbours: [] } })).toContain(toStore);
    expect(render({ monitoring: { neighbours: [] } })).toContain("access_log /dev/stdout technicia;");
  });
});

describe("a neighbour's sign of life", () => {
  const server = serverOf(render({ monitoring: { neighbours: ["staging", "prod"] } }), DOMAIN);

  it("has a path of its own for each neighbour, and none without neighbours", () => {
    expect(locations(server).filter((location) => location?.includes("deadman"))).toEqual([
      "= /deadman/staging",
      "= /deadman/prod",
    ]);
    expect(render({ monitoring: { neighbours: [] } })).not.toMatch(/deadman|is_neighbour/);
  });

  it("is answered only to a POST with the token, and looks like a path that does not exist to others", () => {
    expect(block(server, "location = /deadman/prod")).toMatch(
      /\$request_method != POST\) \{ return 404; \}\s+if \(\$is_neighbour = 0\) \{ return 404; \}\s+return 204;/,
    );
  });

  it("has no limit that a busy address could use up", () => {
    expect(block(server, "location = /deadman/prod")).not.toContain("limit_");
  });

  it("compares the whole token with regard to case", () => {
    expect(NEIGHBOUR_TOKEN.content(["aB-1"])).toBe('"~^Bearer aB-1$" 1;\n');
    expect(NEIGHBOUR_TOKEN.content(["old", "new"])).toBe('"~^Bearer old$" 1;\n"~^Bearer new$" 1;\n');
  });
});

describe("the public server", () => {
  it("has exactly the routes of the application", () => {
    expect(locations(serverOf(render(), DOMAIN))).toEqual([
      "= /healthz",
      "= /internal/vector-store-ready",
      "= /api/upload",
      "= /api/question",
      "= /api/start-diagnosis",
      "= /api/diagnosis-step",
      "/api/",
      "= /webhook/reindex",
      "= /webhook/upload",
      "/webhook/",
      "/",
      "@upload_too_large",
      "@request_too_large",
      "@unavailable",
      "@maintenance",
    ]);
  });

  it("opens n8n's other public paths by their names, and nothing for them otherwise", () => {
    const openPaths = ["forms", "waiting", "mcp", "chat"] as const;

    expect(locations(serverOf(render({ openPaths }), DOMAIN)).slice(10, -5)).toEqual([
      ...["/form/", "/form-waiting/", "/webhook-waiting/", "/mcp/", "= /chat"],
    ]);
    expect(locations(serverOf(render({ openPaths: ["waiting"] }), DOMAIN)).slice(10, -5)).toEqual([
      "/webhook-waiting/",
    ]);
  });

  it("forwards to n8n a path that it fixed itself or that consists of plain words", () => {
    const server = serverOf(render({ openPaths: ["forms", "waiting", "mcp", "chat"] }), DOMAIN);
    const toN8n = locations(server).filter((location) =>
      block(server, `location ${location}`).includes("proxy_pass http://$n8n"),
    );

    expect(toN8n).toHaveLength(12);
    for (const location of toN8n) {
      expect(block(server, `location ${location}`), location).toContain(
        "if ($n8n_path = '') { return 404; }",
      );
    }
    expect(server).toContain("if ($odd_path) { return 404; }");
  });

  it("routes them to webhooks of n8n only", () => {
    const targets = [...serverOf(render(), DOMAIN).matchAll(/proxy_pass (.+);/g)].map(([, target]) => target);

    expect(targets).toEqual([
      "http://$n8n/healthz/readiness",
      "http://$store/health",
      "http://$n8n/webhook/upload$is_args$args",
      "http://$n8n/webhook/question$is_args$args",
      "http://$n8n/webhook/start-diagnosis$is_args$args",
      "http://$n8n/webhook/diagnosis-step$is_args$args",
      "http://$n8n$n8n_path$is_args$args",
      "http://$n8n$n8n_path$is_args$args",
    ]);
  });

  it("answers 404 to everything else under /api/, and to all other paths when there is no frontend", () => {
    const server = serverOf(render(), DOMAIN);

    expect(block(server, "location /api/")).toContain("return 404;");
    expect(block(server, "location /")).toMatch(/^location \/ \{\s+return 404;\s+\}$/);
  });

  it("routes everything that is not a route of the API to the frontend", () => {
    const server = serverOf(render({ frontend: true }), DOMAIN);

    expect(block(server, "location /api/")).toContain("return 404;");
    expect(block(server, "location /")).toContain("set $target frontend:80;");
  });

  it("keeps its own request to the vector-store internal", () => {
    expect(block(render(), "location = /internal/vector-store-ready")).toContain("internal;");
  });

  it("passes nothing to the webhooks of our own commands, and refuses what is too large as JSON", () => {
    const text = render({ uploadMaxMib: 150 });

    expect(text).toContain("location = /webhook/reindex { return 404; }");
    expect(block(text, "location = /api/upload")).toContain("error_page 413 = @upload_too_large;");
    expect(block(text, "location = /api/question")).toContain("error_page 413 = @request_too_large;");
    expect(block(text, "location @upload_too_large")).toContain(
      `return 413 '{"success":false,"errors":["Le fichier dépasse 150 Mio."]}';`,
    );
  });

  it.each(["location = /api/upload", "location = /webhook/upload", "location /form/"])(
    "accepts uploads of n8n's size and duration at %s",
    (where) => {
      const text = block(render({ uploadMaxMib: 150, uploadSeconds: 900, openPaths: ["forms"] }), where);

      expect(text).toContain("client_max_body_size 150m;");
      expect(text).toContain("proxy_read_timeout 900s;");
      expect(text).toContain("proxy_send_timeout 900s;");
    },
  );

  it("accepts only small bodies elsewhere, and waits for a language model's answer", () => {
    const text = render({ answerSeconds: 180 });

    expect(text.match(/client_max_body_size .*/g)).toEqual([
      "client_max_body_size 1m;",
      "client_max_body_size 200m;",
      "client_max_body_size 200m;",
    ]);
    expect(text).toContain("  proxy_read_timeout 180s;\n  proxy_send_timeout 180s;");
  });

  it("lets bodies and answers pass in pieces, and keeps none of them in a file", () => {
    const text = render({ frontend: true, openPaths: ["forms", "waiting", "mcp", "chat"], ...withEditor });

    expect(text.match(/^ *(proxy_(request_)?buffering|proxy_max_temp_file_size) .*/gm)).toEqual([
      "  proxy_request_buffering off;",
      "  proxy_buffering off;",
      "  proxy_max_temp_file_size 0;",
    ]);
  });

  it("limits what one address may ask of n8n, and how much at a time of anything", () => {
    const visitors = { requestsPerSecond: 3, burst: 7, connections: 30, silentSeconds: 12 };
    const text = render({ visitors });

    expect(text).toContain("limit_req_zone $binary_remote_addr zone=requests:10m rate=3r/s;");
    expect(serverOf(text, DOMAIN)).toMatch(/^ {4}limit_conn connections 30;$/m);
    for (const location of ["= /api/upload", "= /api/question", "= /webhook/upload", "/webhook/"]) {
      expect(block(text, `location ${location}`), location).toContain(
        "limit_req zone=requests burst=7 nodelay;",
      );
    }
    // The load check asks these 150 times a second from one address.
    expect(block(text, "location = /healthz")).not.toContain("limit_req");
    expect(block(serverOf(text, DOMAIN), "location /")).not.toContain("limit_req");
    expect(text.match(/limit_(req|conn)_status .*/g)).toEqual([
      "limit_req_status 429;",
      "limit_conn_status 429;",
    ]);
    for (const directive of ["client_header_timeout", "client_body_timeout", "send_timeout"]) {
      expect(text).toContain(`  ${directive} 12s;`);
    }
  });

  it("lets what is being answered end when it reads its files again", () => {
    const times = { uploadSeconds: 900, answerSeconds: 1200 };

    expect(render(times)).toContain("worker_shutdown_timeout 1200s;");
    expect(render({ ...times, answerSeconds: 120 })).toContain("worker_shutdown_timeout 900s;");
    expect(render({ ...times, ...withEditor })).toContain("worker_shutdown_timeout 3600s;");
  });

  it("answers 503 with Retry-After while a service restarts", () => {
    const text = render();
    const passing = locations(text).filter((location) =>
      /^(= \/api\/|(= )?\/webhook\/(?!reindex))/.test(location ?? ""),
    );

    for (const location of passing) {
      expect(block(text, `location ${location}`), location).toContain(
        "error_page 502 503 504 = $unavailable;",
      );
    }
    expect(block(text, "location @unavailable")).toContain(`return 503 '{"status":"unavailable"}';`);
    expect(block(text, "location @maintenance")).toContain("return 503 '<!doctype html>");
    expect(block(text, "map $status $retry_after")).toContain("503 15;");
  });

  it("looks up the address of a service for every request", () => {
    const text = render({ frontend: true, ...withEditor });
    const fixed = [...text.matchAll(/proxy_pass (.+);/g)].filter(
      ([, target]) => !target?.startsWith("http://$"),
    );

    expect(text).toContain("resolver 127.0.0.11 valid=1s ipv6=off;");
    expect(fixed).toEqual([]);
  });
});

describe("TLS", () => {
  it("speaks 1.2 and 1.3 only, and refuses names it does not serve", () => {
    const text = render();

    expect(text.match(/ssl_protocols .*/g)).toEqual(["ssl_protocols TLSv1.2 TLSv1.3;"]);
    expect(serverOf(text, "_")).toContain("ssl_reject_handshake on;");
    expect(serverOf(text, "_")).toContain("return 421;");
    expect(text.match(/listen 443 .*default_server;/g)).toHaveLength(1);
  });

  it("sends HSTS only once browsers trust the certificate", () => {
    expect(render({ hsts: false })).not.toContain("Strict-Transport-Security");
    const text = render({ hsts: true });
    expect(text.match(/add_header Strict-Transport-Security .*/g)).toEqual([
      "add_header Strict-Transport-Security $hsts always;",
    ]);
    expect(block(text, "map $https $hsts")).toMatch(/on 'max-age=31536000';\s+default '';/);
  });

  it("adds headers in one place only, because a second place would remove the first ones", () => {
    const text = render({ hsts: true, frontend: true, ...withEditor });

    expect(text.match(/^ +add_header/gm)).toEqual(Array(6).fill("  add_header"));
  });

  it("answers the authority on port 80 and redirects the rest to HTTPS", () => {
    const server = render().split(/^ {2}server \{$/m)[1] ?? "";

    expect(locations(server)).toEqual(["^~ /.well-known/acme-challenge/", "= /gateway-health", "/"]);
    expect(block(server, "location ^~ /.well-known/acme-challenge/")).toContain("root /var/www/acme;");
    expect(block(server, "location = /gateway-health")).toMatch(/allow 127\.0\.0\.1;\s+deny all;/);
    expect(block(server, "location /")).toContain(`return 308 https://${DOMAIN}$request_uri;`);
  });

  it("passes the authority's question on to the server that ordered, and not what another gateway has passed on", () => {
    const server = render({ challengeServer: "10.86.3.7" }).split(/^ {2}server \{$/m)[1] ?? "";
    const question = block(server, "location ^~ /.well-known/acme-challenge/");

    expect(question).toContain("proxy_pass http://10.86.3.7;");
    expect(question).toContain("proxy_set_header Host $host;");
    expect(question).not.toContain("root ");
    expect(question.indexOf("if ($http_x_challenge_passed) { return 404; }")).toBeGreaterThan(0);
    expect(question).toContain("proxy_set_header X-Challenge-Passed 1;");
    expect(locations(server)).toEqual(["^~ /.well-known/acme-challenge/", "= /gateway-health", "/"]);
  });

  it("redirects an unknown name to the public one, never to itself", () => {
    expect(render(withEditor)).toContain("return 308 https://$redirect_host$request_uri;");
    expect(block(render(withEditor), "map $host $redirect_host")).toBe(
      `map $host $redirect_host {\n    ${EDITOR} ${EDITOR};\n    default ${DOMAIN};\n  }`,
    );
  });
});

describe("the editor", () => {
  it("is served nowhere without an allow-list", () => {
    expect(render().match(/server_name .*/g)).toEqual(["server_name _;", `server_name ${DOMAIN};`]);
  });

  it("is served under its own name to the networks of the list and to nobody else", () => {
    const server = serverOf(render(withEditor), EDITOR);

    expect(server.match(/(allow|deny) .*/g)).toEqual([
      "allow 198.51.100.0/24;",
      "allow 2001:db8:51::/64;",
      "deny all;",
    ]);
    expect(locations(server)).toEqual([
      ...["~* ^/metrics", "~* ^/api/v[0-9]", "= /rest/push", "= /chat", "/", "@unavailable", "@maintenance"],
    ]);
    for (const location of ["~* ^/metrics", "~* ^/api/v[0-9]"])
      expect(block(server, `location ${location}`)).toContain("return 404;");
    expect(block(server, "location /")).toContain("proxy_pass http://$n8n;");
  });

  it("changes nothing of the public server", () => {
    expect(serverOf(render(withEditor), DOMAIN).trim()).toBe(
      serverOf(render(), DOMAIN).replace(/\}\n$/, "").trim(),
    );
  });

  it("keeps n8n's push connection open", () => {
    const push = block(serverOf(render(withEditor), EDITOR), "location = /rest/push");

    expect(push).toContain("proxy_set_header Upgrade $http_upgrade;");
    // n8n compares it with the page's address.
    expect(push).toContain("proxy_set_header X-Forwarded-Host $host;");
    expect(push).toContain("proxy_read_timeout 3600s;");
  });
});

describe("an upgrade to a web socket", () => {
  const upgrading = (text: string) =>
    locations(text).filter((location) =>
      block(text, `location ${location}`).includes("Upgrade $http_upgrade"),
    );

  it("is passed on nowhere in public, unless chats are open", () => {
    expect(upgrading(render({ openPaths: ["forms", "waiting", "mcp"], frontend: true }))).toEqual([]);
    expect(upgrading(render({ openPaths: ["chat"] }))).toEqual(["= /chat"]);
  });

  it("is passed on to n8n's two sockets in the editor", () => {
    expect(upgrading(serverOf(render(withEditor), EDITOR))).toEqual(["= /rest/push", "= /chat"]);
  });
});

describe("the hold", () => {
  const hold = { maxSeconds: 45, drainSeconds: 15, exclude: ["/webhook/crm"] };
  const openPaths = ["forms", "waiting", "mcp", "chat"] as const;
  const held = render({ hold, openPaths, frontend: true, ...withEditor });

  it("is asked by every route to n8n and by no other", () => {
    const asking = (server: string) =>
      locations(server).filter((location) =>
        block(server, `location ${location}`).includes("auth_request /internal/hold;"),
      );

    expect(asking(serverOf(held, DOMAIN))).toEqual([
      ...["= /api/upload", "= /api/question", "= /api/start-diagnosis", "= /api/diagnosis-step"],
      ...[
        "= /webhook/upload",
        "/webhook/",
        "/form/",
        "/form-waiting/",
        "/webhook-waiting/",
        "/mcp/",
        "= /chat",
      ],
    ]);
    expect(asking(serverOf(held, EDITOR))).toEqual(["= /rest/push", "= /chat", "/"]);
  });

  it("takes requests with bodies of any size, and is nobody's to call", () => {
    for (const name of [DOMAIN, EDITOR]) {
      const location = block(serverOf(held, name), "location = /internal/hold");
      expect(location).toMatch(/internal;\s+client_max_body_size 0;/);
    }
  });

  it("answers what has waited in vain as what n8n does not answer", () => {
    expect(block(held, "location /webhook/")).toContain("error_page 401 502 503 504 = $unavailable;");
    expect(block(held, "location = /healthz")).not.toContain("/internal/hold");
  });

  it("is paused on the container's loopback only, and tells the log for how long a request was held", () => {
    expect(held.match(/listen .*8081;/g)).toEqual(["listen 127.0.0.1:8081;"]);
    expect(held).toContain(',"held":$held}');
    expect(held).toContain("map '' $hold_max_seconds { default 45; }");
    expect(held).toContain('"~^/webhook/crm(?:[/?]|$)" 1;');
  });

  it("needs neither the module nor anything else where it is off", () => {
    expect(render({ openPaths, frontend: true, ...withEditor })).not.toMatch(
      /internal\/hold|load_module|js_|held|401 502/,
    );
  });
});
