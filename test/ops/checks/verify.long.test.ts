import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { N8N_ROUTE } from "../../../components/gateway-config.ts";
import { check } from "../../../common/check.ts";
import { checkCollection, checkQdrantReady } from "../../../ops/checks/server/collection.ts";
import {
  checkClosedPaths,
  checkHeaders,
  checkHealthRoute,
  checkRedirect,
  checkUploads,
} from "../../../ops/checks/public/gateway.ts";
import { checkLoad } from "../../../ops/checks/public/load.ts";
import { checkDefaultCredentials, checkN8nReady, checkWebhooks } from "../../../ops/checks/server/n8n.ts";
import { checkSearch, checkVectorStore } from "../../../ops/checks/server/vector-store.ts";
import { verify } from "../../../ops/checks/verify.ts";
import { docker, imageOf } from "../../support/containers.ts";
import { until } from "../../support/until.ts";
import { createStage, type Stage, untilN8n } from "./stage.ts";
import { byId, localServer, never, strong } from "./support.ts";

let stage: Stage;
const server = localServer();

beforeAll(async () => {
  stage = await createStage();
}, 300_000);
afterAll(() => stage.remove());

/** Looks at a gateway that was configured badly, and has it put right again. */
async function withGateway<T>(change: (configuration: string) => string, look: () => Promise<T>): Promise<T> {
  await stage.configure((configuration) => {
    const changed = change(configuration);
    expect(changed).not.toBe(configuration);
    return changed;
  });
  try {
    return await look();
  } finally {
    await stage.configure((configuration) => configuration);
  }
}

async function put(points: readonly unknown[]): Promise<void> {
  const answer = await fetch(`${stage.world.loopback.qdrant}/collections/technicia/points?wait=true`, {
    method: "PUT",
    headers: { "api-key": strong.qdrantApiKey, "content-type": "application/json" },
    body: JSON.stringify({ points }),
  });
  expect(answer.status).toBe(200);
}

function insert(points: number): Promise<void> {
  const vector = Array<number>(1024).fill(0.5);
  return put(Array.from({ length: points }, (_, at) => ({ id: at + 1, vector, payload: { type: "text" } })));
}

async function insertLeftover(): Promise<void> {
  const payload = { document_name: "verification-technicia", document_id: "verification-0" };
  await put([{ id: 99, vector: Array<number>(1024).fill(0.5), payload }]);
}

async function countPoints(): Promise<number> {
  const answer = await fetch(`${stage.world.loopback.qdrant}/collections/technicia/points/count`, {
    method: "POST",
    headers: { "api-key": strong.qdrantApiKey, "content-type": "application/json" },
    body: JSON.stringify({ exact: true }),
  });
  return ((await answer.json()) as { result: { count: number } }).result.count;
}

describe("verify", () => {
  it("finds a good deployment good, says what it could not see, and leaves nothing behind", async () => {
    await insert(3);
    // What a verification that was killed has left.
    await insertLeftover();
    const checks = await verify(stage.context, stage.world);

    for (const one of checks) expect(check.parse(one)).toEqual(one);
    expect(checks.filter(({ outcome }) => outcome === "failed")).toEqual([]);
    const notSeen = checks.filter(({ outcome }) => outcome === "not-checked").map(({ id }) => id);
    expect(notSeen.filter((id) => id !== "security-ports-v6")).toEqual([
      "functional-webhooks",
      "functional-backups",
    ]);
    expect(checks.map(({ id }) => id)).toEqual([...new Set(checks.map(({ id }) => id))]);
    expect(checks.every(({ id }) => /^(functional|performance|security)-/.test(id))).toBe(true);
    expect(byId(checks, "functional-search")).toMatchObject({
      measures: { pointsBefore: 3, pointsAfter: 3 },
    });
    expect(byId(checks, "functional-containers").measures?.["observedSeconds"]).toBeGreaterThanOrEqual(5);
    expect(byId(checks, "performance-health").measures?.["requestsPerSecond"]).toBeGreaterThanOrEqual(20);
    expect(byId(checks, "functional-webhooks")).toMatchObject({
      detail: "aucun workflow n'est importé dans n8n : rien n'est attendu, rien n'est prouvé",
    });
    expect(await countPoints()).toBe(3);
    for (const secret of Object.values(strong)) expect(JSON.stringify(checks)).not.toContain(secret);
  });

  it("says of everything inside that it was not checked when there is no ssh", async () => {
    const checks = await verify({ ...stage.context, server: undefined }, stage.world);

    expect(byId(checks, "functional-server").outcome).toBe("failed");
    for (const id of [
      "functional-containers",
      "functional-n8n",
      "functional-search",
      "performance-resources",
      "security-credentials",
    ]) {
      expect(byId(checks, id).outcome, id).toBe("not-checked");
    }
    expect(byId(checks, "functional-https").outcome).toBe("ok");
  });

  it("ends at once when it is aborted", async () => {
    const stop = new AbortController();
    stop.abort();
    const began = performance.now();
    const checks = await verify({ ...stage.context, signal: stop.signal }, stage.world);

    expect(checks.every(({ outcome }) => outcome === "not-checked")).toBe(true);
    expect(performance.now() - began).toBeLessThan(2000);
  });
});

