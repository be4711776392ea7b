import { generateKeyPairSync, verify as verifySignature } from "node:crypto";

import { afterEach, describe, expect, it } from "vitest";

import { checkApiKeys } from "../../../../ops/checks/keys/api-keys.ts";
import {
  checkAnthropicKey,
  checkDocumentAi,
  checkVisionAi,
  checkVoyageKey,
} from "../../../../ops/checks/keys/ai-keys.ts";
import {
  byId,
  contextWith,
  type FakeApi,
  type Handler,
  unaborted,
  redirectedFetch,
  startFakeApi,
  effectsWith,
} from "../fixtures.ts";
import { anthropicApi } from "../../../../rehearsal/fake-clouds/anthropic/server.ts";
import { googleApi } from "../../../../rehearsal/fake-clouds/google/server.ts";
import { voyageApi } from "../../../../rehearsal/fake-clouds/voyage/server.ts";
import { createAccount } from "../../../rehearsal/fake-clouds/google/account.ts";
import { serve } from "../../../rehearsal/fake-clouds/serving.ts";
import { environmentWith } from "../../../support/fixtures.ts";

const KEY = "pa-canary-of-the-key-0123456789";
let api: FakeApi | undefined;

afterEach(async () => {
  await api?.close();
  api = undefined;
});

/** Sends the requests for these origins to one fake API, and no others. */
async function fetchFrom(origins: readonly string[], answer: Handler): Promise<typeof fetch> {
  const { origin } = (api = await startFakeApi(answer));
  return redirectedFetch(Object.fromEntries(origins.map((from) => [from, origin])));
}

const embedding = (size: number) => ({ data: [{ embedding: Array<number>(size).fill(0.1) }] });

describe("checkVoyageKey", () => {
  const ask = async (answer: ReturnType<Handler>) =>
    checkVoyageKey(KEY, {
      fetch: await fetchFrom(["https://api.voyageai.com"], () => answer),
      signal: unaborted,
    });

  it("asks for one embedding and expects 1024 numbers", async () => {
    const { key, quota } = await ask({ status: 200, body: embedding(1024) });

    expect(key).toEqual({
      outcome: "ok",
      detail: "1024 nombres rendus par voyage-3",
      measures: { dimensions: 1024 },
    });
    expect(quota).toMatchObject({ outcome: "not-checked" });
    expect(api!.requests).toHaveLength(1);
    expect(api!.requests[0]).toMatchObject({
      method: "POST",
      url: "/v1/embeddings",
      headers: { authorization: `Bearer ${KEY}` },
      body: JSON.stringify({ model: "voyage-3", input: ["vérification"], input_type: "document" }),
    });
  });

  it.each([
    [{ status: 200, body: embedding(1536) }, "failed", "1536 nombres rendus par voyage-3, attendu 1024"],
    [{ status: 401, body: { detail: KEY } }, "failed", "VoyageAI refuse la clé (401)"],
    [{ status: 429 }, "not-checked", "limite les appels (429)"],
    [{ status: 503, body: "<html>" }, "not-checked", "répond 503 : la clé n'a pas pu être jugée"],
    [{ status: 400 }, "failed", "répond 400"],
  ] as const)("judges the answer %j: %s", async (answer, outcome, told) => {
    const { key } = await ask(answer);

    expect(key.outcome).toBe(outcome);
    expect(key.detail).toContain(told);
    expect(key.detail).not.toContain(KEY);
  });

  it("fails the quota when the vendor limits the calls", async () => {
    expect((await ask({ status: 429 })).quota).toMatchObject({ outcome: "failed" });
  });
});

describe("checkAnthropicKey", () => {
  const models = { data: [{ id: "claude-opus-4-6" }] };
  const ask = async (answer: ReturnType<Handler>) =>
    checkAnthropicKey(KEY, {
      fetch: await fetchFrom(["https://api.anthropic.com"], () => answer),
      signal: unaborted,
    });

  it("lists one model", async () => {
    const { key, quota } = await ask({ status: 200, body: models });

    expect(key).toEqual({ outcome: "ok", detail: "modèles visibles, dont claude-opus-4-6" });
    expect(quota).toMatchObject({ outcome: "not-checked" });
    expect(api!.requests[0]).toMatchObject({
      method: "GET",
      url: "/v1/models?limit=1",
      headers: { "x-api-key": KEY, "anthropic-version": "2023-06-01" },
    });
  });

  it.each([
    [1000, 999, "ok"],
    [1000, 0, "failed"],
    [5, 5, "failed"],
  ])("judges a limit of %d calls with %d left: %s", async (limit, left, outcome) => {
    const headers = {
      "anthropic-ratelimit-requests-limit": String(limit),
      "anthropic-ratelimit-requests-remaining": String(left),
    };

    expect((await ask({ status: 200, body: models, headers })).quota).toMatchObject({
      outcome,
      measures: { requestsLimitPerMinute: limit, requestsRemaining: left },
    });
  });

  it("fails with a refused key and with a key without models", async () => {
    expect((await ask({ status: 401 })).key).toMatchObject({ outcome: "failed" });
    await api!.close();
    expect((await ask({ status: 200, body: { data: [] } })).key).toMatchObject({ outcome: "failed" });
  });
});

