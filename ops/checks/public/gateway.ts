/** What the public address serves to any visitor, and what it must not serve. */
import http from "node:http";
import https from "node:https";
import { Readable } from "node:stream";
import type { SecureContextOptions } from "node:tls";

import type { OpenablePath } from "../../../common/services.ts";
import { chainPath } from "../../../common/certificate-files.ts";
import type { Environment } from "../../../stacks/environment.ts";
import type { CheckEffects, ServerAccess } from "../context.ts";
import { failed, type Finding, ok } from "../probe.ts";
import { closedRequests } from "./closed-paths.ts";

/** The stack's public address. */
export interface PublicSite {
  readonly domain: string;
  /** Of one of several gateways; undefined: wherever the domain leads. */
  readonly address?: string | undefined;
  readonly ports: { readonly http: number; readonly https: number };
  /** Certificates (PEM) of which one has to be in its certificate's chain; undefined: the authorities that this machine trusts. */
  readonly authorities: string | undefined;
}

/** Where a connection goes, which asks for the domain. */
export function placeOf({ domain, address = domain, ports }: PublicSite) {
  return { host: address, port: ports.https, servername: domain };
}

/** How a TLS connection judges the site's certificate. */
export function trustOf({
  authorities,
}: PublicSite): Pick<SecureContextOptions, "ca" | "allowPartialTrustChain"> {
  // The chain that a server holds ends below its root.
  return authorities === undefined ? {} : { ca: authorities, allowPartialTrustChain: true };
}

/**
 * The public address of an environment. No machine knows an authority that is for tests only, so there the certificate has to be the one
 * that the server holds, read over ssh.
 */
export async function openSite(
  { domain, acme }: Pick<Environment, "domain" | "acme">,
  {
    access,
    effects,
  }: { readonly access: ServerAccess; readonly effects: Pick<CheckEffects, "ports" | "authorities"> },
): Promise<PublicSite> {
  const { ports, authorities } = effects;
  if (acme.trusted || access.server === undefined) return { domain, ports, authorities };
  const script = `cat ${chainPath(domain)} 2>/dev/null || true`;
  const { stdout } = await access.server.run({ purpose: "read the certificate", script });
  return { domain, ports, authorities: stdout || authorities };
}

interface PublicRequest {
  readonly path: string;
  /** @default "https" */
  readonly protocol?: "http" | "https";
  /** @default the site's domain */
  readonly host?: string;
  /** @default "GET" */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A body of JSON. */
  readonly json?: string | undefined;
  /** A body of a form, such as an upload's. */
  readonly form?: FormData | undefined;
  /** Size of another body, which is all zeros. */
  readonly bodyBytes?: number;
  /** Whether the body is only announced: the request ends as soon as the server accepts or refuses it. */
  readonly announceOnly?: boolean;
  /** Whether it asks for a web socket. */
  readonly upgrade?: boolean;
  readonly signal: AbortSignal;
}

interface PublicAnswer {
  /** 100 when the server accepts a body that was only announced, 101 when it opens a web socket. */
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  /** Its first 64 KiB. */
  readonly text: string;
}

const KEPT_BYTES = 64 * 1024;
const CHUNK_BYTES = 64 * 1024;
const UPGRADE = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-version": "13",
  "sec-websocket-key": "dGVjaG5pY2lhLWNoZWNrcw==",
};