describe("inside", () => {
  it("fails for n8n that does not answer", async () => {
    const away = { ...stage.world, loopback: { ...stage.world.loopback, n8n: "http://127.0.0.1:9" } };

    expect(await checkN8nReady(server, away)).toMatchObject({
      outcome: "failed",
      detail: expect.stringContaining("pas de réponse") as string,
    });
  });

  it("fails for a Qdrant that answers without its key, and for one that refuses ours", async () => {
    const name = `${stage.container("qdrant")}-open`;
    await docker(
      "run",
      "--detach",
      "--rm",
      "--name",
      name,
      "--label",
      "technicia.rehearsal=1",
      "--publish",
      "127.0.0.1::6333",
      await imageOf("qdrant"),
    );
    try {
      const qdrant = `http://${(await docker("port", name, "6333/tcp")).split("\n")[0]}`;
      await until(
        "Qdrant is ready",
        async () => (await fetch(`${qdrant}/readyz`).catch(() => undefined))?.ok === true,
      );
      const world = { ...stage.world, loopback: { ...stage.world.loopback, qdrant } };

      expect(await checkQdrantReady(stage.context, server, world)).toMatchObject({
        outcome: "failed",
        detail: "Qdrant répond 200 à qui n'a pas la clé, attendu 401",
      });
      expect(await checkCollection(stage.context, server, world)).toMatchObject({
        outcome: "failed",
        detail: "collection technicia : Qdrant répond 404",
      });
    } finally {
      await docker("rm", "--force", name);
    }
    const stranger = { ...stage.context, secrets: { qdrantApiKey: "another-key-of-somebody" } };
    expect(await checkCollection(stranger, server, stage.world)).toMatchObject({
      detail: "collection technicia : Qdrant répond 401",
    });
  });

  it("fails for a collection without one of its indexes", async () => {
    const index = `${stage.world.loopback.qdrant}/collections/technicia/index`;
    const headers = { "api-key": strong.qdrantApiKey, "content-type": "application/json" };
    await fetch(`${index}/document_name?wait=true`, { method: "DELETE", headers });
    try {
      expect(await checkCollection(stage.context, server, stage.world)).toMatchObject({
        outcome: "failed",
        detail: "collection technicia : index manquants : document_name (keyword)",
      });
    } finally {
      const body = JSON.stringify({ field_name: "document_name", field_schema: "keyword" });
      await fetch(`${index}?wait=true`, { method: "PUT", headers, body });
    }
    expect(await checkCollection(stage.context, server, stage.world)).toMatchObject({ outcome: "ok" });
  });

  it("fails for a vector-store that is down or has lost Qdrant, and takes its sentence out all the same", async () => {
    const before = await countPoints();
    await docker("pause", stage.container("qdrant"));
    const health = checkVectorStore(server);
    // Qdrant is silent until it goes on; the service's own limit is longer than ours.
    await expect(health).rejects.toThrow(/could not ask technicia-vector-store how it is/);
    await docker("unpause", stage.container("qdrant"));
    expect(await checkVectorStore(server)).toMatchObject({ outcome: "ok" });

    await docker("stop", "--time", "1", stage.container("vector-store"));
    await expect(checkSearch(stage.context, server, stage.world)).rejects.toThrow(
      "technicia-vector-store does not run",
    );
    await docker("start", stage.container("vector-store"));
    await until(
      "the vector-store is back",
      async () => (await checkVectorStore(server).catch(() => undefined))?.outcome === "ok",
    );
    expect(await countPoints()).toBe(before);
  });
});

