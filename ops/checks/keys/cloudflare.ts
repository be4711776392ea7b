import type { Environment } from "../../../stacks/environment.ts";
import { failed, type Finding, notChecked, ok } from "../finding.ts";
import { type KeyFindings, refusal } from "./vendor-call.ts";
import { type Answer, call } from "../../vendors/http.ts";
import type { World } from "../world.ts";

const REAL = "https://api.cloudflare.com/client/v4";
/** Calls of one deployment, with room. */
const CALLS_NEEDED = 50;

type Dns = Environment["dns"];

export function cloudflareUrl(dns: Dns): string {
  return dns.cloudflareBaseUrl === "" ? REAL : dns.cloudflareBaseUrl;
}

/** Whether the token may read and change the zone's records, and no other zone. */
export async function checkCloudflareToken(
  world: World,
  { dns, token }: { readonly dns: Dns; readonly token: string },
  signal: AbortSignal,
): Promise<KeyFindings> {
  const ask = (path: string, init: RequestInit = {}) =>
    call(world, `${cloudflareUrl(dns)}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      signal,
    });
  const records = `/zones/${dns.zoneId}/dns_records`;
  const read = await ask(`${records}?per_page=1`);
  const quota = quotaOf(read);
  if (read.status === 404) {
    const key = failed(`Cloudflare ne connaît pas la zone de technicia:dns.zoneId pour ce jeton`);
    return { key, quota, access: notChecked("la zone n'est pas lisible") };
  }
  const refused = refusal("Cloudflare", "cloudflareApiToken", read);
  if (refused) return { key: refused, quota, access: notChecked("la zone n'est pas lisible") };

  const verified = await ask("/user/tokens/verify");
  const { result } = (verified.body ?? {}) as { result?: { status?: string; expires_on?: string } };
  if (verified.status === 200 && result?.status !== "active") {
    const key = failed(`jeton Cloudflare : état ${result?.status ?? "inconnu"}, attendu active`);
    return { key, quota, access: notChecked("le jeton n'est pas actif") };
  }
  // An empty record is never made; whether the token may make one is judged first.
  const write = await ask(records, { method: "POST", body: "{}" });
  const key =
    write.status === 401 || write.status === 403
      ? failed(`le jeton lit la zone ${dns.zone} mais ne peut pas la modifier ; lui donner Zone › DNS › Edit`)
      : write.status === 400
        ? ok(`zone ${dns.zone} lisible et modifiable${untilWhen(result?.expires_on)}`)
        : notChecked(
            `zone ${dns.zone} lisible ; droit de modification inconnu (Cloudflare répond ${write.status})`,
          );
  return { key, quota, access: accessOf(await ask("/zones?per_page=5"), dns) };
}

function accessOf(zones: Answer, dns: Dns): Finding {
  // A token without Zone › Read sees no list at all, which is the narrowest.
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
  const told = `reste ${remaining} appels, ${CALLS_NEEDED} suffisent à un déploiement`;
  const measures = { requestsRemaining: Number(remaining) };
  return Number(remaining) >= CALLS_NEEDED ? ok(told, measures) : failed(told, measures);
}

function untilWhen(expiry: string | undefined): string {
  return expiry === undefined ? "" : ` ; expire le ${expiry.slice(0, 10)}`;
}
