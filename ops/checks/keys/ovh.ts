import { credentialsOf } from "../../../provider/ovh/client.ts";
import type { Answer } from "../../vendors/http.ts";
import { type OvhOptions, openOvh, readOvh } from "../../vendors/ovh.ts";
import { failed, type Finding, notChecked, ok } from "../probe.ts";
import { type KeyFindings, refusal } from "./key-findings.ts";
import { covers, dangerousRights, neededRights, type Right, type RightsContext } from "./ovh-rights.ts";

const MOST_NAMED = 6;
const DAY_MS = 86_400_000;
/** A key that expires sooner might not last until the next deployment. */
const FEWEST_DAYS = 7;

interface OvhKeyRequest extends OvhOptions {
  readonly rights: RightsContext;
  readonly now: () => number;
  readonly signal: AbortSignal;
}

/** Whether OVH accepts the key, and whether its rights are those of a deployment and no dangerous others. */
export async function checkOvhKey({ rights, now, signal, ...options }: OvhKeyRequest): Promise<KeyFindings> {
  const client = openOvh(options);
  const details = await readOvh(client, { path: "/auth/details", signal });
  const refused =
    details.status === 403
      ? failed(
          "OVH refuse GET /auth/details (403) : la clé n'est pas valide, ou ce droit lui manque ; " +
            "en faire une autre sur https://api.ovh.com/createToken/ avec les droits du README",
        )
      : refusal({ vendor: "OVH", secret: "ovhConsumerKey" }, details);
  if (refused) return { key: refused, access: notChecked("la clé n'est pas acceptée") };
  if (credentialsOf(options.secrets).kind === "account") {
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
