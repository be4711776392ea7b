import { describe, expect, it } from "vitest";

import { type GatewayConfig, renderGateway } from "../../components/gateway-config.ts";

const DOMAIN = "technicia.exemple.fr";
const EDITOR = "n8n.technicia.exemple.fr";

function render(change: Partial<GatewayConfig> = {}): string {
  return renderGateway({
    domain: DOMAIN,
    editorCidrs: [],
    uploadMaxMib: 200,
    uploadSeconds: 600,
    answerSeconds: 120,
    hsts: false,
    frontend: false,
    ...change,
  });
}

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
      "/webhook/",
      "/",
      "@unavailable",
    ]);
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
      "http://$n8n",
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

  it.each(["location = /api/upload", "location /webhook/"])(
    "accepts uploads of n8n's size and duration at %s",
    (where) => {
      const text = block(render({ uploadMaxMib: 150, uploadSeconds: 900 }), where);

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

  it("streams uploads and their answers", () => {
    const upload = block(render(), "location = /api/upload");

    expect(upload).toContain("proxy_request_buffering off;");
    expect(upload).toContain("proxy_buffering off;");
  });

  it("answers 503 with Retry-After while a service restarts", () => {
    const text = render();
    const passing = locations(text).filter((location) => /^(= \/api\/|\/webhook\/)/.test(location ?? ""));

    for (const location of passing) {
      expect(block(text, `location ${location}`), location).toContain(
        "error_page 502 503 504 = @unavailable;",
      );
    }
    expect(block(text, "location @unavailable")).toContain(`return 503 '{"status":"unavailable"}';`);
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

    expect(text.match(/^ +add_header/gm)).toEqual(Array(5).fill("  add_header"));
  });

  it("answers the authority on port 80 and redirects the rest to HTTPS", () => {
    const server = render().split(/^ {2}server \{$/m)[1] ?? "";

    expect(locations(server)).toEqual(["^~ /.well-known/acme-challenge/", "= /gateway-health", "/"]);
    expect(block(server, "location ^~ /.well-known/acme-challenge/")).toContain("root /var/www/acme;");
    expect(block(server, "location = /gateway-health")).toMatch(/allow 127\.0\.0\.1;\s+deny all;/);
    expect(block(server, "location /")).toContain(`return 301 https://${DOMAIN}$request_uri;`);
  });

  it("redirects an unknown name to the public one, never to itself", () => {
    expect(render(withEditor)).toContain("return 301 https://$redirect_host$request_uri;");
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
    expect(locations(server)).toEqual(["= /metrics", "/"]);
    expect(block(server, "location = /metrics")).toContain("return 404;");
    expect(block(server, "location /")).toContain("proxy_pass http://$n8n;");
  });

  it("changes nothing of the public server", () => {
    expect(serverOf(render(withEditor), DOMAIN).trim()).toBe(
      serverOf(render(), DOMAIN).replace(/\}\n$/, "").trim(),
    );
  });

  it("keeps n8n's push connection open", () => {
    const text = render(withEditor);

    expect(text).toContain("proxy_set_header Upgrade $http_upgrade;");
    expect(text).toContain("proxy_set_header X-Forwarded-Host $http_host;");
    expect(block(serverOf(text, EDITOR), "location /")).toContain("proxy_read_timeout 1h;");
  });
});
