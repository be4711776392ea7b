/** Accounts at VoyageAI, Anthropic and Google: valid at the fake clouds and nowhere else. */
import { createPublicKey, generateKeyPairSync, randomBytes } from "node:crypto";

import type { Configuration } from "./fake-clouds/configuration.ts";
import type { ServiceAccount } from "./fake-clouds/google/tokens.ts";

const PROJECT = "technicia-rehearsal";

/** The processor that documents are read with, as the settings name it. */
export const PROCESSOR = { project: PROJECT, location: "eu", processorId: "0123456789abcdef" } as const;

/** Keys of the stack's secrets; one that is rotated in a rehearsal only has to begin in the same way. */
const VOYAGE_KEYS = "pa-rehearsal-";

export interface AiAccounts {
  readonly voyageApiKey: string;
  readonly anthropicApiKey: string;
  /** Key file of a service account; JSON. */
  readonly googleCredentials: string;
}

export function createAiAccounts(): AiAccounts {
  const hex = (bytes: number) => randomBytes(bytes).toString("hex");
  return {
    voyageApiKey: `${VOYAGE_KEYS}${hex(16)}`,
    anthropicApiKey: `sk-ant-api03-${hex(40)}`,
    googleCredentials: createKeyFile(hex(20)),
  };
}

function createKeyFile(keyId: string): string {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return JSON.stringify({
    type: "service_account",
    project_id: PROJECT,
    private_key_id: keyId,
    private_key: privateKey.export({ type: "pkcs8", format: "pem" }),
    client_email: `technicia@${PROJECT}.iam.gserviceaccount.com`,
    token_uri: "https://oauth2.googleapis.com/token",
  });
}

/** What the fake clouds know of those accounts. */
export function knownAccounts({
  anthropicApiKey,
  googleCredentials,
}: AiAccounts): Required<Pick<Configuration, "voyage" | "anthropic" | "google">> {
  const { project, location, processorId } = PROCESSOR;
  return {
    voyage: { keys: [`${VOYAGE_KEYS}*`] },
    anthropic: { keys: [anthropicApiKey] },
    google: {
      accounts: [serviceAccount(googleCredentials)],
      processors: [{ project, location, id: processorId }],
    },
  };
}

function serviceAccount(credentials: string): ServiceAccount {
  const key = JSON.parse(credentials) as Readonly<
    Record<"client_email" | "private_key_id" | "private_key", string>
  >;
  return {
    email: key.client_email,
    keyId: key.private_key_id,
    publicKey: createPublicKey(key.private_key).export({ type: "spki", format: "pem" }) as string,
  };
}
