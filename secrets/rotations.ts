/** How each secret changes without a gap: the one table of who checks it, who notices, what proves it, and how often it is due. Never a value. */
import { entryOf, isSecretName, secretNames, type SecretName } from "./catalog.ts";
import type { RotationStep } from "./rotation.ts";

export interface RotationRule {
  /** Days from one rotation to the next; undefined: only when somebody has to know it no longer. */
  readonly days: number | undefined;

  /** Updates that it takes, in their order; none: it is refused. */
  readonly steps: readonly RotationStep[];

  /** Whether both values are valid meanwhile, and how. */
  readonly both: string;

  /** What people notice of it. */
  readonly notice: string;

  /** What shows that the new value works, besides the verification of every deployment. */
  readonly verified: string;

  /** The others that change with it, because they are one key. @default none */
  readonly together?: readonly SecretName[];

  /** What the person then does elsewhere. @default nothing */
  readonly afterwards?: string;

  /** Why it is refused, and what to do instead; only without steps. */
  readonly refusal?: string;

  /** Whether each step is a command of its own, because other environments have to come along. @default false */
  readonly stepByStep?: boolean;
}

const YEARLY = 365;
const HALF_YEARLY = 180;
const QUARTERLY = 90;

const PAIR = ["accept", "switch", "remove"] as const;
const SWITCH = ["switch"] as const;

/** A vendor accepts every key that was made there until it is deleted. */
function atVendor(vendor: string, verified: string) {
  return {
    days: HALF_YEARLY,
    steps: SWITCH,
    both: `yes: ${vendor} takes the old one until you delete it`,
    notice: "nothing",
    verified,
    afterwards: `delete the old one at ${vendor}`,
  };
}

const OVH_APPLICATION = ["ovhApplicationKey", "ovhApplicationSecret", "ovhConsumerKey"] as const;
const OVH_ACCOUNT = ["ovhClientId", "ovhClientSecret"] as const;
const ovh = { ...atVendor("OVHcloud", "preflight calls OVHcloud with it"), days: QUARTERLY };
const alertReceiver = (vendor: string) =>
  atVendor(vendor, "npm run alerts -- <stack> test, whose message has to arrive");
const atStorage = {
  ...atVendor("the storage", "the set before the next release, or npm run backup"),
  days: YEARLY,
};