export async function askPublic(site: PublicSite, request: PublicRequest): Promise<PublicAnswer> {
  const { path, protocol = "https", host = site.domain, method = "GET", signal } = request;
  const { bodyBytes = 0, announceOnly = false, upgrade = false } = request;
  const body = await encode(request);
  return await new Promise((resolve, reject) => {
    const sent = (protocol === "https" ? https : http).request({
      host: site.address ?? host,
      ...(site.address === undefined ? {} : { servername: host }),
      port: site.ports[protocol],
      path,
      method,
      agent: false,
      signal,
      ...(protocol === "https" ? trustOf(site) : {}),
      headers: {
        host,
        "user-agent": "Mozilla/5.0 (technicia-checks)",
        ...(bodyBytes > 0
          ? { "content-length": String(bodyBytes), "content-type": "application/octet-stream" }
          : {}),
        ...(body && { "content-length": String(body.bytes.length), "content-type": body.type }),
        ...(announceOnly ? { expect: "100-continue" } : {}),
        ...(upgrade ? UPGRADE : {}),
        ...request.headers,
      },
    });
    let isAnswered = false;
    sent.on("continue", () => {
      resolve({ status: 100, headers: {}, text: "" });
      sent.destroy();
    });
    sent.on("upgrade", ({ statusCode = 0, headers }, socket) => {
      socket.destroy();
      resolve({ status: statusCode, headers, text: "" });
    });
    sent.on("response", (response) => {
      isAnswered = true;
      read(response).then((text) => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text });
        sent.destroy();
      }, reject);
    });
    // A server that has answered may close the connection before it has read the whole body.
    sent.on("error", (error) => {
      if (!isAnswered) reject(error);
    });
    if (announceOnly) sent.flushHeaders();
    else if (bodyBytes > 0) Readable.from(zeros(bodyBytes)).pipe(sent);
    else sent.end(body?.bytes);
  });
}

/** A body of JSON or of a form; undefined for a request without either. */
async function encode({
  json,
  form,
}: Pick<PublicRequest, "json" | "form">): Promise<
  { readonly type: string; readonly bytes: Buffer } | undefined
> {
  if (json !== undefined) return { type: "application/json", bytes: Buffer.from(json) };
  if (form === undefined) return undefined;
  const encoded = new Response(form);
  const type = encoded.headers.get("content-type") ?? "";
  return { type, bytes: Buffer.from(await encoded.arrayBuffer()) };
}

async function read(response: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    if (size < KEPT_BYTES) chunks.push(chunk);
    size += chunk.length;
  }
  return Buffer.concat(chunks).subarray(0, KEPT_BYTES).toString("utf8");
}

function* zeros(bytes: number): Generator<Buffer> {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  for (let left = bytes; left > 0; left -= CHUNK_BYTES)
    yield left < CHUNK_BYTES ? chunk.subarray(0, left) : chunk;
}

/** Requests on their way at one time: a visitor has no more. */
const AT_ONCE = 8;

export async function checkHealthRoute(site: PublicSite, signal: AbortSignal): Promise<Finding> {
  const started = performance.now();
  const { status, text } = await askPublic(site, { path: "/healthz", signal });
  const milliseconds = Math.round(performance.now() - started);
  const seen = `https://${site.domain}/healthz : ${status} en ${milliseconds} ms`;
  // The frontend answers 200 to every path, so the status alone proves nothing.
  return status === 200 && statusIn(text) === "ok"
    ? ok(seen, { milliseconds })
    : failed(`${seen}, attendu 200 et {"status":"ok"}`, { milliseconds });
}

export async function checkFrontend(site: PublicSite, signal: AbortSignal): Promise<Finding> {
  const { status, text } = await askPublic(site, { path: "/", signal });
  const title = /<title>([^<]+)<\/title>/i.exec(text)?.[1];
  return status === 200 && title !== undefined
    ? ok(`page « ${title.slice(0, 80)} »`)
    : failed(`https://${site.domain}/ : ${status}, ${title === undefined ? "sans titre" : "avec un titre"}`);
}

export async function checkRedirect(site: PublicSite, signal: AbortSignal): Promise<Finding> {
  const path = "/verification?de=http";
  const { status, headers } = await askPublic(site, { protocol: "http", path, signal });
  const wanted = `https://${site.domain}${path}`;
  return status === 308 && headers.location === wanted
    ? ok(`http mène à ${wanted}`)
    : failed(`http : attendu 308 vers ${wanted}, trouvé ${status} vers ${headers.location ?? "rien"}`);
}

