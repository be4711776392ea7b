import { createPrivateKey, sign } from "node:crypto";

import type { Environment } from "../../../stacks/environment.ts";
import { call, type CallOptions } from "../../vendors/http.ts";
import { failed, type Finding, notChecked, ok } from "../probe.ts";
import { refusal } from "./key-findings.ts";

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

/** Proves the key alone, because every call to Vision AI is billed. */
export async function checkVisionAi(request: GoogleRequest): Promise<Finding> {
  const token = await requestToken(request);
  if (typeof token !== "string") return token;
  return notChecked(
    "clé acceptée par Google ; le droit d'appeler Vision AI ne se vérifie qu'avec un appel facturé",
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
