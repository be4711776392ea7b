import { COLLECTION } from "../../../common/services.ts";
import { failed, notChecked, ok } from "../finding.ts";
import { refusal, type KeyFindings } from "./vendor-call.ts";
import { call } from "../../vendors/http.ts";
import type { World } from "../world.ts";

const EMBEDDINGS = "https://api.voyageai.com/v1/embeddings";
/** The vector-store's model; its vectors have the size of the collection's. */
const MODEL = "voyage-3";

/** Has one short text turned into numbers: the only call by which VoyageAI shows that a key is good for that. */
export async function checkVoyageKey(world: World, key: string, signal: AbortSignal): Promise<KeyFindings> {
  const answer = await call(world, EMBEDDINGS, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ model: MODEL, input: ["vérification"], input_type: "document" }),
    signal,
  });
  const quota =
    answer.status === 429
      ? failed("VoyageAI répond 429 : la limite du compte est atteinte")
      : notChecked("VoyageAI ne donne pas ses limites par son API ; voir dashboard.voyageai.com");
  const refused = refusal("VoyageAI", "voyageApiKey", answer);
  if (refused) return { key: refused, quota };

  const { data } = (answer.body ?? {}) as { data?: readonly { embedding?: readonly unknown[] }[] };
  const size = data?.[0]?.embedding?.length ?? 0;
  const seen = `${size} nombres rendus par ${MODEL}`;
  return {
    key:
      size === COLLECTION.size
        ? ok(seen, { dimensions: size })
        : failed(`${seen}, attendu ${COLLECTION.size}`),
    quota,
  };
}
