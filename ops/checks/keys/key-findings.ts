/** What a vendor's answers mean for the key that asked. */
import { failed, type Finding, notChecked } from "../probe.ts";

/** What else than its validity a key's calls show: calls left, and rights that the key should not have. */
export type KeyAspect = "quota" | "access";

export type KeyFindings = { readonly key: Finding } & Partial<Readonly<Record<KeyAspect, Finding>>>;

/**
 * What a status other than 2xx says about a key; undefined for 2xx. The vendor's own text is left out, because it may quote the key.
 *
 * `secret` is the key's name in `secrets/catalog.ts`.
 */
export function refusal(
  { vendor, secret }: { readonly vendor: string; readonly secret: string },
  { status }: { readonly status: number },
): Finding | undefined {
  if (status >= 200 && status < 300) return undefined;
  const remedy = `à remplacer : pulumi config set --secret technicia:${secret}`;
  if (status === 401) return failed(`${vendor} refuse la clé (401) ; ${remedy}`);
  if (status === 403)
    return failed(`${vendor} : la clé n'a pas le droit de faire cet appel (403) ; ${remedy}`);
  if (status === 429) return notChecked(`${vendor} limite les appels (429) : la clé n'a pas pu être jugée`);
  if (status >= 500) return notChecked(`${vendor} répond ${status} : la clé n'a pas pu être jugée`);
  return failed(`${vendor} répond ${status} à un appel qui devrait réussir`);
}