export const rotations = {
  ovhApplicationKey: { ...ovh, together: OVH_APPLICATION },
  ovhApplicationSecret: { ...ovh, together: OVH_APPLICATION },
  ovhConsumerKey: { ...ovh, together: OVH_APPLICATION },
  ovhClientId: { ...ovh, together: OVH_ACCOUNT },
  ovhClientSecret: { ...ovh, together: OVH_ACCOUNT },
  wireguardKey: {
    days: YEARLY,
    steps: SWITCH,
    both: "no: each server has one WireGuard key; all are written in one update",
    notice: "the servers do not hear each other for seconds, from the first one's new key to the last one's",
    verified: "the tunnel's state on each server, which waits for a packet of all others",
  },
  cloudflareApiToken: { ...atVendor("Cloudflare", "preflight asks Cloudflare about it"), days: QUARTERLY },
  voyageApiKey: {
    ...atVendor("VoyageAI", "preflight asks VoyageAI; the verification searches with it"),
    notice: "vector-store starts its new task before the old one stops",
  },
  anthropicApiKey: {
    ...atVendor("Anthropic", "preflight asks Anthropic; n8n's credentials are compared with it"),
  },
  googleCredentials: {
    ...atVendor("Google Cloud", "preflight asks Google for a token"),
    notice: "document-processor and vision-classifier start their new tasks before the old ones stop",
  },
  registryPassword: {
    ...atVendor("the registry", "preflight asks the registry for the images"),
    notice: "nothing",
  },
  n8nEncryptionKey: {
    days: undefined,
    steps: [],
    both: "no: n8n knows one, and every stored credential is encrypted with it",
    notice: "-",
    verified: "-",
    refusal:
      "n8n refuses to start with another one, and 2.3 has no rotation at all. Later versions can rotate the keys of their data beneath it " +
      "(N8N_ENV_FEAT_ENCRYPTION_KEY_ROTATION; Settings > Data Encryption Keys), but never this one, and without a way back to an older n8n or to a set " +
      "from before; so that is off here. If somebody must not know n8n's credentials any longer, rotate those at their vendors",
  },
  n8nOwnerPassword: {
    days: HALF_YEARLY,
    steps: SWITCH,
    both: "no: n8n knows one; the program changes it while n8n runs",
    notice: "the owner signs in again",
    verified: "n8n takes it when the program sets the owner's name with it",
  },
  n8nJwtSecret: {
    days: YEARLY,
    steps: SWITCH,
    both: "no: n8n knows one; it restarts while the gateway holds its requests",
    notice: "everybody signs in to the editor again; requests wait some seconds",
    verified: "n8n's webhooks answer as before",
  },
  n8nRunnersToken: {
    days: YEARLY,
    steps: SWITCH,
    both: "no: n8n's broker knows one; it restarts while the gateway holds its requests, and Code nodes wait up to a minute for their runner",
    notice: "requests wait some seconds",
    verified: "the runners' health check, which fails without n8n's broker",
  },
  qdrantApiKey: {
    days: HALF_YEARLY,
    steps: PAIR,
    both: "yes: Qdrant 1.17 and later take `service.api_key` and `service.alt_api_key`",
    notice: "Qdrant restarts at the first and at the last step, some seconds each",
    verified: "Qdrant refuses the old one at the end",
  },
  backupPassword: {
    days: YEARLY,
    steps: PAIR,
    both: "yes: restic's repository has several passwords; BACKUP_ADMINISTRATOR_KEY adds and removes them",
    notice: "nothing",
    verified: "restic opens the repository with the new one, and not with the old one at the end",
    afterwards:
      "the old one still opens copies of the repository that somebody has; the sets' own key does not change",
  },
  backupWriterKey: atStorage,
  backupReaderKey: atStorage,
  smtpPassword: {
    days: YEARLY,
    steps: SWITCH,
    both: "depends on your mail server: make a second application password where it has them",
    notice: "no mail between its change there and here, where it has one password only",
    verified: "npm run alerts -- <stack> test, whose message has to arrive",
    afterwards: "delete the old one at the mail server",
  },
  slackUrl: alertReceiver("Slack"),
  pagerUrl: alertReceiver("the pager"),
  smsUrl: alertReceiver("the SMS gateway"),
  webhookUrl: alertReceiver("who receives it"),
  pagerDutyKey: alertReceiver("PagerDuty"),
  pingUrl: alertReceiver("the service that is pinged"),
  neighbourToken: {
    days: YEARLY,
    steps: PAIR,
    both: "yes: the gateway takes two, and is reloaded without a dropped connection",
    notice: "nothing, if every environment makes a step before any makes the next",
    verified: "no alert NeighbourSilent in the other environments",
    stepByStep: true,
  },
  postgresPassword: {
    days: HALF_YEARLY,
    steps: SWITCH,
    both: "no: a role has one; it changes while the gateway holds n8n's requests, right before n8n restarts, and open connections stay",
    notice: "requests wait some seconds",
    verified: "PostgreSQL takes the new one over its network; n8n's webhooks answer as before",
  },
} as const satisfies Readonly<Record<SecretName, RotationRule>>;

export function rotationOf(name: SecretName): RotationRule {
  return rotations[name];
}

/** A secret that is in no setting of the stack. */
export interface OtherSecret {
  readonly description: string;
  readonly days: number | undefined;

  /** What a person does, a command or a sentence in each line. */
  readonly how: (stack: string) => readonly string[];
}

