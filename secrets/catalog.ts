/** Every secret of an environment: its readers, who gives it, its rotation, and its minimum strength. Never a value. */
import { randomBytes } from "node:crypto";

import { isServiceOn, type ServiceName } from "../common/services.ts";
import {
  type Condition,
  type SecretEntry,
  type SecretsContext,
  secretServices,
  type SecretService,
} from "./entry.ts";
import { monitoringSecrets } from "./monitoring.ts";

/** Namespace of every key in the configuration: `technicia:domain`. */
export const NAMESPACE = "technicia";

const OAUTH_NAMES = ["ovhClientId", "ovhClientSecret"] as const;
const usesOauth = (configured: ReadonlySet<string>) => OAUTH_NAMES.some((name) => configured.has(name));
const ALWAYS: Condition = { words: "always", holds: () => true };
const whenOn = (name: ServiceName, words: string): Condition => ({
  words,
  holds: (context) => isServiceOn(name, context),
});
const storageKey = {
  services: ["Backup"],
  givenBy: "user",
  minimumLength: 17,
  form: {
    expected:
      "expected the two halves of an S3 key with a colon between them: <access key id>:<secret access key>",
    test: (value: string) => /^[A-Za-z0-9]{4,128}:[A-Za-z0-9+/=_-]{8,128}$/.test(value),
  },
  neededFor: {
    Backup: {
      words: "`backup.bucket` is set",
      holds: ({ backup }: SecretsContext) => backup.bucket !== undefined,
    },
  },
} as const;
const hexadecimal = () => randomBytes(32).toString("hex");

const ovhApplication = {
  services: ["OVH"],
  readers: ["technicia provider", "ovh provider"],
  givenBy: "user",
  neededFor: {
    OVH: {
      words: "neither `ovhClientId` nor `ovhClientSecret` is set",
      holds: (_context: SecretsContext, configured: ReadonlySet<string>) => !usesOauth(configured),
    },
  },
} as const;

const ovhOauth = {
  services: ["OVH"],
  readers: ["technicia provider", "ovh provider"],
  givenBy: "user",
  neededFor: {
    OVH: {
      words: "`ovhClientId` or `ovhClientSecret` is set",
      holds: (_context: SecretsContext, configured: ReadonlySet<string>) => usesOauth(configured),
    },
  },
} as const;

