import type { Environment } from "../../../stacks/environment.ts";
import { askCloudflare, openCloudflare } from "../../vendors/cloudflare.ts";
import type { Answer, CallOptions } from "../../vendors/http.ts";
import { failed, type Finding, notChecked, ok } from "../probe.ts";
import { type KeyFindings, refusal } from "./key-findings.ts";

/** Calls of one deployment, with a margin. */
const CALLS_NEEDED = 50;

type Dns = Environment["dns"];

interface TokenRequest extends Pick<CallOptions, "fetch" | "signal"> {
  readonly dns: Dns;
  readonly token: string;
}

/** Whether the token may read and change the zone's records, and no other zone. */
export async function checkCloudflareToken(request: TokenRequest): Promise<KeyFindings> {
  const { dns, token, fetch, signal } = request;
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
