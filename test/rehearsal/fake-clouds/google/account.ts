import { generateKeyPairSync, sign } from "node:crypto";

import type { ServiceAccount } from "../../../../rehearsal/fake-clouds/google/tokens.ts";

const EMAIL = "technicia@technicia-1234.iam.gserviceaccount.com";

/** A service account as Google knows it, and its key file as a user has it. */
export function createAccount(): { readonly account: ServiceAccount; readonly credentials: string } {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return {
    account: {
      email: EMAIL,
      keyId: "key-1",
      publicKey: publicKey.export({ type: "spki", format: "pem" }) as string,
    },
    credentials: JSON.stringify({
      type: "service_account",
      project_id: "technicia-1234",
      private_key_id: "key-1",
      private_key: privateKey.export({ type: "pkcs8", format: "pem" }),
      client_email: EMAIL,
      token_uri: "https://oauth2.googleapis.com/token",
    }),
  };
}

/** The signed assertion of a key file, with other claims where `changes` has them. */
export function assertion(
  credentials: string,
  { now, ...changes }: { readonly now: number } & Readonly<Record<string, unknown>>,
): string {
  const key = JSON.parse(credentials) as Readonly<
    Record<"private_key" | "private_key_id" | "client_email", string>
  >;
  const issued = Math.floor(now / 1000);
  const claims = {
    iss: key.client_email,
    scope: "https://www.googleapis.com/auth/cloud-platform",
    aud: "https://oauth2.googleapis.com/token",
    iat: issued,
    exp: issued + 300,
    ...changes,
  };
  const parts = [{ alg: "RS256", typ: "JWT", kid: key.private_key_id }, claims].map((part) =>
    Buffer.from(JSON.stringify(part)).toString("base64url"),
  );
  const signature = sign("RSA-SHA256", Buffer.from(parts.join(".")), key.private_key);
  return [...parts, signature.toString("base64url")].join(".");
}
