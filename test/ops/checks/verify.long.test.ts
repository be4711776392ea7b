import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { N8N_ROUTE } from "../../../components/gateway-config.ts";
import { check } from "../../../common/check.ts";
import {
  checkCollection,
  checkQdrantReady,
  checkSearch,
  checkHealth,
} from "../../../ops/checks/server/vector-store.ts";
import {
  checkClosedPaths,
  checkHeaders,
  checkHealthRoute,
  checkRedirect,
  checkUploads,
} from "../../../ops/checks/public/gateway.ts";
import { checkLoad } from "../../../ops/checks/public/load.ts";
import { checkDefaultCredentials, checkN8nReady, checkWebhooks } from "../../../ops/checks/server/n8n.ts";
import { verify } from "../../../ops/checks/verify.ts";
import { docker, imageOf } from "../../support/containers.ts";
import { until } from "../../support/until.ts";
import { startSystem, type System, untilN8n, UPLOAD_MAX_MIB } from "./system-in-containers.ts";
import { byId, localServer, unaborted, strong } from "./fixtures.ts";
import { releaseLimits } from "../../../stacks/release-limits.ts";

let system: System;
const server = localServer();

beforeAll(async () => {
  system = await startSystem();
}, 300_000);
afterAll(() => system.remove());

/** Runs `look` against a gateway with a wrong configuration, and restores the right one. */
async function withGateway<T>(change: (configuration: string) => string, look: () => Promise<T>): Promise<T> {
  await system.configure((configuration) => {
    const changed = change(configuration);
    expect(changed).not.toBe(configuration);
    return changed;
  });
  try {
    return await look();
  } finally {
    await system.configure((configuration) => configuration);
  }
}

