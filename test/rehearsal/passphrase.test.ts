import { describe, expect, it } from "vitest";

import { encryptValues } from "../../rehearsal/passphrase.ts";

// Written by `pulumi stack init` (3.224.0) under the passphrase "opens the test": the word is "pulumi".
const PASSPHRASE = "opens the test";
const SALT = "v1:PsSc9eJVilc=:v1:TrAwIbmL9q15s9j7:Gq6rfoNNdW0rnzm4EtPyYdQcTzMPPg==";

/** Opens a value with the other implementation that Node.js has. */
async function decrypt(value: string, passphrase: string): Promise<string> {
  const [, nonce = "", sealed = ""] = value.split(":");
  const encoder = new TextEncoder();
  const material = await crypto.subtle.importKey("raw", encoder.encode(passphrase), "PBKDF2", false, [
    "deriveKey",
  ]);
  const key = await crypto.subtle.deriveKey(
    { name: "PBKDF2", hash: "SHA-256", iterations: 1_000_000, salt: bytes(SALT.split(":")[1] ?? "") },
    material,
    { name: "AES-GCM", length: 256 },
    false,
    ["decrypt"],
  );
  const opened = await crypto.subtle.decrypt({ name: "AES-GCM", iv: bytes(nonce) }, key, bytes(sealed));
  return new TextDecoder().decode(opened);
}

function bytes(base64: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(base64, "base64"));
}

describe("encryptValues", () => {
  it("writes what opens as the word does that the CLI itself wrote", async () => {
    const word = SALT.split(":").slice(2).join(":");
    expect(await decrypt(word, PASSPHRASE)).toBe("pulumi");

    const { key, accents } = await encryptValues({ key: "first", accents: "clé à é" }, PASSPHRASE, SALT);
    expect(await decrypt(key ?? "", PASSPHRASE)).toBe("first");
    expect(await decrypt(accents ?? "", PASSPHRASE)).toBe("clé à é");
  });

  it("never writes a value twice in the same way", async () => {
    const { one, other } = await encryptValues({ one: "same", other: "same" }, PASSPHRASE, SALT);
    expect(one).not.toBe(other);
  });

  it("refuses a salt of a version that it does not know, without showing it", async () => {
    await expect(encryptValues({ key: "value" }, PASSPHRASE, "v2:c2FsdA==:word")).rejects.toThrow(
      'encryptionsalt: expected v1:<salt>:<word>, got version "v2"',
    );
  });
});
