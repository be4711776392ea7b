import { createServer } from "node:https";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import type { Check } from "../../../../common/check.ts";
import type { PublicSite } from "../../../../ops/checks/public/gateway.ts";
import { checkWebhooks, type N8n } from "../../../../ops/checks/server/n8n.ts";
import { answeringServer, close, issue, listen, strong, unaborted } from "../fixtures.ts";

const N8N: N8n = {
  url: "http://127.0.0.1:5678",
  ownerEmail: "admin@exemple.fr",
  ownerPassword: strong.n8nOwnerPassword,
};

let site: PublicSite;
let stop: () => Promise<unknown>;

/** An n8n without a single webhook. */
beforeAll(async () => {
  const issued = await issue("localhost", 60);
  const server = createServer({ cert: issued.certificate, key: issued.key }, (_request, response) => {
    response.writeHead(204, { "access-control-allow-methods": "OPTIONS" }).end();
  });
  const port = Number(new URL(await listen(server)).port);
  site = { domain: "localhost", ports: { http: 9, https: port }, authorities: issued.authority };
  stop = () => Promise.all([close(server), issued.remove()]);
});

afterAll(() => stop());

const look = (earlier: readonly Check[] | undefined, total = 0) =>
  checkWebhooks(N8N, {
    site,
    access: { server: answeringServer(JSON.stringify({ login: 200, total, active: 0 })) },
    signal: unaborted,
    earlier,
  });

const seen = (measures: Record<string, number>): Check[] => [
  { id: "workflows", title: "Workflows", outcome: "ok", detail: "", measures },
  { id: "other", title: "Autre", outcome: "ok", detail: "" },
];

describe("checkWebhooks", () => {
  it("expects nothing of an n8n that never had a workflow", async () => {
    expect(await look(undefined)).toMatchObject({ outcome: "not-checked" });
    expect(await look(seen({ webhooksRegistered: 0, workflows: 0 }))).toMatchObject({
      outcome: "not-checked",
    });
  });

  it.each([
    ["workflows", { webhooksRegistered: 0, workflows: 3 }, "3 workflows"],
    // With every webhook registered, nobody had to log in and count.
    ["webhooks", { webhooksRegistered: 4 }, "4 webhooks"],
  ])("fails when there were %s before", async (_what, measures, lost) => {
    expect(await look(seen(measures))).toMatchObject({
      outcome: "failed",
      detail: `n8n a perdu ses workflows : ${lost} avant, aucun maintenant ; une autre base de données ?`,
    });
  });
});
