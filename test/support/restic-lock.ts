/** Locks of restic as old as a test needs them: restic itself only makes new ones. */
import { createCipheriv, createHash, randomBytes } from "node:crypto";

import { z } from "zod";

import { callStorage } from "../../common/object-storage.ts";
import { restic, type Repository } from "../../ops/backup/repository.ts";

const masterKey = z.object({ mac: z.object({ k: z.base64(), r: z.base64() }), encrypt: z.base64() });

/** Leaves the lock of a prune that was killed: nobody else may use the repository. */
export async function leaveLock(
  repository: Repository,
  { minutesAgo, signal }: { readonly minutesAgo: number; readonly signal: AbortSignal },
): Promise<void> {
  const words = ["cat", "masterkey", "--no-lock"];
  const key = masterKey.parse(
    JSON.parse(await restic(repository, { purpose: "read the key", words, signal })),
  );
  const lock = {
    time: new Date(Date.now() - minutesAgo * 60_000).toISOString(),
    ...{ exclusive: true, hostname: "killed", username: "root", pid: 1, uid: 0, gid: 0 },
  };
  const content = seal(Buffer.from(JSON.stringify(lock)), key);
  const name = createHash("sha256").update(content).digest("hex");
  const { bucket, prefix } = repository;
  await callStorage(
    { method: "PUT", object: `${prefix}/locks/${name}`, body: new Uint8Array(content) },
    { ...bucket, key: repository.key, fetch, signal },
  );
}

/** AES-256-CTR, then Poly1305-AES over what it gives: https://restic.readthedocs.io/en/stable/100_references.html */
function seal(text: Buffer, { mac, encrypt }: z.output<typeof masterKey>): Buffer {
  const nonce = randomBytes(16);
  const sealed = createCipheriv("aes-256-ctr", Buffer.from(encrypt, "base64"), nonce).update(text);
  const pad = createCipheriv("aes-128-ecb", Buffer.from(mac.k, "base64"), null).update(nonce);
  return Buffer.concat([nonce, sealed, poly1305(sealed, { r: Buffer.from(mac.r, "base64"), s: pad })]);
}

function poly1305(message: Buffer, { r, s }: { readonly r: Buffer; readonly s: Buffer }): Buffer {
  const prime = (1n << 130n) - 5n;
  const factor = numberIn(r) & 0x0ffffffc0ffffffc0ffffffc0fffffffn;
  let sum = 0n;
  for (let at = 0; at < message.length; at += 16)
    sum =
      ((sum + numberIn(Buffer.concat([message.subarray(at, at + 16), Buffer.from([1])]))) * factor) % prime;
  const tag = (sum + numberIn(s)) & ((1n << 128n) - 1n);
  return Buffer.from(tag.toString(16).padStart(32, "0"), "hex").reverse();
}

/** The least significant byte stands first. */
function numberIn(bytes: Buffer): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`);
}
