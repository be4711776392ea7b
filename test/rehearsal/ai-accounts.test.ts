import { describe, expect, it } from "vitest";

import { createAiAccounts, knownAccounts, PROCESSOR } from "../../rehearsal/ai-accounts.ts";
import { anthropicApi } from "../../rehearsal/fake-clouds/anthropic/server.ts";
import { googleApi } from "../../rehearsal/fake-clouds/google/server.ts";
import { voyageApi } from "../../rehearsal/fake-clouds/voyage/server.ts";
import { NAMED_HOSTS } from "../../rehearsal/named-hosts.ts";
import { weaknessOf } from "../../secrets/weakness.ts";
import { environmentWith } from "../support/fixtures.ts";
import { assertion } from "./fake-clouds/google/account.ts";
import { send, serve } from "./fake-clouds/serving.ts";

const accounts = createAiAccounts();

describe("the rehearsal's accounts at VoyageAI, Anthropic and Google", () => {
  it("are known to the fakes", async () => {
    const { voyage, anthropic, google } = knownAccounts(accounts);
    const { origin: embeddings } = await serve(() => voyageApi(voyage));
    const { origin: models } = await serve(() => anthropicApi(anthropic));
    const { origin: tokens } = await serve(() => googleApi(google));
    const body = { model: "voyage-3", input: "x", input_type: "query" };
    const form = new URLSearchParams({
      grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer",
      assertion: assertion(accounts.googleCredentials, { now: Date.now() }),
    });

    const statuses = [
      send(`${embeddings}/v1/embeddings`, {
        headers: { authorization: `Bearer ${accounts.voyageApiKey}` },
        body,
      }),
      send(`${models}/v1/models`, {
        headers: { "x-api-key": accounts.anthropicApiKey, "anthropic-version": "2023-06-01" },
      }),
      send(`${tokens}/token`, {
        headers: { "content-type": "application/x-www-form-urlencoded" },
        body: form.toString(),
      }),
    ].map(async (answer) => (await answer).status);
    expect(await Promise.all(statuses)).toEqual([200, 200, 200]);
  });

  it("have keys and a processor that secrets and settings accept", () => {
    const settings = Object.fromEntries(
      Object.entries({ enabled: true, ...PROCESSOR }).map(([name, value]) => [
        `services.documentProcessor.${name}`,
        value,
      ]),
    );

    for (const [name, value] of Object.entries(accounts))
      expect(weaknessOf(name as keyof typeof accounts, value as string), name).toBeUndefined();
    expect(environmentWith(settings).services.documentProcessor).toMatchObject(PROCESSOR);
  });

  it("are asked at hosts that the rehearsal's name server and certificate know", () => {
    expect(NAMED_HOSTS).toEqual(
      expect.arrayContaining([
        "api.voyageai.com",
        "api.anthropic.com",
        "oauth2.googleapis.com",
        "vision.googleapis.com",
        `${PROCESSOR.location}-documentai.googleapis.com`,
        "hooks.slack.com",
      ]),
    );
  });
});