/** Secrets beside the catalog. `passphrase` and `ssh` are rotated by the command; for the others it prints what to do, and records it. */
export const otherSecrets = {
  passphrase: {
    description: "passphrase that encrypts the stack's secrets, in its settings and its state",
    days: YEARLY,
    how: (stack) => [`npm run secrets -- ${stack} rotate passphrase`],
  },
  ssh: {
    description: "key of the operator, ssh.publicKey and ssh.privateKeyFile",
    days: YEARLY,
    how: (stack) => [`npm run secrets -- ${stack} rotate ssh --from-file <new private key>`],
  },
  stateKeys: {
    description: "S3 keys of the state's bucket, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    days: HALF_YEARLY,
    how: (stack) => [
      "make a second key of the same user where the bucket is, and export it here as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
      `replace both in the environments ${stack}-preview, ${stack}-drift and ${stack} of your CI, each with its own rights`,
      `npm run deploy -- ${stack}: it writes the state with the new key`,
      "delete the old key there",
    ],
  },
  backupStorageKeys: {
    description: "S3 keys of the backups' bucket that the program made at OVHcloud (backup.project)",
    days: YEARLY,
    how: (stack) => [
      `npx pulumi up --stack ${stack} --policy-pack stacks/policy --replace '**backup-storage-writer-key' --replace '**backup-storage-reader-key'`,
      `npm run backup -- ${stack}: a set with the new keys`,
      "delete the old credentials of both users in OVHcloud's console: the program never deletes one",
    ],
  },
  backupAdministratorKey: {
    description: "key of the administrator of the backups' bucket, BACKUP_ADMINISTRATOR_KEY",
    days: YEARLY,
    how: (stack) => [
      `delete the user "technicia backup administrator ${stack}" in OVHcloud's console`,
      `npm run backup -- ${stack} --administrator: makes the next one and prints its key once, for the safe and the environment ${stack}-backup of your CI`,
    ],
  },
  ciKeys: {
    description: "ssh keys of the CI in ssh.admins, SSH_PRIVATE_KEY",
    days: YEARLY,
    how: (stack) => [
      'ssh-keygen -t ed25519 -N "" -f technicia-ci',
      `add the public half to the CI's entry in technicia:ssh.admins of Pulumi.${stack}.yaml; npm run deploy -- ${stack}`,
      `put the private half into SSH_PRIVATE_KEY of ${stack} and ${stack}-drift, run the workflow drift, and delete both files`,
      `remove the old public half from technicia:ssh.admins; npm run deploy -- ${stack}`,
    ],
  },
} as const satisfies Readonly<Record<string, OtherSecret>>;

export type OtherName = keyof typeof otherSecrets;
export type RotationName = SecretName | OtherName;

export const rotationNames: readonly RotationName[] = [
  ...secretNames,
  ...(Object.keys(otherSecrets) as OtherName[]),
];

export function isOtherName(name: string): name is OtherName {
  return Object.hasOwn(otherSecrets, name);
}

export function daysOf(name: RotationName): number | undefined {
  return isOtherName(name) ? otherSecrets[name].days : rotationOf(name).days;
}

/** The secrets that change when this one is rotated, in the order in which their values are asked for. */
export function rotatedWith(name: SecretName): readonly SecretName[] {
  return rotationOf(name).together ?? [name];
}

/** In one sentence, for docs/settings.md. */
export function describeRotation(name: SecretName): string {
  const { days, steps, both, refusal } = rotationOf(name);
  if (steps.length === 0) return `never: ${refusal ?? both}`;
  const due = days === undefined ? "on demand" : `every ${days} days`;
  const who = entryOf(name).givenBy === "us" ? "" : ", with a value of yours";
  return `${due}${who}; both values valid? ${both}`;
}

/** The detail of the audit's line about a rotation that has ended. */
export function describeRotated(names: readonly RotationName[]): string {
  return `${ROTATED}${names.join(", ")}`;
}

const ROTATED = "rotation terminée : ";

/** The names in such a detail; empty for any other line. */
export function rotatedIn(detail: string): RotationName[] {
  if (!detail.startsWith(ROTATED)) return [];
  const names = detail.slice(ROTATED.length).split(", ");
  return names.filter((name): name is RotationName => isSecretName(name) || isOtherName(name));
}
