/** Keys of Cloudflare and OVH, with the rights that a deployment needs and no others. */
import { openCloudflare } from "../../../provider/dns/cloudflare.ts";
import { credentialsOf, OvhClient } from "../../../provider/ovh/client.ts";
import { covers, readRights, type Right } from "../../../provider/ovh/rights.ts";
import type { StackOutputs } from "../../../stacks/deployment-status.ts";
import type { Environment } from "../../../stacks/environment.ts";
import { type Answer, askCloudflare, type CallOptions, readOvh } from "../../vendors/calls.ts";
import { failed, type Finding, type KeyFindings, notChecked, ok, refusal } from "../probe.ts";

/** Calls of one deployment, with a margin. */
const CALLS_NEEDED = 50;

type Dns = Environment["dns"];

/** Whether the token may read and change the zone's records, and no other zone. */
export async function checkCloudflareToken({
  dns,
  token,
  fetch,
  signal,
}: Pick<CallOptions, "fetch" | "signal"> & {
  readonly dns: Dns;
  readonly token: string;
}): Promise<KeyFindings> {
  const client = await openCloudflare({ baseUrl: dns.cloudflareBaseUrl, token, fetch });
  const get = (path: string) => askCloudflare(client, { method: "get", path, signal });
  const records = `/zones/${dns.zoneId}/dns_records`;
  const read = await get(`${records}?per_page=1`);
  const quota = quotaOf(read);
  const refused =
    read.status === 404
      ? failed("Cloudflare ne connaît pas la zone de technicia:dns.zoneId pour ce jeton")
      : refusal({ vendor: "Cloudflare", secret: "cloudflareApiToken" }, read);
  if (refused) return { key: refused, quota, access: notChecked("la zone n'est pas lisible") };

  const verified = await get("/user/tokens/verify");
  const { result } = (verified.body ?? {}) as { result?: { status?: string; expires_on?: string } };
  if (verified.status === 200 && result?.status !== "active") {
    const key = failed(`jeton Cloudflare : état ${result?.status ?? "inconnu"}, attendu active`);
    return { key, quota, access: notChecked("le jeton n'est pas actif") };
  }
  // Cloudflare checks the right first and then refuses the empty record, so that none is created.
  const write = await askCloudflare(client, { method: "post", path: records, body: {}, signal });
  const key = keyOf(write, { zone: dns.zone, expiry: result?.expires_on });
  return { key, quota, access: accessOf(await get("/zones?per_page=5"), dns) };
}

function keyOf({ status }: Answer, { zone, expiry }: { zone: string; expiry: string | undefined }): Finding {
  if (status === 401 || status === 403) {
    return failed(`le jeton lit la zone ${zone} mais ne peut pas la modifier ; lui donner Zone › DNS › Edit`);
  }
  if (status !== 400) {
    return notChecked(`zone ${zone} lisible ; droit de modification inconnu (Cloudflare répond ${status})`);
  }
  const until = expiry === undefined ? "" : ` ; expire le ${expiry.slice(0, 10)}`;
  return ok(`zone ${zone} lisible et modifiable${until}`);
}

function accessOf(zones: Answer, dns: Dns): Finding {
  // A token without Zone › Read sees no list of zones at all.
  if (zones.status === 401 || zones.status === 403) return ok("le jeton ne voit aucune liste de zones");
  const { result, result_info: info } = (zones.body ?? {}) as {
    result?: readonly { id: string; name: string }[];
    result_info?: { total_count?: number };
  };
  if (zones.status !== 200 || !result)
    return notChecked(`Cloudflare répond ${zones.status} à la liste des zones`);
  const others = result.filter(({ id }) => id !== dns.zoneId).map(({ name }) => name);
  return others.length === 0
    ? ok(`le jeton ne voit que ${dns.zone}`)
    : failed(
        `le jeton voit aussi ${others.join(", ")} (${info?.total_count ?? result.length} zones) ; ` +
          `le limiter à ${dns.zone}`,
      );
}