async function put(points: readonly unknown[]): Promise<void> {
  const answer = await fetch(`${system.effects.loopback.qdrant}/collections/technicia/points?wait=true`, {
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
  const answer = await fetch(`${system.effects.loopback.qdrant}/collections/technicia/points/count`, {
    method: "POST",
    headers: { "api-key": strong.qdrantApiKey, "content-type": "application/json" },
    body: JSON.stringify({ exact: true }),
  });
  return ((await answer.json()) as { result: { count: number } }).result.count;
}

describe("verify", () => {
  it("passes for a good deployment, names what it could not check, and leaves nothing behind", async () => {
    await insert(3);
    // A verification that was killed has left its sentence behind.
    await insertLeftover();
    const checks = await verify(system.context, system.effects);

    for (const one of checks) expect(check.parse(one)).toEqual(one);
    expect(checks.filter(({ outcome }) => outcome === "failed")).toEqual([]);
    const notSeen = checks.filter(({ outcome }) => outcome === "not-checked").map(({ id }) => id);
    expect(notSeen.filter((id) => id !== "security-ports-v6")).toEqual([
      "functional-webhooks",
      // Off in these settings.
      "functional-question",
      "performance-question",
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

  it("leaves every check of the server open when there is no ssh", async () => {
    const checks = await verify({ ...system.context, server: undefined }, system.effects);

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
    const checks = await verify({ ...system.context, signal: stop.signal }, system.effects);

    expect(checks.every(({ outcome }) => outcome === "not-checked")).toBe(true);
    expect(performance.now() - began).toBeLessThan(2000);
  });
});

describe("the checks of the server", () => {
  it("fail when n8n does not answer", async () => {
    expect(await checkN8nReady(server, { ...system.n8n, url: "http://127.0.0.1:9" })).toMatchObject({
      outcome: "failed",
      detail: expect.stringContaining("pas de réponse") as string,
    });
  });

  it("fail for a Qdrant that answers without its key, and for one that refuses the key", async () => {
    const name = `${system.container("qdrant")}-open`;
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
      const url = `http://${(await docker("port", name, "6333/tcp")).split("\n")[0]}`;
      await until(
        "Qdrant is ready",
        async () => (await fetch(`${url}/readyz`).catch(() => undefined))?.ok === true,
      );
      const open = { ...system.qdrant, url };

      expect(await checkQdrantReady(server, open)).toMatchObject({
        outcome: "failed",
        detail: "Qdrant répond 200 à qui n'a pas la clé, attendu 401",
      });
      expect(await checkCollection(server, open)).toMatchObject({
        outcome: "failed",
        detail: "collection technicia : Qdrant répond 404",
      });
    } finally {
      await docker("rm", "--force", name);
    }
    const stranger = { ...system.qdrant, apiKey: "another-key-of-somebody" };
    expect(await checkCollection(server, stranger)).toMatchObject({
      detail: "collection technicia : Qdrant répond 401",
    });
  });

  it("fail for a collection without one of its indexes", async () => {
    const index = `${system.effects.loopback.qdrant}/collections/technicia/index`;
    const headers = { "api-key": strong.qdrantApiKey, "content-type": "application/json" };
    await fetch(`${index}/document_name?wait=true`, { method: "DELETE", headers });
    try {
      expect(await checkCollection(server, system.qdrant)).toMatchObject({
        outcome: "failed",
        detail: "collection technicia : index manquants : document_name (keyword)",
      });
    } finally {
      const body = JSON.stringify({ field_name: "document_name", field_schema: "keyword" });
      await fetch(`${index}?wait=true`, { method: "PUT", headers, body });
    }
    expect(await checkCollection(server, system.qdrant)).toMatchObject({ outcome: "ok" });
  });

  it("fail for a vector-store that is down or has lost Qdrant, and remove their sentence all the same", async () => {
    const before = await countPoints();
    await docker("pause", system.container("qdrant"));
    const health = checkHealth(server, "vectorStore");
    // The paused Qdrant stays silent for longer than the check waits.
    await expect(health).rejects.toThrow(/could not read the health of technicia-vector-store/);
    await docker("unpause", system.container("qdrant"));
    expect(await checkHealth(server, "vectorStore")).toMatchObject({ outcome: "ok" });

    await docker("stop", "--time", "1", system.container("vector-store"));
    await expect(checkSearch(server, system.qdrant)).rejects.toThrow("technicia-vector-store does not run");
    await docker("start", system.container("vector-store"));
    await until(
      "the vector-store is back",
      async () => (await checkHealth(server, "vectorStore").catch(() => undefined))?.outcome === "ok",
    );
    expect(await countPoints()).toBe(before);
  });
});

describe("the checks of the gateway", () => {
  it("fail when n8n's own paths are open", async () => {
    const look = () =>
      checkClosedPaths(system.site, { otherHosts: [], openPaths: [], hasFrontend: false, signal: unaborted });
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

  it("fail when headers are missing or name a version", async () => {
    const look = () => checkHeaders(system.site, { isTrusted: false, signal: unaborted });
    const found = await withGateway(
      (configuration) =>
        configuration
          .replace(/add_header X-Frame-Options .*/, "")
          .replace("server_tokens off", "server_tokens on"),
      look,
    );

    expect(found.detail).toBe("x-frame-options : absent ; server : donne la version du serveur");
  });

  it("fail when http does not redirect", async () => {
    const look = () => checkRedirect(system.site, unaborted);
    const found = await withGateway(
      (configuration) => configuration.replace(/return 308 [^;]+;/, "return 200 'ici';"),
      look,
    );

    expect(found.detail).toContain("trouvé 200 vers rien");
  });

  it("fail when the limit of uploads is too low or absent", async () => {
    const look = () => checkUploads(system.site, { uploadMaxMib: UPLOAD_MAX_MIB, signal: unaborted });
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

  it("fail when the health is a page, and when the load meets errors", async () => {
    const look = () => checkHealthRoute(system.site, unaborted);
    const thresholds = releaseLimits(system.context.environment);
    const loadOfNothing = () => checkLoad(system.site, { path: "/nothing", thresholds, signal: unaborted });
    const [health, load] = await withGateway(
      (configuration) =>
        configuration.replace(
          "location = /healthz {",
          "location = /healthz { default_type text/html; return 200 '<html>'; }\nlocation = /nothing {",
        ),
      async () => [await look(), await loadOfNothing()] as const,
    );

    expect(health.outcome).toBe("failed");
    expect(load).toMatchObject({ outcome: "ok" });
    const missing = await loadOfNothing();
    expect(missing).toMatchObject({ outcome: "failed", measures: { errorRatio: 1 } });
    expect(missing.detail).toContain("erreurs au-dessus de 1 %");
  });
});

describe("the checks of n8n", () => {
  const webhooks = () =>
    checkWebhooks(system.n8n, { site: system.site, access: { server }, signal: unaborted });
  let cookie = "";

  async function rest(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ data: { id: string; versionId: string } }> {
    const answer = await fetch(`${system.effects.loopback.n8n}/rest${path}`, {
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

  it("distinguish imported, partly active and active workflows, without starting one", async () => {
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
    expect(
      await checkUploads(system.site, { uploadMaxMib: UPLOAD_MAX_MIB, signal: unaborted }),
    ).toMatchObject({
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

  it("fail behind a gateway that cannot reach n8n", async () => {
    const found = await withGateway(
      (configuration) => configuration.replace(`include ${N8N_ROUTE.container};`, "default personne:5678;"),
      webhooks,
    );

    expect(found.detail).toContain("/api/upload : 503, attendu 204 de n8n");
  });

  it("fail without an owner, with a default password and with a weak password of the owner", async () => {
    const name = `${system.container("n8n")}-unclaimed`;
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
      const url = `http://${(await docker("port", name, "5678/tcp")).split("\n")[0]}`;
      const look = () => checkDefaultCredentials(server, { ...system.n8n, url });
      await untilN8n(url);
      expect(await look()).toMatchObject({
        outcome: "failed",
        detail: expect.stringContaining("pas de propriétaire") as string,
      });

      const owner = { email: "admin@exemple.fr", firstName: "A", lastName: "B", password: "Password1" };
      await fetch(`${url}/rest/owner/setup`, {
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
    const weak = { ...system.n8n, ownerPassword: "Password12345" };
    expect(await checkDefaultCredentials(server, weak)).toMatchObject({ outcome: "failed" });
  });
});
