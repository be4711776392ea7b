/** The host names of vendors at which the fake clouds answer, over HTTPS. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { STATE } from "./addresses.ts";
import { ensureCertificate } from "./authority.ts";
import { ANTHROPIC_HOST } from "./fake-clouds/anthropic/server.ts";
import { GOOGLE_HOSTS } from "./fake-clouds/google/server.ts";
import { VOYAGE_HOST } from "./fake-clouds/voyage/server.ts";
import { WEBHOOK_HOSTS } from "./webhooks.ts";

export const NAMED_HOSTS: readonly string[] = [
  ...WEBHOOK_HOSTS,
  VOYAGE_HOST,
  ANTHROPIC_HOST,
  ...GOOGLE_HOSTS,
];

/** Their certificate and key, of the rehearsal's authority; in PEM. */
export async function namedHostsCertificate(): Promise<{ readonly cert: string; readonly key: string }> {
  const issued = await ensureCertificate(join(STATE, "authority"), {
    name: "named-hosts",
    names: NAMED_HOSTS,
  });
  return { cert: await readFile(issued.certificate, "utf8"), key: await readFile(issued.key, "utf8") };
}
