/** What the gateway must answer by itself: n8n's pages, API and web sockets, the other services', and other ways to write their paths. */
import { OPENABLE_PATHS, type OpenablePath } from "../../../common/services.ts";

export interface ClosedRequest {
  /** As the request line has it. */
  readonly path: string;
  /** Whether it asks for a web socket. */
  readonly upgrade: boolean;
}

const CHAT = "/chat?sessionId=verification&executionId=999999";

/** Under every prefix by which a gateway has let them through. */
const CLOSED_PATHS = [
  "/rest/login",
  "/rest/settings",
  "/rest/owner/setup",
  "/metrics",
  "/api/rest/login",
  "/api/rest/settings",
  "/api/metrics",
  "/api/v1/workflows",
  "/api/api/v1/workflows",
  "/webhook-test/upload",
  "/form-test/upload",
  "/mcp-test/upload",
  "/signin",
  "/setup",
  "/home/workflows",
  "/types/nodes.json",
  "/collections",
  "/dashboard",
];

/** Requests that must not reach n8n or another service, with the paths that this environment opens left out. */
export function closedRequests(openPaths: readonly OpenablePath[]): ClosedRequest[] {
  const closed = (Object.keys(OPENABLE_PATHS) as OpenablePath[]).filter((name) => !openPaths.includes(name));
  const paths = [
    ...CLOSED_PATHS,
    ...closed.flatMap((name) => OPENABLE_PATHS[name].map((path) => (path.endsWith("/") ? `${path}1` : path))),
    ...["/rest/login", "/signin"].flatMap(spellings),
  ];
  const sockets = [
    "/rest/push?pushRef=verification",
    ...(openPaths.includes("chat") ? [] : [CHAT]),
    ...spellings(CHAT),
  ];
  return [
    ...paths.map((path) => ({ path, upgrade: false })),
    ...sockets.map((path) => ({ path, upgrade: true })),
  ];
}

/**
 * Ways to write a path that begin where the gateway is open, or end there, for a reader that resolves or decodes them in another
 * order than n8n: nginx decodes and resolves before it chooses, n8n compares what was written.
 */
function spellings(target: string): string[] {
  const [path = "", query] = target.slice(1).split("?");
  const initial = `%${path.charCodeAt(0).toString(16)}`;
  return [
    ...[`${path}/..%2fwebhook%2fx`, `${path}/..%2f..%2fwebhook%2fx`, `${path}/%2e%2e/webhook/x`],
    ...[
      `${path}%2f..%2fwebhook%2fx`,
      `${path}/../webhook/x`,
      `${path}/..;/webhook/x`,
      `${path}//../webhook/x`,
    ],
    ...[`/${path}`, `//${path}`, `./${path}`, `.//${path}`, `%2e/${path}`, `%2f${path}`, `${path}/.`],
    ...[`${initial}${path.slice(1)}`, path.toUpperCase()],
    ...[`webhook/../${path}`, `webhook/x/../../${path}`, `webhook/./../${path}`, `webhook//../../${path}`],
    ...[`/webhook/../${path}`, `webhook/..//${path}`, `webhook/..;/${path}`, `webhook/.;/../${path}`],
    ...[`webhook/..%2f${path}`, `webhook/..%2F${path}`, `webhook/x%2f..%2f..%2f${path}`],
    ...[`webhook/%2e%2e/${path}`, `webhook/%2E%2e/${path}`, `webhook/.%2e/${path}`, `webhook/%2e./${path}`],
    ...[`webhook/%2e%2e%2f${path}`, `webhook%2f..%2f${path}`, `webhook%2f%2e%2e%2f${path}`],
    ...[`webhook/..%5c${path}`, `webhook/..\\${path}`, `webhook\\..\\${path}`, `webhook%5c..%5c${path}`],
    ...[`webhook/%252e%252e/${path}`, `webhook/%252e%252e%252f${path}`, `webhook/..%252f${path}`],
    ...[`webhook/..%00/${path}`, `webhook/%c0%ae%c0%ae/${path}`, `webhook/%ef%bc%8e%ef%bc%8e/${path}`],
    ...[`api/../${path}`, `api/upload/..%2f..%2f${path}`, `api/question/../../${path}`, `api/%2e%2e/${path}`],
    ...[`healthz/../${path}`, `healthz/..%2f${path}`, `.well-known/acme-challenge/../../${path}`],
  ].map((written) => `/${written}${query === undefined ? "" : `?${query}`}`);
}