describe("checkDocumentAi", () => {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const credentials = JSON.stringify({
    type: "service_account",
    project_id: "technicia-1234",
    private_key_id: "key-1",
    private_key: privateKey.export({ type: "pkcs8", format: "pem" }),
    client_email: "technicia@technicia-1234.iam.gserviceaccount.com",
    token_uri: "https://evil.example/token",
  });
  const processor = environmentWith().services.documentProcessor;
  const ORIGINS = ["https://oauth2.googleapis.com", "https://eu-documentai.googleapis.com"];
  const google =
    (
      processorAnswer: ReturnType<Handler>,
      tokenAnswer: ReturnType<Handler> = { status: 200, body: { access_token: "ya29" } },
    ): Handler =>
    ({ url }) =>
      url === "/token" ? tokenAnswer : processorAnswer;
  const ask = async (answer: Handler, given = credentials) =>
    checkDocumentAi(processor, {
      credentials: given,
      fetch: await fetchFrom(ORIGINS, answer),
      now: Date.now,
      signal: unaborted,
    });

  it("signs an assertion for Google and reads the processor", async () => {
    const found = await ask(google({ status: 200, body: { state: "ENABLED" } }));

    expect(found).toEqual({ outcome: "ok", detail: "processeur 0123456789abcdef actif" });
    const [token, read] = api!.requests;
    const assertion = new URLSearchParams(token!.body).get("assertion") ?? "";
    const [head = "", claims = "", signature = ""] = assertion.split(".");
    expect(
      verifySignature(
        "RSA-SHA256",
        Buffer.from(`${head}.${claims}`),
        publicKey,
        Buffer.from(signature, "base64url"),
      ),
    ).toBe(true);
    expect(JSON.parse(Buffer.from(claims, "base64url").toString())).toMatchObject({
      iss: "technicia@technicia-1234.iam.gserviceaccount.com",
      aud: "https://oauth2.googleapis.com/token",
    });
    expect(read).toMatchObject({
      url: "/v1/projects/technicia-1234/locations/eu/processors/0123456789abcdef",
      headers: { authorization: "Bearer ya29" },
    });
  });

  it.each([
    ["disabled processor", google({ status: 200, body: { state: "DISABLED" } }), "état DISABLED"],
    ["unknown processor", google({ status: 404 }), "ne connaît pas"],
    ["missing right", google({ status: 403 }), "n'a pas le droit"],
    [
      "deleted key",
      google({ status: 200 }, { status: 400, body: { error: "invalid_grant" } }),
      "400 invalid_grant",
    ],
  ])("fails with a %s", async (_, answer, told) => {
    const found = await ask(answer);

    expect(found.outcome).toBe("failed");
    expect(found.detail).toContain(told);
  });

  it("fails with a file that is no service account's key", async () => {
    expect(await ask(google({ status: 200 }), '{"type":"service_account"}')).toMatchObject({
      outcome: "failed",
    });
    expect(api!.requests).toEqual([]);
  });
});

describe("checkVisionAi", () => {
  const { account, credentials } = createAccount();
  const ask = async (apis: readonly ("documentai" | "vision")[], given = credentials) => {
    const google = await serve((clock) =>
      googleApi({ accounts: [{ ...account, apis }], processors: [], clock }),
    );
    const hosts = ["https://oauth2.googleapis.com", "https://vision.googleapis.com"];
    const fetch = redirectedFetch(Object.fromEntries(hosts.map((host) => [host, google.origin])));
    const found = await checkVisionAi({ credentials: given, fetch, now: Date.now, signal: unaborted });
    return { found, google };
  };

  it("passes with the right to call Vision AI, and asks about no image", async () => {
    const { found, google } = await ask(["vision"]);

    expect(found).toMatchObject({ outcome: "ok" });
    expect(google.calls.list().at(-1)).toMatchObject({ path: "/v1/images:annotate", body: { requests: [] } });
  });

  it("fails without that right, and with a key that was deleted", async () => {
    expect((await ask(["documentai"])).found).toMatchObject({
      outcome: "failed",
      detail: expect.stringContaining("n'a pas le droit de faire cet appel (403)") as string,
    });
    expect((await ask(["vision"], createAccount().credentials)).found).toMatchObject({
      outcome: "failed",
      detail: expect.stringContaining("invalid_grant") as string,
    });
  });

  it.each([
    [400, "ok"],
    [429, "not-checked"],
    [503, "not-checked"],
  ])("judges the answer %d of Vision AI: %s", async (status, outcome) => {
    const fetch = await fetchFrom(
      ["https://oauth2.googleapis.com", "https://vision.googleapis.com"],
      ({ url }) => (url === "/token" ? { status: 200, body: { access_token: "ya29" } } : { status }),
    );

    expect(await checkVisionAi({ credentials, fetch, now: Date.now, signal: unaborted })).toMatchObject({
      outcome,
    });
  });
});

