/** What the public address gives to anybody, and what it keeps to itself. */
import { publicNames, type Environment } from "../../../stacks/environment.ts";
import { failed, type Finding, ok } from "../finding.ts";
import { askPublic, type PublicAnswer } from "./request.ts";
import type { World } from "../world.ts";

type Site = Pick<Environment, "domain" | "acme" | "services" | "uploadMaxMib">;

/** n8n's own surface, by the ways on which gateways have let it through, and the other services'. */
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
  "/signin",
  "/setup",
  "/home/workflows",
  "/types/nodes.json",
  "/collections",
  "/dashboard",
];

export async function checkHealthRoute(
  world: World,
  { domain }: Site,
  signal: AbortSignal,
): Promise<Finding> {
  const started = performance.now();
  const { status, text } = await askPublic(world, { secure: true, host: domain, path: "/healthz", signal });
  const milliseconds = Math.round(performance.now() - started);
  const told = `https://${domain}/healthz : ${status} en ${milliseconds} ms`;
  // A page of the frontend's answers 200 to everything.
  return status === 200 && statusIn(text) === "ok"
    ? ok(told, { milliseconds })
    : failed(`${told}, attendu 200 et {"status":"ok"}`, { milliseconds });
}

export async function checkFrontend(world: World, { domain }: Site, signal: AbortSignal): Promise<Finding> {
  const { status, text } = await askPublic(world, { secure: true, host: domain, path: "/", signal });
  const title = /<title>([^<]+)<\/title>/i.exec(text)?.[1];
  return status === 200 && title !== undefined
    ? ok(`page « ${title.slice(0, 80)} »`)
    : failed(`https://${domain}/ : ${status}, ${title === undefined ? "sans titre" : "avec un titre"}`);
}

export async function checkRedirect(world: World, { domain }: Site, signal: AbortSignal): Promise<Finding> {
  const path = "/verification?de=http";
  const { status, headers } = await askPublic(world, { secure: false, host: domain, path, signal });
  const wanted = `https://${domain}${path}`;
  return status === 301 && headers.location === wanted
    ? ok(`http mène à ${wanted}`)
    : failed(`http : attendu 301 vers ${wanted}, trouvé ${status} vers ${headers.location ?? "rien"}`);
}

export async function checkHeaders(world: World, site: Site, signal: AbortSignal): Promise<Finding> {
  const { headers } = await askPublic(world, { secure: true, host: site.domain, path: "/healthz", signal });
  const wanted: Readonly<Record<string, RegExp>> = {
    "x-content-type-options": /^nosniff$/i,
    "x-frame-options": /^(SAMEORIGIN|DENY)$/i,
    "referrer-policy": /^(strict-origin|no-referrer|same-origin)/i,
    // Browsers that were told to insist on a certificate they refuse could not come back.
    ...(site.acme.trusted ? { "strict-transport-security": /max-age=\d{7,}/i } : {}),
  };
  const problems = Object.entries(wanted)
    .filter(([name, value]) => !value.test(String(headers[name] ?? "")))
    .map(([name]) => `${name} : ${headers[name] === undefined ? "absent" : "inattendu"}`);
  if (!site.acme.trusted && headers["strict-transport-security"] !== undefined) {
    problems.push("strict-transport-security : présent alors que l'autorité n'est pas reconnue");
  }
  if (/\d/.test(String(headers.server ?? ""))) problems.push("server : donne la version du serveur");
  if (headers["x-powered-by"] !== undefined) problems.push("x-powered-by : présent");
  return problems.length > 0
    ? failed(problems.join(" ; "))
    : ok(`${Object.keys(wanted).join(", ")} présents`);
}

/** n8n's editor and interface, measures and databases must not be reached by anybody. */
export async function checkClosedPaths(world: World, site: Site, signal: AbortSignal): Promise<Finding> {
  const { domain, services } = site;
  const asked = [
    ...CLOSED_PATHS.map((path) => ({ host: domain, path })),
    ...publicNames(site)
      .filter((host) => host !== domain)
      .map((host) => ({ host, path: "/metrics" })),
  ];
  const open: string[] = [];
  await Promise.all(
    asked.map(async ({ host, path }) => {
      const answer = await askPublic(world, { secure: true, host, path, signal });
      if (!isClosed(answer, services.frontend.enabled)) open.push(`${path} (${answer.status})`);
    }),
  );
  return open.length > 0
    ? failed(`accessibles à tous : ${open.sort().join(", ")}`, { open: open.length })
    : ok(`${asked.length} chemins d'administration fermés`, { open: 0 });
}

/** How much the gateway takes, tried without starting any workflow: no webhook is registered for PUT. */
export async function checkUploads(world: World, site: Site, signal: AbortSignal): Promise<Finding> {
  const { domain, uploadMaxMib } = site;
  const sizes = [1, 20].filter((mib) => mib <= uploadMaxMib);
  const common = { secure: true, host: domain, path: "/api/upload", method: "PUT", signal };
  const problems: string[] = [];
  for (const mib of sizes) {
    const { status } = await askPublic(world, { ...common, bodyBytes: mib * 1024 * 1024 });
    if (status === 413 || status >= 500) problems.push(`${mib} Mio : ${status}`);
  }
  const bodyBytes = (uploadMaxMib + 1) * 1024 * 1024;
  const beyond = await askPublic(world, { ...common, bodyBytes, announceOnly: true });
  if (beyond.status !== 413) problems.push(`${uploadMaxMib + 1} Mio : ${beyond.status}, attendu 413`);
  return problems.length > 0
    ? failed(problems.join(" ; "))
    : ok(`${sizes.join(" et ")} Mio passent, plus de ${uploadMaxMib} Mio sont refusés`);
}

function isClosed({ status, headers, text }: PublicAnswer, hasFrontend: boolean): boolean {
  const type = String(headers["content-type"] ?? "");
  // A refusal in JSON is n8n's own, which was reached then; the gateway and the frontend speak HTML.
  if ([401, 403, 404, 405, 421].includes(status)) return !type.includes("json") && !/n8n/i.test(text);
  return hasFrontend && status === 200 && type.startsWith("text/html") && !/n8n/i.test(text);
}

function statusIn(text: string): unknown {
  try {
    return (JSON.parse(text) as { status?: unknown } | null)?.status;
  } catch {
    return undefined;
  }
}
