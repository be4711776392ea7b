/** Whether the old value of a secret is worth nothing any more, asked where that can be asked. */
import { UserError } from "../../common/user-error.ts";
import type { SecretName } from "../../secrets/catalog.ts";
import { onServer } from "../on-server.ts";
import type { RotationWorld } from "./world.ts";

const QDRANT = "http://127.0.0.1:6333";

const ASK_QDRANT = `
curl --silent --output /dev/null --max-time 20 --noproxy '*' --write-out '%{http_code}' \\
  --header @<(printf 'api-key: %s\\n' "$OLD") "$QDRANT/collections"`;

/** @throws UserError where the old value still opens something */
export async function requireOldRefused(
  name: SecretName,
  { stack, old, world }: { readonly stack: string; readonly old: string; readonly world: RotationWorld },
): Promise<void> {
  if (name !== "qdrantApiKey") return;
  const { stdout } = await onServer(stack, world.operator, (server) =>
    server.run({
      purpose: "ask Qdrant with the old key",
      script: ASK_QDRANT,
      variables: { QDRANT, OLD: old },
    }),
  );
  if (["401", "403"].includes(stdout.trim())) return;
  throw new UserError(
    `qdrant: expected it to refuse the old key, got ${stdout.trim()}; look at npm run logs -- ${stack} qdrant, then run the same command again`,
  );
}