export async function checkHeaders(
  site: PublicSite,
  options: {
    /** Whether the authority of the site's certificate is one that browsers trust. */
    readonly isTrusted: boolean;
    readonly signal: AbortSignal;
  },
): Promise<Finding> {
  const { isTrusted, signal } = options;
  const { headers } = await askPublic(site, { path: "/healthz", signal });
  const wanted: Readonly<Record<string, RegExp>> = {
    "x-content-type-options": /^nosniff$/i,
    "x-frame-options": /^(SAMEORIGIN|DENY)$/i,
    "referrer-policy": /^(strict-origin|no-referrer|same-origin)/i,
    // A browser that remembers this header for a certificate that it refuses could not visit the site any more.
    ...(isTrusted ? { "strict-transport-security": /max-age=\d{7,}/i } : {}),
  };
  const problems = Object.entries(wanted)
    .filter(([name, value]) => !value.test(String(headers[name] ?? "")))
    .map(([name]) => `${name} : ${headers[name] === undefined ? "absent" : "inattendu"}`);
  if (!isTrusted && headers["strict-transport-security"] !== undefined) {
    problems.push("strict-transport-security : présent alors que l'autorité n'est pas reconnue");
  }
  if (/\d/.test(String(headers.server ?? ""))) problems.push("server : donne la version du serveur");
  if (headers["x-powered-by"] !== undefined) problems.push("x-powered-by : présent");
  return problems.length > 0
    ? failed(problems.join(" ; "))
    : ok(`${Object.keys(wanted).join(", ")} présents`);
}

/** n8n's editor, API and web sockets, metrics and databases must not be public, however their paths are written. */
export async function checkClosedPaths(
  site: PublicSite,
  options: {
    /** Host names of the site besides its domain. */
    readonly otherHosts: readonly string[];
    /** n8n's public paths that the settings open. */
    readonly openPaths: readonly OpenablePath[];
    readonly hasFrontend: boolean;
    readonly signal: AbortSignal;
  },
): Promise<Finding> {
  const { otherHosts, openPaths, hasFrontend, signal } = options;
  const asked = [
    ...closedRequests(openPaths).map((request) => ({ host: site.domain, ...request })),
    ...otherHosts.map((host) => ({ host, path: "/metrics", upgrade: false })),
  ];
  const left = [...asked];
  const open: string[] = [];
  const ask = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const answer = await askPublic(site, { ...next, signal });
      if (!isClosed(answer, hasFrontend)) open.push(`${next.path} (${answer.status})`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, ask));
  return open.length > 0
    ? failed(`accessibles à tous : ${open.sort().join(", ")}`, { open: open.length })
    : ok(`${asked.length} chemins d'administration fermés`, { open: 0 });
}

/** Tries the limit of uploads. No workflow starts, because no webhook is registered for PUT. */
export async function checkUploads(
  site: PublicSite,
  { uploadMaxMib, signal }: { readonly uploadMaxMib: number; readonly signal: AbortSignal },
): Promise<Finding> {
  const sizes = [1, 20].filter((mib) => mib <= uploadMaxMib);
  const common = { path: "/api/upload", method: "PUT", signal };
  const problems: string[] = [];
  for (const mib of sizes) {
    const { status } = await askPublic(site, { ...common, bodyBytes: mib * 1024 * 1024 });
    if (status === 413 || status >= 500) problems.push(`${mib} Mio : ${status}`);
  }
  const bodyBytes = (uploadMaxMib + 1) * 1024 * 1024;
  const beyond = await askPublic(site, { ...common, bodyBytes, announceOnly: true });
  if (beyond.status !== 413) problems.push(`${uploadMaxMib + 1} Mio : ${beyond.status}, attendu 413`);
  return problems.length > 0
    ? failed(problems.join(" ; "))
    : ok(`${sizes.join(" et ")} Mio passent, plus de ${uploadMaxMib} Mio sont refusés`);
}

function isClosed({ status, headers, text }: PublicAnswer, hasFrontend: boolean): boolean {
  const type = String(headers["content-type"] ?? "");
  // The gateway and the frontend answer in HTML, so JSON means that n8n itself was reached.
  if ([400, 401, 403, 404, 405, 421].includes(status)) return !type.includes("json") && !/n8n/i.test(text);
  return hasFrontend && status === 200 && type.startsWith("text/html") && !/n8n/i.test(text);
}

function statusIn(text: string): unknown {
  try {
    return (JSON.parse(text) as { status?: unknown } | null)?.status;
  } catch {
    return undefined;
  }
}