export const catalog = {
  ovhApplicationKey: {
    ...ovhApplication,
    description: "Application key (AK) of the OVHcloud API",
    minimumLength: 16,
  },
  ovhApplicationSecret: {
    ...ovhApplication,
    description: "Application secret (AS) of the OVHcloud API",
    minimumLength: 32,
  },
  ovhConsumerKey: {
    ...ovhApplication,
    description: "Consumer key (CK) of the OVHcloud API, limited to the calls that the deployment makes",
    minimumLength: 32,
  },
  ovhClientId: {
    ...ovhOauth,
    description: "Client id of an OVHcloud service account, instead of the three application values",
    minimumLength: 8,
  },
  ovhClientSecret: {
    ...ovhOauth,
    description: "Client secret of that OVHcloud service account",
    minimumLength: 32,
  },
  cloudflareApiToken: {
    description: "Cloudflare API token that may edit the DNS of the one zone",
    services: ["Cloudflare"],
    readers: ["cloudflare provider"],
    givenBy: "user",
    minimumLength: 40,
    form: {
      expected: "expected a Cloudflare API token of 40 to 80 letters, digits, - and _",
      test: (value) => /^[0-9A-Za-z_-]{40,80}$/.test(value),
    },
    neededFor: {
      Cloudflare: {
        words: "`dns.provider` is `cloudflare`",
        holds: ({ dns }) => dns.provider === "cloudflare",
      },
    },
  },
  voyageApiKey: {
    description: "VoyageAI API key, for the vectors of texts and images",
    services: ["VoyageAI"],
    readers: ["vector-store"],
    givenBy: "user",
    minimumLength: 20,
    neededFor: { VoyageAI: ALWAYS },
  },
  anthropicApiKey: {
    description: "Anthropic API key, for the answers and diagnoses of the n8n workflows",
    services: ["Anthropic"],
    readers: ["n8n"],
    givenBy: "user",
    minimumLength: 20,
    // Only the folder of workflows knows whether it is needed: its credentials.yaml names it, and a preview fails where it is missing.
    neededFor: {},
  },
  googleCredentials: {
    description: "JSON key file of the Google Cloud service account for Document AI and Vision AI",
    services: ["Google Document AI", "Google Vision AI"],
    readers: ["document-processor", "vision-classifier"],
    givenBy: "user",
    characters: "any",
    minimumLength: 100,
    form: {
      expected: "expected the JSON key file of a Google Cloud service account, whole",
      test: isServiceAccountKey,
    },
    neededFor: {
      "Google Document AI": whenOn("documentProcessor", "`services.documentProcessor.enabled` is true"),
      "Google Vision AI": whenOn("visionClassifier", "`services.visionClassifier.enabled` is true"),
    },
  },
  registryPassword: {
    description: "Password or token of the account `images.registryUser`, which pushes and pulls images",
    services: ["Registry"],
    readers: ["technicia provider", "npm run images"],
    givenBy: "user",
    characters: "visible",
    minimumLength: 8,
    neededFor: {
      Registry: { words: "`images.registryUser` is set", holds: ({ builds }) => builds.registryUser !== "" },
    },
  },
  n8nEncryptionKey: {
    description: "Key with which n8n encrypts the credentials it stores",
    services: ["n8n"],
    readers: ["n8n"],
    givenBy: "us",
    characters: "any",
    minimumLength: 32,
    neededFor: { n8n: ALWAYS },
    generate: hexadecimal,
    irreplaceable: "with another key n8n refuses to start, and every stored credential is lost",
  },
  n8nOwnerPassword: {
    description: "Password of n8n's owner, whose e-mail is adminEmail",
    services: ["n8n"],
    readers: ["n8n"],
    givenBy: "us",
    characters: "visible",
    minimumLength: 12,
    form: {
      expected: "expected at most 64 characters with a digit and a capital letter, as n8n demands",
      test: (value) => value.length <= 64 && /\d/.test(value) && /[A-Z]/.test(value),
    },
    neededFor: { n8n: ALWAYS },
    generate: password,
  },
  n8nJwtSecret: {
    description: "Key with which n8n signs its sessions",
    services: ["n8n"],
    readers: ["n8n"],
    givenBy: "us",
    characters: "visible",
    minimumLength: 32,
    neededFor: { n8n: ALWAYS },
    generate: hexadecimal,
  },
  n8nRunnersToken: {
    description: "Token with which n8n's task runners join n8n",
    services: ["n8n"],
    readers: ["n8n", "n8n-runners"],
    givenBy: "us",
    minimumLength: 32,
    neededFor: { n8n: whenOn("n8nRunners", "`services.n8nRunners.enabled` is true") },
    generate: hexadecimal,
  },
  qdrantApiKey: {
    description: "Key that every request to Qdrant carries",
    services: ["Qdrant"],
    readers: ["qdrant", "vector-store", "n8n"],
    givenBy: "us",
    minimumLength: 32,
    neededFor: {
      Qdrant: { words: "`services.qdrant.apiKey` is true", holds: ({ services }) => services.qdrant.apiKey },
    },
    generate: hexadecimal,
  },
  backupPassword: {
    description: "Password with which the sets of backups are encrypted",
    services: ["Backup"],
    readers: ["restic"],
    givenBy: "us",
    minimumLength: 32,
    neededFor: {
      Backup: {
        words: "`backup.project` or `backup.bucket` is set",
        holds: ({ backup }) => backup.project !== "" || backup.bucket !== undefined,
      },
    },
    generate: hexadecimal,
    irreplaceable:
      "without one that the repository knows no set can be read; npm run secrets -- <stack> rotate backupPassword adds the next one first",
    usedBy: "backup-password",
  },
  backupWriterKey: {
    ...storageKey,
    description: "Key that writes sets into your own bucket, and can delete nothing but restic's locks",
    readers: ["restic"],
  },
  backupReaderKey: {
    ...storageKey,
    description: "Key that reads the sets: for restores, rehearsals, and a recovery without the state",
    readers: ["restic", "npm run backups"],
  },
  ...monitoringSecrets,
  postgresPassword: {
    description: "Password of n8n's role in PostgreSQL",
    services: ["n8n"],
    readers: ["postgres", "n8n"],
    givenBy: "us",
    characters: "visible",
    minimumLength: 32,
    neededFor: { n8n: whenOn("postgres", "`services.n8n.database` is `postgres`") },
    generate: hexadecimal,
  },
  wireguardKey: {
    description:
      "Key that every server's WireGuard key follows from, one for each, and the proof with which it joins the others",
    services: ["OVH"],
    readers: ["wireguard"],
    givenBy: "us",
    minimumLength: 64,
    form: {
      expected: "expected 64 hexadecimal digits",
      test: (value) => /^[0-9a-f]{64}$/.test(value),
    },
    neededFor: {
      OVH: {
        words: "`servers` has several entries",
        holds: ({ servers = [] }) => servers.length > 1,
      },
    },
    generate: hexadecimal,
  },
} as const satisfies Readonly<Record<string, SecretEntry>>;

