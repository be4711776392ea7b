import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

import { entryOf, secretNames, type SecretName } from "../../secrets/catalog.ts";
import { PUBLISHED, weaknessAmong, weaknessOf } from "../../secrets/weakness.ts";
import { strongSecrets } from "../support/fixtures.ts";

const PLACEHOLDER = "expected the real value, got a placeholder";

describe("weaknessOf", () => {
  it.each(secretNames)("accepts a strong %s", (name) => {
    expect(weaknessOf(name, strongSecrets()[name])).toBeUndefined();
  });

  it.each([
    "your-voyage-api-key",
    "votre-clé-voyage-ai",
    "your_encryption_key_generated_with_openssl",
    "<your key from the console, thirty-two>",
    "changeme",
    "change-me-change-me-change-me-change-me",
    "password",
    "Admin123!",
    "pa-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "sk-ant-api03-...-and-so-on-until-the-end",
    "sk-ant-…",
    "à compléter avant le déploiement",
    "TODO",
  ])("refuses the placeholder %j for every secret", (value) => {
    for (const name of secretNames) expect(weaknessOf(name, value)).toBe(PLACEHOLDER);
  });

  it.each(secretNames)("fails when %s is one character short", (name) => {
    const { minimumLength } = entryOf(name);
    const short = "A1".concat("bcdefghijkmnpqrs".repeat(8)).slice(0, minimumLength - 1);

    expect(weaknessOf(name, short)).toBe(
      `expected at least ${minimumLength} characters, got ${minimumLength - 1}`,
    );
  });

  it("fails when few characters repeat", () => {
    expect(weaknessOf("n8nJwtSecret", "a1b2".repeat(16))).toBe(
      "expected a random value, got one of few characters repeated",
    );
  });

  it("fails when the value ends with a line break", () => {
    expect(weaknessOf("voyageApiKey", `${strongSecrets().voyageApiKey}\n`)).toBe(
      "expected a value without spaces or line ends around it, got one with them",
    );
  });

  it.each<[SecretName, string, string]>([
    ["voyageApiKey", "\ufeff", "U+FEFF"],
    ["voyageApiKey", "\u200b", "U+200B"],
    ["voyageApiKey", "\n", "U+000A"],
    ["anthropicApiKey", "é", "U+00E9"],
    ["ovhConsumerKey", " ", "U+0020"],
    ["qdrantApiKey", "\u00a0", "U+00A0"],
    ["qdrantApiKey", "😀", "U+1F600"],
  ])("fails when %s, which is sent in a header, has %j in it", (name, character, called) => {
    const strong = strongSecrets()[name];
    const value = `${strong.slice(0, 5)}${character}${strong.slice(5)}`;

    expect(weaknessOf(name, value)).toBe(
      `expected a value of letters, digits and punctuation of ASCII only, got one with ${called}`,
    );
  });

  it.each<[SecretName, string, string]>([
    ["n8nOwnerPassword", "\u200d", "U+200D"],
    ["registryPassword", "\r\n", "U+000D"],
    ["postgresPassword", "\u202f", "U+202F"],
    ["n8nJwtSecret", "\ufeff", "U+FEFF"],
  ])("fails when %s has %j in it, which nobody sees", (name, character, called) => {
    const strong = strongSecrets()[name];

    expect(weaknessOf(name, `${strong.slice(0, 5)}${character}${strong.slice(5)}`)).toBe(
      `expected a value of visible characters only, got one with ${called}`,
    );
  });

  it.each<SecretName>(["n8nOwnerPassword", "registryPassword", "postgresPassword", "n8nJwtSecret"])(
    "accepts quotes, dollars, backslashes, spaces and accents in %s",
    (name) => {
      expect(weaknessOf(name, `A1 "b" 'c' $d \`e\` \\f %g #h é <i ;j&k|l *m ~n !o`)).toBeUndefined();
    },
  );

  it("accepts any key of n8n's that may be in use already, because another one would lose data", () => {
    expect(weaknessOf("n8nEncryptionKey", `une phrase \u200b de passe, écrite à la main`)).toBeUndefined();
  });

  it("names the mark that Windows puts before a key file", () => {
    expect(weaknessOf("googleCredentials", `\ufeff${strongSecrets().googleCredentials}`)).toBe(
      "expected a value of visible characters only, got one with U+FEFF",
    );
  });

  it.each<[SecretName, string, string]>([
    [
      "n8nOwnerPassword",
      "lowercase-and-4-digits",
      "expected at most 64 characters with a digit and a capital letter, as n8n demands, got something else",
    ],
    [
      "n8nOwnerPassword",
      "Abcdefghijklm1".repeat(5),
      "expected at most 64 characters with a digit and a capital letter, as n8n demands, got something else",
    ],
    [
      "cloudflareApiToken",
      "0123456789#abcdefghij#0123456789#ABCDEFGHIJ",
      "expected a Cloudflare API token of 40 to 80 letters, digits, - and _, got something else",
    ],
    [
      "googleCredentials",
      "AIzaSy0123456789".repeat(8),
      "expected the JSON key file of a Google Cloud service account, whole, got something else",
    ],
    [
      "googleCredentials",
      JSON.stringify({
        type: "authorized_user",
        client_id: "0123456789".repeat(10),
        project_id: "technicia",
      }),
      "expected the JSON key file of a Google Cloud service account, whole, got something else",
    ],
    [
      "googleCredentials",
      JSON.stringify({
        type: "service_account",
        project_id: "technicia",
        client_email: "a@b.iam".repeat(12),
      }),
      "expected the JSON key file of a Google Cloud service account, whole, got something else",
    ],
  ])("fails when %s has another form (%#)", (name, value, problem) => {
    expect(weaknessOf(name, value)).toBe(problem);
  });
});

describe("published values", () => {
  it("are refused, also with spaces around them", () => {
    const published = "a value that somebody published";
    const known = new Set([createHash("sha256").update(published).digest("hex")]);

    for (const value of [published, ` ${published}\n`]) {
      expect(weaknessAmong(known, { name: "n8nEncryptionKey", value })).toBe(
        "expected a value nobody else knows, got one that was published as a default",
      );
    }
    const value = strongSecrets().n8nEncryptionKey;
    expect(weaknessAmong(known, { name: "n8nEncryptionKey", value })).toBeUndefined();
  });

  it("are stored as digests: an encryption key and a password", () => {
    const source = readFileSync(new URL("../../secrets/weakness.ts", import.meta.url), "utf8");

    expect([...PUBLISHED]).toHaveLength(2);
    for (const digest of PUBLISHED) expect(digest).toMatch(/^[0-9a-f]{64}$/);
    expect(source.match(/"[0-9a-f]{48}"/)).toBeNull();
  });
});
