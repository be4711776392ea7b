/** What the answers of a vendor's API mean for a key. */
import type { Answer } from "../../vendors/http.ts";
import { failed, type Finding, notChecked } from "../finding.ts";

/** What the calls of one service tell of its key, and of what may still be called. */
export interface KeyFindings {
  readonly key: Finding;
  /** Undefined where the service has no limit that matters here. */
  readonly quota: Finding | undefined;
  /** Whether the key may do what it should not; undefined where that means nothing. */
  readonly access?: Finding;
}

/** What another status than 2xx says of a key; undefined for 2xx. The vendor's own text is left out: some quote the key. */
export function refusal(vendor: string, secret: string, { status }: Answer): Finding | undefined {
  if (status >= 200 && status < 300) return undefined;
  const remedy = `à remplacer : pulumi config set --secret technicia:${secret}`;
  if (status === 401) return failed(`${vendor} refuse la clé (401) ; ${remedy}`);
  if (status === 403)
    return failed(`${vendor} : la clé n'a pas le droit de faire cet appel (403) ; ${remedy}`);
  if (status === 429) return notChecked(`${vendor} limite les appels (429) : la clé n'a pas pu être jugée`);
  if (status >= 500) return notChecked(`${vendor} répond ${status} : la clé n'a pas pu être jugée`);
  return failed(`${vendor} répond ${status} à un appel qui devrait réussir`);
}

/** The same findings when the service cannot be asked. */
export function unasked(reason: string): KeyFindings {
  return { key: notChecked(reason), quota: notChecked(reason), access: notChecked(reason) };
}