describe("the checks of keys and the fakes of the vendors", () => {
  it("agree on a good key and on a refused one", async () => {
    const { account, credentials } = createAccount();
    const processor = environmentWith().services.documentProcessor;
    const { project, processorId: id } = processor;
    const known = { voyage: "pa-rehearsal-1", anthropic: "sk-ant-1" };
    const [voyage, anthropic, google] = [
      await serve((clock) => voyageApi({ keys: [known.voyage], clock })),
      await serve((clock) => anthropicApi({ keys: [known.anthropic], clock })),
      await serve((clock) =>
        googleApi({ accounts: [account], processors: [{ project, location: "eu", id }], clock }),
      ),
    ];
    const fetch = redirectedFetch({
      "https://api.voyageai.com": voyage.origin,
      "https://api.anthropic.com": anthropic.origin,
      "https://oauth2.googleapis.com": google.origin,
      "https://eu-documentai.googleapis.com": google.origin,
    });
    const given = { fetch, signal: unaborted };

    expect([
      (await checkVoyageKey(known.voyage, given)).key.outcome,
      (await checkAnthropicKey(known.anthropic, given)).key.outcome,
      (await checkDocumentAi(processor, { ...given, credentials, now: Date.now })).outcome,
    ]).toEqual(["ok", "ok", "ok"]);
    for (const { key } of [await checkVoyageKey(KEY, given), await checkAnthropicKey(KEY, given)]) {
      expect(key).toMatchObject({ outcome: "failed", detail: expect.stringContaining("(401)") as string });
      expect(key.detail).not.toContain(KEY);
    }
  });
});

describe("checkApiKeys", () => {
  const small = environmentWith({
    "services.documentProcessor.enabled": false,
    "services.visionClassifier.enabled": false,
  });

  it("fails for a needed key that is absent, and skips a key that is not needed", async () => {
    const checks = await checkApiKeys(contextWith({ environment: small }), effectsWith());

    expect(byId(checks, "api-keys")).toMatchObject({
      title: "Les clés API sont valides et ont les permissions nécessaires",
      outcome: "failed",
      detail: "en échec : VoyageAI, Cloudflare, OVH",
    });
    expect(byId(checks, "api-key-anthropic")).toMatchObject({ outcome: "not-checked" });
    expect(byId(checks, "api-quotas")).toMatchObject({ outcome: "not-checked" });
    expect(byId(checks, "access-rights")).toMatchObject({ outcome: "not-checked" });
  });

  it("is not checked when no vendor answers", async () => {
    const secrets = {
      voyageApiKey: KEY,
      cloudflareApiToken: "c".repeat(40),
      ovhApplicationKey: "a".repeat(16),
      ovhApplicationSecret: "b".repeat(32),
      ovhConsumerKey: "d".repeat(32),
    };
    const checks = await checkApiKeys(contextWith({ environment: small, secrets }), effectsWith());

    for (const id of [
      "api-keys",
      "api-key-voyage",
      "api-key-cloudflare",
      "api-key-ovh",
      "api-quotas",
      "access-rights",
    ]) {
      expect(byId(checks, id).outcome, id).toBe("not-checked");
    }
    expect(byId(checks, "api-key-voyage").detail).toBe(
      "api.voyageai.com est injoignable d'ici (ENETUNREACH)",
    );
    expect(JSON.stringify(checks)).not.toContain(KEY);
  });

  it("names the missing key when the others are valid", async () => {
    const fetch = await fetchFrom(
      ["https://api.voyageai.com", "https://api.cloudflare.com"],
      ({ url, method }) =>
        url.startsWith("/v1/embeddings")
          ? { status: 200, body: embedding(1024) }
          : method === "POST"
            ? { status: 400 }
            : { status: 200, body: { result: url.includes("verify") ? { status: "active" } : [] } },
    );
    const secrets = { voyageApiKey: KEY, cloudflareApiToken: "c".repeat(40) };
    const checks = await checkApiKeys(contextWith({ environment: small, secrets }), effectsWith({ fetch }));

    expect(byId(checks, "api-key-voyage").outcome).toBe("ok");
    expect(byId(checks, "api-key-cloudflare").outcome).toBe("ok");
    // OVH's keys are still missing.
    expect(byId(checks, "api-keys")).toMatchObject({ outcome: "failed", detail: "en échec : OVH" });
  });
});
