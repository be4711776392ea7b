import type * as pulumi from "@pulumi/pulumi";

import { script } from "../common/script.ts";
import * as technicia from "../provider/resources.ts";

/** Longest move: every row is read, written and counted. */
const MOVE_SECONDS = 3600;

export interface N8nDatabaseArgs {
  readonly stack: string;
  readonly kind: "sqlite" | "postgres";

  /** Whether n8n may start on a database without its data. */
  readonly startEmpty: boolean;
}

/**
 * Where n8n's data is. n8n starts on a database only after this: from SQLite the data moves to PostgreSQL, and what cannot be moved fails
 * here, with n8n as it was. Otherwise n8n would start on an empty database, and its owner would be created again.
 */
export function createN8nDatabase(
  name: string,
  { stack, kind, startEmpty }: N8nDatabaseArgs,
  opts: pulumi.CustomResourceOptions,
): technicia.State {
  return new technicia.State(
    name,
    {
      observe: script(new URL("scripts/n8n-database-observe.sh", import.meta.url)),
      desired: kind,
      apply: `exec python3 -B - <<'PROGRAM'\n${script(new URL("scripts/n8n-database-move.py", import.meta.url))}PROGRAM\n`,
      variables: { STACK: stack, KIND: kind, START_EMPTY: String(startEmpty) },
      timeoutSeconds: MOVE_SECONDS,
    },
    opts,
  );
}