export type SecretName = keyof typeof catalog;

/** Key of a rotation that is under way, with its values: a secret beside those of the catalog (`rotation.ts`). */
export const ROTATION = "rotation";

export const secretNames = Object.keys(catalog) as SecretName[];

export function isSecretName(name: string): name is SecretName {
  return Object.hasOwn(catalog, name);
}

/** Whether the configuration holds a secret under this name: nothing shows its value. */
export function isSecretKey(name: string): boolean {
  return isSecretName(name) || name === ROTATION;
}

export function entryOf(name: SecretName): SecretEntry {
  return catalog[name];
}

/** Whether an environment needs this secret; with `service`, whether it needs it for that service. */
export function isNeeded(
  { name, service }: { readonly name: SecretName; readonly service?: SecretService },
  { context, configured }: { readonly context: SecretsContext; readonly configured: ReadonlySet<string> },
): boolean {
  const { neededFor } = entryOf(name);
  const conditions = service === undefined ? Object.values(neededFor) : [neededFor[service]];
  return conditions.some((condition) => condition?.holds(context, configured) === true);
}

/** The secrets that an environment cannot do without. */
export function requiredSecrets(context: SecretsContext, configured: ReadonlySet<string>): SecretName[] {
  return secretNames.filter((name) => isNeeded({ name }, { context, configured }));
}

export interface ServiceKeys {
  readonly service: SecretService;
  /** Whether this environment cannot be deployed without a key for it. */
  readonly required: boolean;
  /** Whether every key that it needs is set; where it needs none, whether one is set anyway. */
  readonly configured: boolean;
  readonly missing: readonly SecretName[];
}

/** For each service, whether its keys are set. */
export function keysByService(context: SecretsContext, configured: ReadonlySet<string>): ServiceKeys[] {
  return secretServices.map((service) => {
    const needed = secretNames.filter((name) => isNeeded({ name, service }, { context, configured }));
    const missing = needed.filter((name) => !configured.has(name));
    const required = needed.length > 0;
    const given = secretNames.some(
      (name) => configured.has(name) && entryOf(name).services.includes(service),
    );
    return { service, required, configured: required ? missing.length === 0 : given, missing };
  });
}

// n8n refuses a password without a digit or a capital; 24 random characters lack one about once in eighty times.
function password(): string {
  const candidate = randomBytes(18).toString("base64url");
  return catalog.n8nOwnerPassword.form.test(candidate) ? candidate : password();
}

function isServiceAccountKey(value: string): boolean {
  try {
    const key = JSON.parse(value) as Record<string, unknown> | null;
    const fields = ["project_id", "private_key", "client_email"];
    return key?.["type"] === "service_account" && fields.every((field) => typeof key[field] === "string");
  } catch {
    return false;
  }
}
