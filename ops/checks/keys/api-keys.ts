/** The keys that a person gave: valid, with the rights that a deployment needs and no others, and with calls left. */
import type { Check } from "../../../common/check.ts";
import { credentialsOf } from "../../../provider/ovh/client.ts";
import { keysByService } from "../../../secrets/catalog.ts";
import type { SecretService } from "../../../secrets/entry.ts";
import { Unreachable } from "../../vendors/calls.ts";
import type { CheckContext, CheckEffects } from "../context.ts";
import {
  failed,
  type KeyAspect,
  type KeyFindings,
  notChecked,
  type Part,
  runProbe,
  summarize,
} from "../probe.ts";
import { checkAnthropicKey, checkDocumentAi, checkVisionAi, checkVoyageKey } from "./ai-keys.ts";
import { checkCloudflareToken, checkOvhKey } from "./cloud-keys.ts";

type Effects = Pick<CheckEffects, "fetch" | "now">;

interface KeyedService {
  readonly id: string;
  readonly name: SecretService;

  /** What the calls show besides the key's validity. */
  readonly aspects: readonly KeyAspect[];

  /** Whether there is a key, and the environment uses it. */
  readonly hasKey: boolean;

  readonly check: (signal: AbortSignal) => Promise<KeyFindings>;
}

export async function checkApiKeys(context: CheckContext, effects: Effects): Promise<Check[]> {
  const needed = new Map(
    keysByService(context.environment, new Set(Object.keys(context.secrets))).map(
      ({ service, required }) => [service, required] as const,
    ),
  );
  const services = await Promise.all(
    keyedServices(context, effects).map((service) =>
      checkService(service, { context, isNeeded: needed.get(service.name) === true }),
    ),
  );
  const checklist = [
    {
      id: "api-keys",
      title: "Les clés API sont valides et ont les permissions nécessaires",
      parts: services.map(({ key }) => key),
    },
    {
      id: "api-quotas",
      title: "Les quotas API sont suffisants pour la charge attendue",
      parts: services.flatMap(({ quota }) => quota),
    },
    {
      id: "access-rights",
      title: "Droits d'accès vérifiés",
      parts: services.flatMap(({ access }) => access),
    },
  ];
  return checklist.flatMap(({ id, title, parts }) => [
    summarize({ id, title }, parts),
    ...parts.map(({ check }) => check),
  ]);
}

function keyedServices({ environment, outputs, secrets }: CheckContext, effects: Effects): KeyedService[] {
  const { dns, ovh, services } = environment;
  const { documentProcessor, visionClassifier } = services;
  const { voyageApiKey = "", anthropicApiKey = "", googleCredentials = "" } = secrets;
  const { cloudflareApiToken: token = "" } = secrets;
  const { fetch } = effects;
  const google = { ...effects, credentials: googleCredentials };
  return [
    {
      id: "voyage",
      name: "VoyageAI",
      aspects: ["quota"],
      hasKey: voyageApiKey !== "",
      check: (signal) => checkVoyageKey(voyageApiKey, { fetch, signal }),
    },
    {
      id: "anthropic",
      name: "Anthropic",
      aspects: ["quota"],
      hasKey: anthropicApiKey !== "",
      check: (signal) => checkAnthropicKey(anthropicApiKey, { fetch, signal }),
    },
    {
      id: "google-document-ai",
      name: "Google Document AI",
      aspects: [],
      hasKey: googleCredentials !== "" && documentProcessor.enabled,
      check: async (signal) => ({ key: await checkDocumentAi(documentProcessor, { ...google, signal }) }),
    },
    {
      id: "google-vision-ai",
      name: "Google Vision AI",
      aspects: [],
      hasKey: googleCredentials !== "" && visionClassifier.enabled,
      check: async (signal) => ({ key: await checkVisionAi({ ...google, signal }) }),
    },
    {
      id: "cloudflare",
      name: "Cloudflare",
      aspects: ["quota", "access"],
      hasKey: token !== "" && dns.provider === "cloudflare",
      check: (signal) => checkCloudflareToken({ dns, token, fetch, signal }),
    },
    {
      id: "ovh",
      name: "OVH",
      aspects: ["access"],
      hasKey: credentialsOf(secrets).kind !== "none",
      check(signal) {
        const rights = { environment, outputs };
        return checkOvhKey({ ...effects, endpoint: ovh.endpoint, secrets, rights, signal });
      },
    },
  ];
}

async function checkService(
  service: KeyedService,
  { context, isNeeded }: { readonly context: CheckContext; readonly isNeeded: boolean },
): Promise<Readonly<Record<"key", Part> & Record<KeyAspect, readonly Part[]>>> {
  let findings = allNotChecked(service, "l'appel n'a pas abouti");
  const check = await runProbe(
    {
      id: `api-key-${service.id}`,
      title: service.name,
      async find(signal) {
        if (!service.hasKey) {
          return isNeeded
            ? failed(`clé absente ; npm run secrets -- ${context.stack} dit laquelle et comment la donner`)
            : notChecked(`aucune clé ${service.name} : cet environnement n'en a pas besoin`);
        }
        try {
          findings = await service.check(signal);
        } catch (error) {
          if (!(error instanceof Unreachable)) throw error;
          findings = allNotChecked(service, error.message);
        }
        return findings.key;
      },
    },
    context,
  );
  const partsOf = (aspect: KeyAspect, id: string): Part[] => {
    const finding = findings[aspect];
    return service.hasKey && finding
      ? [{ check: { id, title: service.name, ...finding }, isNeeded: true }]
      : [];
  };
  return {
    key: { check, isNeeded },
    quota: partsOf("quota", `api-quota-${service.id}`),
    access: partsOf("access", `access-${service.id}`),
  };
}

function allNotChecked({ aspects }: KeyedService, reason: string): KeyFindings {
  const finding = notChecked(reason);
  return { key: finding, ...Object.fromEntries(aspects.map((aspect) => [aspect, finding])) };
}