describe("the gateway", () => {
  it("fails where n8n's surface, or what is behind /api, is open", async () => {
    const look = () => checkClosedPaths(stage.world, stage.context.environment, never);
    const open = (configuration: string) =>
      configuration.replace(
        "location /api/ { return 404; }",
        "location /api/ { set $target n8n:5678; rewrite ^/api(/.*)$ $1 break; proxy_pass http://$target; }",
      );
    const found = await withGateway(open, look);

    expect(found.detail).toMatch(
      /accessibles à tous : .*\/api\/metrics \(200\), \/api\/rest\/login \(401\), \/api\/rest\/settings \(200\)/,
    );
  });

  it("fails where headers are missing, or say too much", async () => {
    const look = () => checkHeaders(stage.world, stage.context.environment, never);
    const found = await withGateway(
      (configuration) =>
        configuration
          .replace(/add_header X-Frame-Options .*/, "")
          .replace("server_tokens off", "server_tokens on"),
      look,
    );

    expect(found.detail).toBe("x-frame-options : absent ; server : donne la version du serveur");
  });

  it("fails where http leads nowhere", async () => {
    const look = () => checkRedirect(stage.world, stage.context.environment, never);
    const found = await withGateway(
      (configuration) => configuration.replace(/return 301 [^;]+;/, "return 200 'ici';"),
      look,
    );

    expect(found.detail).toContain("trouvé 200 vers rien");
  });

  it("fails where uploads are cut short or have no end", async () => {
    const look = () => checkUploads(stage.world, stage.context.environment, never);
    const small = await withGateway(
      (configuration) => configuration.replaceAll("client_max_body_size 25m", "client_max_body_size 5m"),
      look,
    );
    expect(small.detail).toBe("20 Mio : 413");

    const endless = await withGateway(
      (configuration) => configuration.replaceAll("client_max_body_size 25m", "client_max_body_size 0"),
      look,
    );
    expect(endless.detail).toBe("26 Mio : 100, attendu 413");
  });

  it("fails where health is a page, and where the load meets errors", async () => {
    const look = () => checkHealthRoute(stage.world, stage.context.environment, never);
    const [health, load] = await withGateway(
      (configuration) =>
        configuration.replace(
          "location = /healthz {",
          "location = /healthz { default_type text/html; return 200 '<html>'; }\nlocation = /nothing {",
        ),
      async () =>
        [
          await look(),
          await checkLoad(stage.world, stage.context.environment, {
            path: "/nothing",
            status: 200,
            signal: never,
          }),
        ] as const,
    );

    expect(health.outcome).toBe("failed");
    expect(load).toMatchObject({ outcome: "ok" });
    const missing = await checkLoad(stage.world, stage.context.environment, {
      path: "/nothing",
      status: 200,
      signal: never,
    });
    expect(missing).toMatchObject({ outcome: "failed", measures: { errorRatio: 1 } });
    expect(missing.detail).toContain("erreurs au-dessus de 1 %");
  });
});

