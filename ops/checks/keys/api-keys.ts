/** The keys that a person gave: valid, allowed to do what is needed, not allowed what is not, and with calls left. */
import { keysByService, type SecretService } from "../../../secrets/catalog.ts";
import type { Check } from "../../../common/check.ts";
import type { CheckContext } from "../context.ts";
import { carryOut, failed, type Finding, notChecked, summarize } from "../finding.ts";
import { checkAnthropicKey } from "./anthropic.ts";
import { checkCloudflareToken } from "./cloudflare.ts";
import { checkDocumentAi, checkVisionAi } from "./google.ts";
import { checkOvhKey } from "./ovh.ts";
import { checkVoyageKey } from "./voyage.ts";
import { openOvh } from "./ovh-api.ts";
import { type KeyFindings, unasked } from "./vendor-call.ts";
import { Unreachable } from "../../vendors/http.ts";
import type { World } from "../world.ts";

interface Service {
  readonly id: string;
  readonly name: SecretService;
  /** Whether this environment cannot do without. */
  readonly isNeeded: boolean;
  /** Undefined without a key. */
  readonly ask: ((signal: AbortSignal) => Promise<KeyFindings>) | undefined;
}

interface Asked extends Service {
  readonly check: Check;
  readonly findings: KeyFindings;
}

export async function checkApiKeys(context: CheckContext, world: World): Promise<Check[]> {
  const asked = await Promise.all(servicesOf(context, world).map((service) => ask(service, context)));
  const keys = asked.map(({ check, isNeeded }) => ({ check, isNeeded }));
  const quotas = parts(asked, "quota");
  const access = parts(asked, "access");
  return [
    summarize(
      { id: "api-keys", title: "Les clés API sont valides et ont les permissions nécessaires" },
      keys,
    ),
    ...keys.map(({ check }) => check),
    summarize({ id: "api-quotas", title: "Les quotas API sont suffisants pour la charge attendue" }, quotas),
    ...quotas.map(({ check }) => check),
    summarize({ id: "access-rights", title: "Droits d'accès vérifiés" }, access),
    ...access.map(({ check }) => check),
  ];
}

function servicesOf(context: CheckContext, world: World): Service[] {
  const { environment, outputs, secrets } = context;
  const required = new Map(
    keysByService(environment, new Set(Object.keys(secrets))).map(({ service, required }) => [
      service,
      required,
    ]),
  );
  const make = (id: string, name: SecretService, ask: Service["ask"]): Service => ({
    id,
    name,
    isNeeded: required.get(name) === true,
    ask,
  });
  const {
    voyageApiKey,
    anthropicApiKey,
    googleCredentials: credentials,
    cloudflareApiToken: token,
  } = secrets;
  const { dns, services } = environment;
  const ovh = openOvh(world, environment.ovh.endpoint, secrets);
  const only = async (key: Promise<Finding>): Promise<KeyFindings> => ({ key: await key, quota: undefined });
  const processor = services.documentProcessor;
  return [
    make(
      "voyage",
      "VoyageAI",
      voyageApiKey ? (signal) => checkVoyageKey(world, voyageApiKey, signal) : undefined,
    ),
    make(
      "anthropic",
      "Anthropic",
      anthropicApiKey ? (signal) => checkAnthropicKey(world, anthropicApiKey, signal) : undefined,
    ),
    make(
      "google-document-ai",
      "Google Document AI",
      credentials && processor.enabled
        ? (signal) => only(checkDocumentAi(world, { credentials, processor }, signal))
        : undefined,
    ),
    make(
      "google-vision-ai",
      "Google Vision AI",
      credentials && services.visionClassifier.enabled
        ? (signal) => only(checkVisionAi(world, credentials, signal))
        : undefined,
    ),
    make(
      "cloudflare",
      "Cloudflare",
      token && dns.provider === "cloudflare"
        ? (signal) => checkCloudflareToken(world, { dns, token }, signal)
        : undefined,
    ),
    make(
      "ovh",
      "OVH",
      ovh
        ? (signal) => checkOvhKey(ovh, { rights: { environment, outputs }, now: world.now() }, signal)
        : undefined,
    ),
  ];
}

async function ask(service: Service, context: CheckContext): Promise<Asked> {
  let findings = unasked("l'appel n'a pas abouti");
  const check = await carryOut(
    {
      id: `api-key-${service.id}`,
      title: service.name,
      async find(signal) {
        if (!service.ask) return missing(service, context.stack);
        try {
          findings = await service.ask(signal);
        } catch (error) {
          if (!(error instanceof Unreachable)) throw error;
          findings = unasked(error.message);
        }
        return findings.key;
      },
    },
    context,
  );
  return { ...service, check, findings };
}

function missing({ name, isNeeded }: Service, stack: string): Finding {
  return isNeeded
    ? failed(`clé absente ; npm run secrets -- ${stack} dit laquelle et comment la donner`)
    : notChecked(`aucune clé ${name} : cet environnement n'en a pas besoin`);
}

/** The other findings of the services that have a key. */
function parts(asked: readonly Asked[], kind: "quota" | "access") {
  return asked.flatMap(({ id, name, ask, findings }) => {
    const found = findings[kind];
    // A service that has no such thing says so when it is asked; one that could not be asked is only counted if it could have.
    const isMeant = kind === "quota" ? !/^(ovh|google)/.test(id) : /^(ovh|cloudflare)$/.test(id);
    if (!ask || !found || !isMeant) return [];
    const prefix = kind === "quota" ? "api-quota" : "access";
    return [{ check: { id: `${prefix}-${id}`, title: name, ...found }, isNeeded: true }];
  });
}
