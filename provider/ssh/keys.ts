/** Public keys: reading, printing, and the algorithms that belong to them. */
import { createHash } from "node:crypto";
import type ssh2 from "ssh2";
import { UserError } from "../../common/user-error.ts";

/** A public key as type and as the bytes of the protocol. */
export interface PublicKey {
  readonly type: string;
  readonly blob: Buffer;
}

export function readPublicKey(text: string): PublicKey {
  const [type = "", base64 = ""] = text.trim().split(/\s+/);
  const blob = Buffer.from(base64, "base64");
  if (blob.length < 16 || typeOf(blob) !== type) {
    throw new UserError(
      `hostKey: expected a public key such as "ssh-ed25519 AAAA…", got ${JSON.stringify(text.slice(0, 40))}`,
    );
  }
  return { type, blob };
}

export function publicKeyText(blob: Buffer): string {
  return `${typeOf(blob)} ${blob.toString("base64")}`;
}

/** As OpenSSH prints it: `SHA256:` and base64. */
export function fingerprint(blob: Buffer): string {
  return `SHA256:${createHash("sha256").update(blob).digest("base64").replace(/=+$/, "")}`;
}

/** Algorithms that prove possession of a key of this type. */
export function signatureAlgorithms(type: string): ssh2.ServerHostKeyAlgorithm[] {
  return type === "ssh-rsa" ? ["rsa-sha2-512", "rsa-sha2-256"] : [type as ssh2.ServerHostKeyAlgorithm];
}

function typeOf(blob: Buffer): string {
  const length = blob.length >= 4 ? blob.readUInt32BE(0) : 0;
  return blob.subarray(4, 4 + Math.min(length, 64)).toString("latin1");
}
