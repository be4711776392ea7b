import { failed, type Finding, notChecked, ok } from "../finding.ts";
import type { OvhApi } from "./ovh-api.ts";
import { covers, dangerousRights, neededRights, type Right, type RightsContext } from "./ovh-rights.ts";
import { type KeyFindings, refusal } from "./vendor-call.ts";
import type { Answer } from "../../vendors/http.ts";

const MOST_NAMED = 6;
const DAY_MS = 86_400_000;
/** A key that ends within this time ends between two deployments. */
const FEWEST_DAYS = 7;

/** Whether the key opens OVH's API, grants what the deployment calls, and grants nothing that would be a disaster. */
export async function checkOvhKey(
  api: OvhApi,
  request: { readonly rights: RightsContext; readonly now: number },
  signal: AbortSignal,
): Promise<KeyFindings> {
  const details = await api.get("/auth/details", signal);
  const refused =
    details.status === 403
      ? failed(
          "OVH refuse GET /auth/details (403) : la clé n'est pas valide, ou ce droit lui manque ; " +
            "en faire une autre sur https://api.ovh.com/createToken/ avec les droits du README",
        )
      : refusal("OVH", "ovhConsumerKey", details);
  if (refused) return { key: refused, quota: undefined, access: notChecked("la clé n'est pas acceptée") };
  if (api.kind === "account") {
    const reason =
      "compte de service OVH accepté ; ses droits sont des politiques IAM, que cette clé ne peut pas lire";
    return { key: notChecked(reason), quota: undefined, access: notChecked(reason) };
  }
  const granted =
    (details.body as { allowedRoutes?: readonly Right[] | null } | undefined)?.allowedRoutes ?? [];
  if (granted.length === 0) {
    const reason = "clé acceptée, mais OVH ne donne pas la liste de ses droits";
    return { key: notChecked(reason), quota: undefined, access: notChecked(reason) };
  }
  // Allowed to every key at OVH, but not promised: without it only the expiry stays unknown.
  const credential = await api.get("/auth/currentCredential", signal);
  return {
    key: keyFinding(granted, request, credential),
    quota: undefined,
    access: accessFinding(granted, request.rights),
  };
}

function keyFinding(
  granted: readonly Right[],
  { rights, now }: { readonly rights: RightsContext; readonly now: number },
  credential: Answer,
): Finding {
  const missing = neededRights(rights).filter((right) => !granted.some((rule) => covers(rule, right)));
  if (missing.length > 0)
    return failed(`il manque à la clé : ${named(missing)}`, { missing: missing.length });
  const { expiration = null } = (credential.status === 200 ? credential.body : {}) as {
    expiration?: string | null;
  };
  if (credential.status !== 200) return ok("clé acceptée, droits nécessaires présents ; expiration inconnue");
  if (expiration === null) return ok("clé acceptée, droits nécessaires présents ; elle n'expire pas");
  const days = Math.floor((Date.parse(expiration) - now) / DAY_MS);
  const told = `droits nécessaires présents ; la clé expire le ${expiration.slice(0, 10)}`;
  return days < FEWEST_DAYS
    ? failed(`${told}, dans ${days} jours : en faire une autre`, { expiresInDays: days })
    : ok(`clé acceptée, ${told}`, { expiresInDays: days });
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
