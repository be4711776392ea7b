/** Keys of the services that embed texts and answer questions. */
import { COLLECTION } from "../../../common/services.ts";
import { type Answer, call, type CallOptions } from "../../vendors/http.ts";
import { failed, notChecked, ok, type Finding } from "../probe.ts";
import { refusal, type KeyFindings } from "./key-findings.ts";

const EMBEDDINGS = "https://api.voyageai.com/v1/embeddings";
/** The vector-store's model; its vectors have the size of the collection's. */
const MODEL = "voyage-3";

const MODELS = "https://api.anthropic.com/v1/models?limit=1";
const ANTHROPIC_VERSION = "2023-06-01";
/** 20 users ask 50 times a minute: the load that TechnicIA's documents promise. */
const EXPECTED_REQUESTS_PER_MINUTE = 50;

type Request = Pick<CallOptions, "fetch" | "signal">;

/** Embeds one short text: the only call by which VoyageAI shows that a key may embed. */
export async function checkVoyageKey(key: string, request: Request): Promise<KeyFindings> {
  const answer = await call(EMBEDDINGS, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ model: MODEL, input: ["vérification"], input_type: "document" }),
    ...request,
  });
  const quota =
    answer.status === 429
      ? failed("VoyageAI répond 429 : la limite du compte est atteinte")
      : notChecked("VoyageAI ne donne pas ses limites par son API ; voir dashboard.voyageai.com");
  const refused = refusal({ vendor: "VoyageAI", secret: "voyageApiKey" }, answer);
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

/** Lists a model, which costs nothing. */
export async function checkAnthropicKey(key: string, request: Request): Promise<KeyFindings> {
  const answer = await call(MODELS, {
    headers: { "x-api-key": key, "anthropic-version": ANTHROPIC_VERSION },
    ...request,
  });
  const quota = anthropicQuota(answer);
  const refused = refusal({ vendor: "Anthropic", secret: "anthropicApiKey" }, answer);
  if (refused) return { key: refused, quota };
  const { data } = (answer.body ?? {}) as { data?: readonly { id?: string }[] };
  const model = data?.[0]?.id;
  return {
    key: model === undefined ? failed("la clé n'ouvre aucun modèle") : ok(`modèles visibles, dont ${model}`),
    quota,
  };
}

function anthropicQuota({ status, headers }: Answer): Finding {
  if (status === 429) return failed("Anthropic répond 429 : la limite du compte est atteinte");
  const [limit, remaining] = ["limit", "remaining"].map((name) =>
    headers.get(`anthropic-ratelimit-requests-${name}`),
  );
  if (!limit || !remaining) {
    return notChecked("Anthropic ne donne pas ses limites avec cette réponse ; voir console.anthropic.com");
  }
  const measures = { requestsLimitPerMinute: Number(limit), requestsRemaining: Number(remaining) };
  const seen = `${limit} appels par minute, reste ${remaining} ; attendu ${EXPECTED_REQUESTS_PER_MINUTE}`;
  return Number(limit) >= EXPECTED_REQUESTS_PER_MINUTE && Number(remaining) > 0
    ? ok(seen, measures)
    : failed(seen, measures);
}
