import { failed, notChecked, ok, type Finding } from "../finding.ts";
import { refusal, type KeyFindings } from "./vendor-call.ts";
import { call, type Answer } from "../../vendors/http.ts";
import type { World } from "../world.ts";

const MODELS = "https://api.anthropic.com/v1/models?limit=1";
const VERSION = "2023-06-01";
/** 20 users ask 50 times a minute: the load that TechnicIA's documents promise. */
const EXPECTED_REQUESTS_PER_MINUTE = 50;

/** Lists a model, which costs nothing. */
export async function checkAnthropicKey(
  world: World,
  key: string,
  signal: AbortSignal,
): Promise<KeyFindings> {
  const answer = await call(world, MODELS, {
    headers: { "x-api-key": key, "anthropic-version": VERSION },
    signal,
  });
  const quota = quotaOf(answer);
  const refused = refusal("Anthropic", "anthropicApiKey", answer);
  if (refused) return { key: refused, quota };
  const { data } = (answer.body ?? {}) as { data?: readonly { id?: string }[] };
  const model = data?.[0]?.id;
  return {
    key: model === undefined ? failed("la clé n'ouvre aucun modèle") : ok(`modèles visibles, dont ${model}`),
    quota,
  };
}

function quotaOf({ status, headers }: Answer): Finding {
  if (status === 429) return failed("Anthropic répond 429 : la limite du compte est atteinte");
  const [limit, remaining] = ["limit", "remaining"].map((name) =>
    headers.get(`anthropic-ratelimit-requests-${name}`),
  );
  if (!limit || !remaining) {
    return notChecked("Anthropic ne donne pas ses limites avec cette réponse ; voir console.anthropic.com");
  }
  const measures = { requestsLimitPerMinute: Number(limit), requestsRemaining: Number(remaining) };
  const told = `${limit} appels par minute, reste ${remaining} ; attendu ${EXPECTED_REQUESTS_PER_MINUTE}`;
  return Number(limit) >= EXPECTED_REQUESTS_PER_MINUTE && Number(remaining) > 0
    ? ok(told, measures)
    : failed(told, measures);
}
