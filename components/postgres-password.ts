import type * as pulumi from "@pulumi/pulumi";

import { swarmName } from "../common/services.ts";
import { script } from "../common/script.ts";
import * as technicia from "../provider/resources.ts";

/**
 * The password of n8n's role. Connections that are open stay; new ones need the new password at once, so whatever opens them has to wait. PostgreSQL
 * itself does not restart for it.
 */
export function createPostgresPassword(
  name: string,
  { password }: { readonly password: pulumi.Input<string> },
  opts: pulumi.CustomResourceOptions,
): technicia.State {
  const program = script(new URL("scripts/postgres-password.sh", import.meta.url));
  return new technicia.State(
    name,
    {
      observe: `${program}\nobserve`,
      desired: "n8n logs in",
      apply: `${program}\napply`,
      variables: { SERVICE: swarmName("postgres") },
      secrets: { PASSWORD: password },
    },
    opts,
  );
}
