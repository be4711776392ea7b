import { createPrivateKey, sign } from "node:crypto";

import type { Environment } from "../../../stacks/environment.ts";
import { failed, type Finding, notChecked, ok } from "../finding.ts";
import { refusal } from "./vendor-call.ts";
import { call } from "../../vendors/http.ts";
import type { World } from "../world.ts";

/** Never the address that the key file names: whoever made the file would get a signed assertion. */
const TOKENS = "https://oauth2.googleapis.com/token";
const SCOPE = "https://www.googleapis.com/auth/cloud-platform";
const LIFETIME_SECONDS = 300;
const REMEDY = "à remplacer : pulumi config set --secret technicia:googleCredentials < key.json";

type Processor = Environment["services"]["documentProcessor"];

/** Asks for the one processor that the document-processor calls. */
export async function checkDocumentAi(
  world: World,
  { credentials, processor }: { readonly credentials: string; readonly processor: Processor },
  signal: AbortSignal,
): Promise<Finding> {
  const token = await requestToken(world, credentials, signal);
  if (typeof token !== "string") return token;
  const { project, location, processorId } = processor;
  const name = `projects/${project}/locations/${location}/processors/${processorId}`;
  const answer = await call(world, `https://${location}-documentai.googleapis.com/v1/${name}`, {
    headers: { authorization: `Bearer ${token}` },
    signal,
  });
  if (answer.status === 404) {
    return failed(`Document AI ne connaît pas ${name} ; corriger technicia:services.documentProcessor`);
  }
  const refused = refusal("Google Document AI", "googleCredentials", answer);
  if (refused) return refused;
  const { state = "inconnu" } = (answer.body ?? {}) as { state?: string };
  return state === "ENABLED"
    ? ok(`processeur ${processorId} actif`)
    : failed(`processeur ${processorId} : état ${state}, attendu ENABLED`);
}

/** No call of Vision AI is without effect on the bill, so that only the key itself is proven. */
export async function checkVisionAi(
  world: World,
  credentials: string,
  signal: AbortSignal,
): Promise<Finding> {
  const token = await requestToken(world, credentials, signal);
  if (typeof token !== "string") return token;
  return notChecked(
    "clé acceptée par Google ; le droit d'appeler Vision AI ne se vérifie qu'avec un appel facturé",
  );
}

async function requestToken(
  world: World,
  credentials: string,
  signal: AbortSignal,
): Promise<string | Finding> {
  const assertion = signAssertion(credentials, world.now());
  if (assertion === undefined) {
    return failed(`le fichier de clé Google n'est pas celui d'un compte de service ; ${REMEDY}`);
  }
  const answer = await call(world, TOKENS, {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({
      grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
      assertion,
    }).toString(),
    signal,
  });
  // Google answers 400 to a key that was deleted, and to a clock that is wrong.
  if (answer.status === 400) {
    const { error = "" } = (answer.body ?? {}) as { error?: string };
    return failed(`Google refuse la clé (400 ${/^[a-z_]+$/.test(error) ? error : ""}) ; ${REMEDY}`);
  }
  const refused = refusal("Google", "googleCredentials", answer);
  if (refused) return refused;
  const { access_token: token } = (answer.body ?? {}) as { access_token?: string };
  return token ?? failed("Google répond sans donner de jeton");
}

/** A JWT by which the service account asks for a token; undefined when the text is no key of one. */
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
