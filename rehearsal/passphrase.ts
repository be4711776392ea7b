import { createCipheriv, pbkdf2, randomBytes } from "node:crypto";
import { promisify } from "node:util";

const ITERATIONS = 1_000_000;
const KEY_BYTES = 32;
const NONCE_BYTES = 12;

/**
 * Encrypts values as `pulumi config set --secret` does where a passphrase protects the stack.
 *
 * The CLI takes one value per call, and half a second for each. The engine authenticates each value when it reads it.
 *
 * @param salt `encryptionsalt` of the stack's settings: `v1:<base64>:<an encrypted word>`
 * @returns by name, what stands behind `secure:`
 */
export async function encryptValues(
  values: Readonly<Record<string, string>>,
  passphrase: string,
  salt: string,
): Promise<Record<string, string>> {
  const [version = "", encoded] = salt.split(":");
  if (version !== "v1" || encoded === undefined) {
    throw new Error(`encryptionsalt: expected v1:<salt>:<word>, got version "${version}"`);
  }
  const derive = promisify(pbkdf2);
  const key = await derive(passphrase, Buffer.from(encoded, "base64"), ITERATIONS, KEY_BYTES, "sha256");
  const encrypt = (value: string) => {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", key, nonce);
    const sealed = Buffer.concat([cipher.update(value, "utf8"), cipher.final(), cipher.getAuthTag()]);
    return `v1:${nonce.toString("base64")}:${sealed.toString("base64")}`;
  };
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, encrypt(value)]));
}