function quotaOf({ status, headers }: Answer): Finding {
  if (status === 429)
    return failed("Cloudflare répond 429 : la limite de 1200 appels en 5 minutes est atteinte");
  const remaining = /;\s*r=(\d+)/.exec(headers.get("ratelimit") ?? "")?.[1];
  if (remaining === undefined) return notChecked("Cloudflare ne donne pas ses limites avec cette réponse");
  const seen = `reste ${remaining} appels, ${CALLS_NEEDED} suffisent à un déploiement`;
  const measures = { requestsRemaining: Number(remaining) };
  return Number(remaining) >= CALLS_NEEDED ? ok(seen, measures) : failed(seen, measures);
}

const MOST_NAMED = 6;
const DAY_MS = 86_400_000;
/** A key that expires sooner might not last until the next deployment. */
const FEWEST_DAYS = 7;

/** Whether OVH accepts the key, and whether its rights are those of a deployment and no dangerous others. */
export async function checkOvhKey(request: {
  readonly endpoint: string;
  readonly secrets: Readonly<Record<string, string>>;
  readonly rights: RightsContext;
  readonly fetch: typeof fetch;
  readonly now: () => number;
  readonly signal: AbortSignal;
}): Promise<KeyFindings> {
  const { endpoint, rights, fetch, now, signal } = request;
  const credentials = credentialsOf(request.secrets);
  const isAccount = credentials.kind === "account";
  const client = new OvhClient({ endpoint, credentials, attempts: 1, fetch });
  const details = await readOvh(client, { path: "/auth/details", signal });
  const refused =
    details.status === 403
      ? failed(
          isAccount
            ? "OVH refuse GET /auth/details (403) : aucune politique IAM ne permet cet appel au compte de service ; " +
                "l'ajouter dans l'espace client OVHcloud, avec les appels de docs/accounts.md"
            : "OVH refuse GET /auth/details (403) : la clé n'est pas valide, ou ce droit lui manque ; " +
                "en faire une autre sur https://api.ovh.com/createToken/ avec les droits de docs/accounts.md",
        )
      : refusal({ vendor: "OVH", secret: isAccount ? "ovhClientSecret" : "ovhConsumerKey" }, details);
  if (refused) return { key: refused, access: notChecked("la clé n'est pas acceptée") };
  if (isAccount) {
    return unknown(
      "compte de service OVH accepté ; ses droits sont des politiques IAM, que cette clé ne peut pas lire",
    );
  }
  const { allowedRoutes } = (details.body ?? {}) as { allowedRoutes?: readonly Right[] | null };
  const granted = allowedRoutes ?? [];
  if (granted.length === 0) return unknown("clé acceptée, mais OVH ne donne pas la liste de ses droits");
  // OVH allows this call to every key, but does not promise it: without it only the expiry stays unknown.
  const credential = await readOvh(client, { path: "/auth/currentCredential", signal });
  const missing = neededRights(rights).filter((right) => !granted.some((rule) => covers(rule, right)));
  return {
    key:
      missing.length > 0
        ? failed(`il manque à la clé : ${named(missing)}`, { missing: missing.length })
        : expiryFinding(credential, now()),
    access: accessFinding(granted, rights),
  };
}

function unknown(reason: string): KeyFindings {
  return { key: notChecked(reason), access: notChecked(reason) };
}

function expiryFinding({ status, body }: Pick<Answer, "status" | "body">, now: number): Finding {
  if (status !== 200) return ok("clé acceptée, droits nécessaires présents ; expiration inconnue");
  const { expiration } = body as { expiration?: string | null };
  if (!expiration) return ok("clé acceptée, droits nécessaires présents ; elle n'expire pas");
  const days = Math.floor((Date.parse(expiration) - now) / DAY_MS);
  const seen = `droits nécessaires présents ; la clé expire le ${expiration.slice(0, 10)}`;
  return days < FEWEST_DAYS
    ? failed(`${seen}, dans ${days} jours : en faire une autre`, { expiresInDays: days })
    : ok(`clé acceptée, ${seen}`, { expiresInDays: days });
}