describe("n8n", () => {
  const webhooks = () => checkWebhooks(stage.context, { inside: server, world: stage.world, signal: never });
  let cookie = "";

  async function rest(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ data: { id: string; versionId: string } }> {
    const answer = await fetch(`${stage.world.loopback.n8n}/rest${path}`, {
      method,
      headers: { "content-type": "application/json", "user-agent": "Mozilla/5.0", cookie },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (path === "/login") cookie = (answer.headers.get("set-cookie") ?? "").split(";")[0]!;
    expect(answer.status, `${method} ${path}: ${await answer.clone().text()}`).toBe(200);
    return (await answer.json()) as { data: { id: string; versionId: string } };
  }

  function workflow(paths: readonly string[]) {
    const nodes = paths.map((path, at) => ({
      ...{ id: path, name: path, type: "n8n-nodes-base.webhook", typeVersion: 2, position: [0, at * 100] },
      ...{ webhookId: path, parameters: { httpMethod: "POST", path, responseMode: "onReceived" } },
    }));
    return {
      name: paths.join(" "),
      nodes,
      connections: {},
      settings: { executionOrder: "v1" },
      active: false,
    };
  }

  it("tells workflows that are imported, active in part, and all active, without starting one", async () => {
    await rest("POST", "/login", {
      emailOrLdapLoginId: "admin@exemple.fr",
      password: strong.n8nOwnerPassword,
    });
    const first = (await rest("POST", "/workflows", workflow(["upload"]))).data;
    const imported = await webhooks();
    expect(imported).toMatchObject({ outcome: "failed", measures: { workflows: 1, workflowsActive: 0 } });
    expect(imported.detail).toContain("1 workflows importés, 0 actifs");

    await rest("POST", `/workflows/${first.id}/activate`, { versionId: first.versionId });
    expect(await webhooks()).toMatchObject({
      outcome: "failed",
      detail: "webhooks sans workflow actif : question, start-diagnosis, diagnosis-step",
    });

    const second = (
      await rest("POST", "/workflows", workflow(["question", "start-diagnosis", "diagnosis-step"]))
    ).data;
    await rest("POST", `/workflows/${second.id}/activate`, { versionId: second.versionId });
    expect(await webhooks()).toMatchObject({ outcome: "ok", measures: { webhooksRegistered: 4 } });
    expect(await checkUploads(stage.world, stage.context.environment, never)).toMatchObject({
      outcome: "ok",
    });
    const { data } = (await rest("GET", "/executions")) as unknown as {
      data: { count?: number; results?: unknown[] };
    };
    expect(data.results).toEqual([]);
    for (const { id } of [first, second]) {
      await rest("POST", `/workflows/${id}/deactivate`);
      await rest("POST", `/workflows/${id}/archive`);
    }
  });

  it("fails behind a gateway that cannot reach n8n", async () => {
    const found = await withGateway(
      (configuration) => configuration.replace(`include ${N8N_ROUTE.container};`, "default personne:5678;"),
      webhooks,
    );

    expect(found.detail).toContain("/api/upload : 503, attendu 204 de n8n");
  });

  it("fails where n8n has no owner, where a default password opens it, and where the owner's is weak", async () => {
    const name = `${stage.container("n8n")}-unclaimed`;
    await docker(
      "run",
      "--detach",
      "--rm",
      "--name",
      name,
      "--label",
      "technicia.rehearsal=1",
      "--publish",
      "127.0.0.1::5678",
      await imageOf("n8n"),
    );
    try {
      const n8n = `http://${(await docker("port", name, "5678/tcp")).split("\n")[0]}`;
      const world = { ...stage.world, loopback: { ...stage.world.loopback, n8n } };
      const look = () => checkDefaultCredentials(stage.context, server, world);
      await untilN8n(n8n);
      expect(await look()).toMatchObject({
        outcome: "failed",
        detail: expect.stringContaining("pas de propriétaire") as string,
      });

      const owner = { email: "admin@exemple.fr", firstName: "A", lastName: "B", password: "Password1" };
      await fetch(`${n8n}/rest/owner/setup`, {
        method: "POST",
        headers: { "content-type": "application/json", "user-agent": "Mozilla/5.0" },
        body: JSON.stringify(owner),
      });
      expect(await look()).toMatchObject({
        outcome: "failed",
        detail: "n8n accepte un mot de passe par défaut",
      });
    } finally {
      await docker("rm", "--force", name);
    }
    const weak = { ...stage.context, secrets: { n8nOwnerPassword: "Password12345" } };
    expect(await checkDefaultCredentials(weak, server, stage.world)).toMatchObject({ outcome: "failed" });
  });
});
