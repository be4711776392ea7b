/** Keys of the services that read documents, embed texts and answer questions. */
import { createPrivateKey, sign } from "node:crypto";

import { COLLECTION } from "../../../common/services.ts";
import type { Environment } from "../../../stacks/environment.ts";
import { type Answer, call, type CallOptions } from "../../vendors/calls.ts";
import { failed, type Finding, type KeyFindings, notChecked, ok, refusal } from "../probe.ts";

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

/** Never the address in the key file: the author of a forged file would get a signed assertion. */
const TOKENS = "https://oauth2.googleapis.com/token";
const SCOPE = "https://www.googleapis.com/auth/cloud-platform";
const LIFETIME_SECONDS = 300;
const REMEDY = "à remplacer : pulumi config set --secret technicia:googleCredentials < key.json";

interface GoogleRequest extends Pick<CallOptions, "fetch" | "signal"> {
  /** Text of the service account's key file. */
  readonly credentials: string;
  readonly now: () => number;
}

/** Reads the one processor that the document-processor calls. */
export async function checkDocumentAi(
  { project, location, processorId }: Environment["services"]["documentProcessor"],
  request: GoogleRequest,
): Promise<Finding> {
  const token = await requestToken(request);
  if (typeof token !== "string") return token;
  const { fetch, signal } = request;
  const name = `projects/${project}/locations/${location}/processors/${processorId}`;
  const answer = await call(`https://${location}-documentai.googleapis.com/v1/${name}`, {
    headers: { authorization: `Bearer ${token}` },
    fetch,
    signal,
  });
  if (answer.status === 404) {
    return failed(`Document AI ne connaît pas ${name} ; corriger technicia:services.documentProcessor`);
  }
  const refused = refusal({ vendor: "Google Document AI", secret: "googleCredentials" }, answer);
  if (refused) return refused;
  const { state = "inconnu" } = (answer.body ?? {}) as { state?: string };
  return state === "ENABLED"
    ? ok(`processeur ${processorId} actif`)
    : failed(`processeur ${processorId} : état ${state}, attendu ENABLED`);
}

const ANNOTATE = "https://vision.googleapis.com/v1/images:annotate";

/** Asks about no image: Vision AI bills by image, and answers whoever may call it with an empty list, or 400. */
export async function checkVisionAi(request: GoogleRequest): Promise<Finding> {
  const token = await requestToken(request);
  if (typeof token !== "string") return token;
  const { fetch, signal } = request;
  const answer = await call(ANNOTATE, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ requests: [] }),
    fetch,
    signal,
  });
  // Google judges the right to call before what is asked.
  if (answer.status === 400) return ok("Vision AI accepte l'appel, fait sans image pour ne rien coûter");
  return (
    refusal({ vendor: "Google Vision AI", secret: "googleCredentials" }, answer) ??
    ok("Vision AI répond à un appel sans image, qui ne coûte rien")
  );
}

async function requestToken({ credentials, now, ...request }: GoogleRequest): Promise<string | Finding> {
  const assertion = signAssertion(credentials, now());
  if (assertion === undefined) {
    return failed(`le fichier de clé Google n'est pas celui d'un compte de service ; ${REMEDY}`);
  }
  const answer = await call(TOKENS, {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({
      grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
      assertion,
    }).toString(),
    ...request,
  });
  // Google answers 400 to a deleted key, and to a request of a machine with a wrong clock.
  if (answer.status === 400) {
    const { error = "" } = (answer.body ?? {}) as { error?: string };
    return failed(`Google refuse la clé (400 ${/^[a-z_]+$/.test(error) ? error : ""}) ; ${REMEDY}`);
  }
  const refused = refusal({ vendor: "Google", secret: "googleCredentials" }, answer);
  if (refused) return refused;
  const { access_token: token } = (answer.body ?? {}) as { access_token?: string };
  return token ?? failed("Google répond sans donner de jeton");
}

/** The signed JWT that Google exchanges for a token; undefined when the text is no key of a service account. */
function signAssertion(credentials: string, now: number): string | undefined {
  try {
    const key = JSON.parse(credentials) as {
      readonly private_key_id?: string;
      readonly private_key: string;
      readonly client_email: string;
    };
    const issued = Math.floor(now / 1000);
    const parts = [
      { alg: "RS256", typ: "JWT", ...(key.private_key_id ? { kid: key.private_key_id } : {}) },
      { iss: key.client_email, scope: SCOPE, aud: TOKENS, iat: issued, exp: issued + LIFETIME_SECONDS },
    ].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"));
    const signature = sign("RSA-SHA256", Buffer.from(parts.join(".")), createPrivateKey(key.private_key));
    return [...parts, signature.toString("base64url")].join(".");
  } catch {
    return undefined;
  }
}