function accessFinding(granted: readonly Right[], context: RightsContext): Finding {
  const excessive = dangerousRights(context).filter((right) => granted.some((rule) => covers(rule, right)));
  return excessive.length === 0
    ? ok("aucun droit dangereux : ni résiliation, ni réinstallation, ni achat, ni compte")
    : failed(`la clé peut de trop : ${named(excessive)} ; en faire une plus étroite`, {
        excessive: excessive.length,
      });
}

function named(rights: readonly Right[]): string {
  const shown = rights.slice(0, MOST_NAMED).map(({ method, path }) => `${method} ${path}`);
  const rest = rights.length - shown.length;
  return shown.join(", ") + (rest > 0 ? ` et ${rest} autres` : "");
}

interface RightsContext {
  readonly environment: Pick<Environment, "server" | "dns">;
  readonly outputs: Pick<StackOutputs, "deploymentStatus" | "ipv4"> | undefined;
}

/** Any server: the stack's own while it has none, or somebody else's. */
const OTHER = "vps-00000000.vps.ovh.net";

const ORDER_RIGHTS: readonly string[] = [
  "GET POST /order/cart",
  "GET DELETE /order/cart/1",
  "POST /order/cart/1/assign",
  "POST /order/cart/1/vps",
  "POST /order/cart/1/vps/options",
  "GET /order/cart/1/item/1/requiredConfiguration",
  "POST /order/cart/1/item/1/configuration",
  "GET POST /order/cart/1/checkout",
  "GET /me/payment/method",
  "GET /me/order",
  "GET /me/order/1/status",
  "GET /me/order/1/details",
  "GET /me/order/1/details/1/extension",
  "POST /me/order/1/pay",
  "GET /vps",
  `GET /vps/${OTHER}/images/available`,
  `POST /vps/${OTHER}/rebuild`,
];

export function neededRights(context: RightsContext): Right[] {
  const { server, dns } = context.environment;
  const vps = `/vps/${serviceOf(context)}`;
  const ip = context.outputs?.ipv4 ?? "192.0.2.1";
  const block = `/ip/${ip}%2F32`;
  const zone = `/domain/zone/${dns.zone}`;
  return readRights([
    "GET /auth/details",
    `GET PUT ${vps}`,
    `GET ${vps}/ips`,
    `GET ${vps}/tasks`,
    `GET ${vps}/images/current`,
    `GET${server.deleteAtExpiry ? " PUT" : ""} ${vps}/serviceInfos`,
    `GET POST ${block}/firewall`,
    `GET PUT DELETE ${block}/firewall/${ip}`,
    `GET POST ${block}/firewall/${ip}/rule`,
    `GET DELETE ${block}/firewall/${ip}/rule/1`,
    `POST ${block}/reverse`,
    `GET DELETE ${block}/reverse/${ip}`,
    ...(dns.provider === "ovh"
      ? [`GET POST ${zone}/record`, `GET PUT DELETE ${zone}/record/1`, `POST ${zone}/refresh`]
      : []),
    ...(isOrdering(context) ? ORDER_RIGHTS : []),
  ]);
}

export function dangerousRights(context: RightsContext): Right[] {
  const vps = `/vps/${serviceOf(context)}`;
  return readRights([
    `POST ${vps}/terminate`,
    `POST ${vps}/confirmTermination`,
    `DELETE ${vps}`,
    // This mail holds the token that confirms a termination.
    "GET /me/notification/email/history/1",
    "PUT /me",
    "PUT DELETE /me/api/credential/1",
    "POST /me/identity/user",
    "POST /domain/zone/autre.example/record",
    "POST /cloud/project",
    ...(isOrdering(context)
      ? []
      : [
          `POST ${vps}/rebuild`,
          `POST ${vps}/reinstall`,
          "POST /order/cart/1/checkout",
          "POST /me/order/1/pay",
        ]),
  ]);
}

/** Until the stack has a server, the key orders one and installs it. */
function isOrdering({ environment, outputs }: RightsContext): boolean {
  return environment.server.source.kind === "order" && outputs === undefined;
}

function serviceOf({ environment, outputs }: RightsContext): string {
  const { source } = environment.server;
  return source.kind === "adopt"
    ? source.serviceName
    : (outputs?.deploymentStatus.server.serviceName ?? OTHER);
}
