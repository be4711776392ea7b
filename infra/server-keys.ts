/** Each server's keys, all from one secret: another server, or one less, changes none of the others. */
import { createPrivateKey, createPublicKey, hkdfSync } from "node:crypto";

/** PKCS #8 of an X25519 key without the key itself (RFC 8410). */
const X25519_HEADER = Buffer.from("302e020100300506032b656e04220420", "hex");

/** A WireGuard key of 32 bytes, as `wg genkey` writes it. */
export function wireguardPrivateKey(seed: string, server: string): string {
  const key = derive(seed, `wireguard ${server}`);
  // As `wg` writes every key: Curve25519 ignores these bits.
  key[0] = key[0]! & 248;
  key[31] = (key[31]! & 127) | 64;
  return key.toString("base64");
}

/** What `wg pubkey` prints for that key. */
export function wireguardPublicKey(privateKey: string): string {
  const der = Buffer.concat([X25519_HEADER, Buffer.from(privateKey, "base64")]);
  const { x } = createPublicKey(createPrivateKey({ key: der, format: "der", type: "pkcs8" })).export({
    format: "jwk",
  });
  return Buffer.from(x!, "base64url").toString("base64");
}

/** What a server shows to be let into the Swarm, in hexadecimal digits. */
export function joinProof(seed: string, server: string): string {
  return derive(seed, `join ${server}`).toString("hex");
}

function derive(seed: string, purpose: string): Buffer {
  return Buffer.from(hkdfSync("sha256", Buffer.from(seed, "hex"), "technicia", purpose, 32));
}
