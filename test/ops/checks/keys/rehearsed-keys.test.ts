/** The checks of keys against the rehearsal's fakes, at the vendors' own addresses: what a preflight in the rehearsal says of them. */
import http from "node:http";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { checkApiKeys } from "../../../../ops/checks/keys/api-keys.ts";
import { createAiAccounts, knownAccounts, PROCESSOR } from "../../../../rehearsal/ai-accounts.ts";
import { ANTHROPIC_HOST, anthropicApi } from "../../../../rehearsal/fake-clouds/anthropic/server.ts";
import { GOOGLE_HOSTS, googleApi } from "../../../../rehearsal/fake-clouds/google/server.ts";
import { VOYAGE_HOST, voyageApi } from "../../../../rehearsal/fake-clouds/voyage/server.ts";
import { startWebhooks, type Webhooks } from "../../../../rehearsal/fake-clouds/webhooks.ts";
import { environmentWith } from "../../../support/fixtures.ts";
import { byId, contextWith, effectsWith } from "../fixtures.ts";

const accounts = createAiAccounts();
let vendors: Webhooks;

beforeAll(async () => {
  const known = knownAccounts(accounts);
  const google = googleApi(known.google);
  vendors = await startWebhooks({
    byHost: {
      [VOYAGE_HOST]: voyageApi(known.voyage),
      [ANTHROPIC_HOST]: anthropicApi(known.anthropic),
      ...Object.fromEntries(GOOGLE_HOSTS.map((host) => [host, google])),
    },
  });
});
afterAll(() => vendors.close());

/** As the rehearsal's name server leads it: a request to a vendor's address reaches the fakes with that name. */
const rehearsedFetch: typeof fetch = (input, init) => {
  const asked = new Request(input, init);
  const { host, pathname, search } = new URL(asked.url);
  return asked.text().then(
    (body) =>
      new Promise((resolve, reject) => {
        const headers = { ...Object.fromEntries(asked.headers), host };
        const options = { method: asked.method, headers };
        http
          .request(`${vendors.url}${pathname}${search}`, options, (answer) => {
            const chunks: Buffer[] = [];
            answer.on("data", (chunk: Buffer) => chunks.push(chunk));
            answer.on("end", () => {
              const { statusCode: status = 0, headers: given } = answer;
              const kept = Object.entries(given).map(([name, value]): [string, string] => [
                name,
                String(value),
              ]);
              resolve(new Response(Buffer.concat(chunks), { status, headers: kept }));
            });
          })
          .once("error", reject)
          .end(body);
      }),
  );
};

describe("the keys of a rehearsal", () => {
  it("are checked for real, and none of them is left open", async () => {
    const limits = { memoryMib: 384, cpus: 1 };
    const environment = environmentWith({
      "services.documentProcessor": { enabled: true, ...PROCESSOR, ...limits },
      "services.visionClassifier": { enabled: true, ...limits },
    });
    const secrets = { ...accounts };
    const checks = await checkApiKeys(
      contextWith({ environment, secrets }),
      effectsWith({ fetch: rehearsedFetch }),
    );

    for (const id of ["voyage", "anthropic", "google-document-ai", "google-vision-ai"])
      expect(byId(checks, `api-key-${id}`)).toMatchObject({ outcome: "ok" });
    // Neither vendor tells the limits of an account that asks for nothing dear.
    for (const id of ["voyage", "anthropic"])
      expect(byId(checks, `api-quota-${id}`)).toMatchObject({
        outcome: "not-checked",
        detail: expect.stringContaining("ne donne pas ses limites") as string,
      });
  });
});
