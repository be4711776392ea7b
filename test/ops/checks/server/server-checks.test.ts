import { describe, expect, it } from "vitest";

import { checkRoomFor, clockProbe, type KnownImage } from "../../../../ops/checks/server/machine.ts";
import {
  checkLogs,
  expectedServices,
  judgeContainers,
  type RunningContainer,
  databaseProbe,
  versionsProbe,
} from "../../../../ops/checks/server/containers.ts";
import { openAccess, type ServerAccess } from "../../../../ops/checks/context.ts";
import { UserError } from "../../../../common/user-error.ts";
import { checkSearch, checkHealth } from "../../../../ops/checks/server/vector-store.ts";
import type { Server } from "../../../../ops/server/connection.ts";
import { startOvh } from "../../../../rehearsal/fake-clouds/ovh/server.ts";
import { answeringServer, contextWith, unaborted, outputsOf, unreachableServer } from "../fixtures.ts";
import { environmentWith } from "../../../support/fixtures.ts";
import { listed, three } from "../../../support/servers.ts";

const GIB = 1024 ** 3;
const NO_SERVER: ServerAccess = { server: undefined, obstacle: "pas de serveur" };

describe("openAccess", () => {
  it("distinguishes a server that answers, one that does not, and none", async () => {
    const server = answeringServer("");
    expect(await openAccess(contextWith({ server }), "server")).toMatchObject({
      check: { outcome: "ok" },
      access: { server },
    });
    expect(await openAccess(contextWith({ server: unreachableServer }), "server")).toMatchObject({
      check: { outcome: "failed", detail: "could not connect to root@server:22: no answer" },
      access: { server: undefined, obstacle: "le serveur n'est pas joignable par ssh" },
    });
    expect(await openAccess(contextWith(), "server")).toMatchObject({ check: { outcome: "not-checked" } });
  });
});

describe("checkRoomFor", () => {
  const room = {
    diskBytes: 100 * GIB,
    diskFreeBytes: 40 * GIB,
    memoryMib: 8000,
    memoryAvailableMib: 4000,
    swapFreeMib: 1000,
    reclaimable: "3GB (40%)",
    digests: ["sha256:there"],
  };
  const environment = environmentWith();
  const image = (digest: string, gib: number): KnownImage => ({
    service: "vectorStore",
    digest,
    downloadBytes: gib * GIB,
  });
  const look = (images: readonly KnownImage[], change: Partial<typeof room> = {}) =>
    checkRoomFor(images, { server: answeringServer(JSON.stringify({ ...room, ...change })), environment });

  it("is ok when the new images fit, and counts only images that the server lacks", async () => {
    expect(await look([image("sha256:new", 1)])).toMatchObject({
      outcome: "ok",
      measures: { diskFreePercent: 36, diskNeededMib: 4096, memoryUsedPercent: 50, memoryNeededMib: 384 },
    });
    expect(await look([image("sha256:there", 30)])).toMatchObject({
      outcome: "ok",
      measures: { diskFreePercent: 40, diskNeededMib: 0, memoryNeededMib: 0 },
    });
  });

  it("fails when metrics and logs would be kept for longer than the server's own disk allows", async () => {
    const small = await look([], { diskBytes: 9 * GIB, diskFreeBytes: 8 * GIB });

    expect(small).toMatchObject({ outcome: "failed" });
    expect(small.detail).toBe(
      "surveillance : 5 Gio à garder (technicia:monitoring, metricsDays 35: about 1, logsMaxGib 2, minFreeGib 2), " +
        "au plus 4 attendus, la moitié du disque de 9 Gio ; baisser l'une des trois valeurs",
    );
    expect(await look([], { diskBytes: 10 * GIB, diskFreeBytes: 8 * GIB })).toMatchObject({ outcome: "ok" });
  });

  it("fails when the disk would fill, and names what Docker could free", async () => {
    const found = await look([image("sha256:new", 6)]);

    expect(found).toMatchObject({ outcome: "failed", measures: { diskFreePercent: 16 } });
    expect(found.detail).toContain("docker system prune rendrait 3GB (40%)");
  });

  it("fails when memory is short, now or during the update", async () => {
    expect((await look([], { memoryAvailableMib: 1000 })).detail).toBe(
      "mémoire : 87.5 % utilisés, au plus 85 % attendus",
    );
    expect(
      (await look([image("sha256:new", 1)], { memoryMib: 300, memoryAvailableMib: 200, swapFreeMib: 100 }))
        .detail,
    ).toBe("mémoire : 300 Mio libres avec l'échange, 384 Mio nécessaires pendant la mise à jour");
  });
});

describe("versionsProbe", () => {
  const look = async (
    from: Record<string, string>,
    to: Record<string, unknown>,
    server: Server = answeringServer(`postgres:17.9-bookworm@sha256:${"a".repeat(64)}\n`),
  ) => {
    const environment = environmentWith(to);
    const outputs = outputsOf(environment, from);
    return versionsProbe({ stack: "test", environment, outputs }, { server }).find(unaborted);
  };

  it.each([
    ["v1.19.0", "v1.19.1", "ok"],
    ["v1.19.1", "v1.19.0", "ok"],
    ["v1.18.2", "v1.19.0", "ok"],
    ["v1.17.0", "v1.19.0", "failed"],
    ["v1.20.0", "v1.19.0", "failed"],
    ["v1.19.0", "v2.0.0", "failed"],
  ])("Qdrant from %s to %s is %s", async (from, to, outcome) => {
    expect(
      await look(
        { qdrant: `qdrant/qdrant:${from}-unprivileged@sha256:${"a".repeat(64)}` },
        { "images.qdrant": `qdrant/qdrant:${to}` },
      ),
    ).toMatchObject({ outcome });
  });

  it.each([
    ["2.41.3", "2.41.3", "ok"],
    ["2.41.3", "2.42.0", "ok"],
    ["1.123.81", "2.41.3", "ok"],
    ["2.41.3", "2.41.2", "failed"],
    ["2.41.3", "2.40.9", "failed"],
    ["2.41.3", "1.123.81", "failed"],
    ["1.123.81", "3.0.0", "failed"],
    ["2.41.3", "latest", "not-checked"],
  ])("n8n from %s to %s is %s", async (from, to, outcome) => {
    const tail = to === "latest" ? `@sha256:${"b".repeat(64)}` : `:${to}`;

    expect(
      await look(
        { n8n: `n8nio/n8n:${from}@sha256:${"a".repeat(64)}` },
        { "images.n8n": `n8nio/n8n${tail}`, "images.n8nRunners": `n8nio/runners${tail}` },
      ),
    ).toMatchObject({ outcome });
  });

  it.each([
    ["postgres:17.10-bookworm", "ok"],
    ["postgres:18.1-bookworm", "failed"],
    ["postgres:16.9-bookworm", "failed"],
  ])("PostgreSQL from 17.9 to %s is %s", async (image, outcome) => {
    expect(await look({}, { "services.n8n.database": "postgres", "images.postgres": image })).toMatchObject({
      outcome,
    });
  });

  it.each([
    ["18.1", "postgres", "ok", "PostgreSQL 17.9 → 18.1"],
    ["19.1", "postgres", "failed", "npm run upgrade -- test postgres 18.x les transfère"],
    ["18.1", undefined, "failed", "npm run upgrade -- test postgres 18.1 les transfère"],
    ["18.1", "qdrant", "failed", "npm run upgrade -- test postgres 18.1 les transfère"],
  ] as const)(
    "PostgreSQL from 17.9 to %s, when the upgrade is of %s, is %s",
    async (version, upgrades, outcome, detail) => {
      const environment = environmentWith({
        "services.n8n.database": "postgres",
        "images.postgres": `postgres:${version}-bookworm`,
      });
      const server = answeringServer("postgres:17.9-bookworm\n");
      const context = { stack: "test", environment, outputs: outputsOf(environment, {}), upgrades };
      const found = await versionsProbe(context, { server }).find(unaborted);

      expect(found.outcome === "not-checked" ? "ok" : found.outcome).toBe(outcome);
      if (outcome === "failed") expect(found.detail).toContain(detail);
    },
  );

  it("is not checked when the version that runs is unknown", async () => {
    const postgres = { "services.n8n.database": "postgres" };
    expect(await look({}, postgres, answeringServer(""))).toMatchObject({ outcome: "not-checked" });
    expect(await look({}, postgres, answeringServer("postgres:latest"))).toMatchObject({
      outcome: "not-checked",
    });
    expect(await versionsProbe(contextWith(), NO_SERVER).find(unaborted)).toMatchObject({
      outcome: "not-checked",
    });
  });
});

describe("databaseProbe", () => {
  const look = (running: string, settings: Record<string, unknown>) => {
    const environment = environmentWith(settings);
    const context = { stack: "test", environment, outputs: outputsOf(environment) };
    return databaseProbe(context, { server: answeringServer(`N8N_HOST=a\nDB_TYPE=${running}\n`) }).find(
      unaborted,
    );
  };

  it("is ok as long as n8n keeps its database", async () => {
    expect(await look("sqlite", {})).toMatchObject({ outcome: "ok" });
    expect(await look("postgresdb", { "services.n8n.database": "postgres" })).toMatchObject({
      outcome: "ok",
    });
  });

  it("says that n8n's data moves to PostgreSQL", async () => {
    expect(await look("sqlite", { "services.n8n.database": "postgres" })).toMatchObject({
      outcome: "ok",
      detail:
        "n8n passe de sqlite à postgres : toutes ses données sont copiées et comptées, n8n est arrêté pendant ce temps",
    });
  });

  it("fails before n8n goes back to SQLite, and says how to stay or go without the data", async () => {
    const found = await look("postgresdb", {});

    expect(found.outcome).toBe("failed");
    expect(found.detail).toBe(
      "n8n passe de postgres à sqlite, et rien n'y ramène ses données ; le remettre : " +
        "pulumi config set --path technicia:services.n8n.database postgres --stack test ; " +
        "ou démarrer sans ses données : pulumi config set --path technicia:services.n8n.startEmpty true --stack test",
    );
  });

  it("is ok when the settings say that n8n may start empty", async () => {
    const settings = { "services.n8n.database": "postgres", "services.n8n.startEmpty": true };

    expect(await look("sqlite", settings)).toMatchObject({
      outcome: "ok",
      detail: expect.stringContaining("voulu (services.n8n.startEmpty)") as string,
    });
  });

  it("is not checked where nothing is deployed, or the server does not say", async () => {
    const environment = environmentWith();
    const context = { stack: "test", environment, outputs: outputsOf(environment) };

    expect(await databaseProbe(contextWith(), NO_SERVER).find(unaborted)).toMatchObject({
      outcome: "not-checked",
    });
    expect(await databaseProbe(context, { server: answeringServer("") }).find(unaborted)).toMatchObject({
      outcome: "not-checked",
    });
  });
});

describe("clockProbe", () => {
  const look = async (ovhSkew: number, serverSkew: number | undefined) => {
    const ovh = await startOvh({ clockSkewSeconds: ovhSkew });
    try {
      const access =
        serverSkew === undefined
          ? NO_SERVER
          : { server: answeringServer(String(Date.now() + serverSkew * 1000)) };
      return await clockProbe({ endpoint: ovh.url, access, fetch, now: Date.now }).find(unaborted);
    } finally {
      await ovh.close();
    }
  };

  it("is ok when OVH and the server agree, and not checked when one is silent", async () => {
    expect(await look(0, 0)).toMatchObject({ outcome: "ok" });
    expect(await look(0, undefined)).toMatchObject({ outcome: "not-checked" });
  });

  it("fails when either clock is wrong", async () => {
    expect(await look(60, 0)).toMatchObject({ outcome: "failed" });
    const found = await look(0, -9);
    expect(found.outcome).toBe("failed");
    expect(found.measures?.["serverOffsetSeconds"]).toBeCloseTo(-9, 0);
  });
});

describe("judgeContainers", () => {
  const environment = environmentWith();
  const all = expectedServices(environment).map((service): RunningContainer => ({
    service,
    id: service,
    restarts: 0,
    health: "healthy",
  }));
  const change = (service: string, part: Partial<RunningContainer>) =>
    all.map((one) => (one.service === service ? { ...one, ...part } : one));
  const judge = (after: readonly RunningContainer[], before = all) =>
    judgeContainers(environment, { before, after, seconds: 60 });

  it("is ok when every container ran for the whole time", () => {
    expect(judge(all)).toMatchObject({
      outcome: "ok",
      measures: { containers: all.length, observedSeconds: 60 },
    });
    expect(judge(change("technicia-tunnel", { health: "none" }))).toMatchObject({ outcome: "ok" });
  });

  it("takes two of a service that runs on several servers, each of which has to be well", () => {
    const several = environmentWith(listed(three));
    const second = { service: "technicia-vector-store", id: "task", restarts: 0, health: "healthy" };
    const seen = (after: readonly RunningContainer[]) =>
      judgeContainers(several, { before: [...all, second], after, seconds: 60 });

    expect(seen([...all, second])).toMatchObject({ outcome: "ok" });
    expect(seen([...all, { ...second, id: "another" }])).toMatchObject({
      outcome: "failed",
      detail: "technicia-vector-store a été remplacé pendant la vérification",
    });
    expect(seen([...all, { ...second, service: "technicia-qdrant" }])).toMatchObject({
      outcome: "failed",
      detail: "technicia-qdrant tourne 2 fois",
    });
  });

  it.each([
    ["technicia-n8n ne tourne pas", all.filter(({ service }) => service !== "technicia-n8n")],
    [
      "technicia-n8n tourne 2 fois",
      [...all, { service: "technicia-n8n", id: "2", restarts: 0, health: "healthy" }],
    ],
    ["technicia-n8n a été remplacé pendant la vérification", change("technicia-n8n", { id: "other" })],
    ["technicia-tunnel a redémarré pendant la vérification", change("technicia-tunnel", { restarts: 1 })],
    ["technicia-qdrant : santé unhealthy", change("technicia-qdrant", { health: "unhealthy" })],
  ])("fails: %s", (detail, after) => {
    expect(judge(after)).toMatchObject({ outcome: "failed", detail });
  });
});

describe("checkHealth", () => {
  const vectorStore = {
    status: "healthy",
    qdrant_connected: true,
    collection_exists: true,
    voyage_api_configured: true,
  };
  const answered = (code: number, body: unknown) => answeringServer(`${code}\n${JSON.stringify(body)}\n`);

  it("are ok only when every field of the health is true", async () => {
    expect(await checkHealth(answered(200, vectorStore), "vectorStore")).toMatchObject({ outcome: "ok" });
    expect(
      await checkHealth(answered(200, { ...vectorStore, voyage_api_configured: false }), "vectorStore"),
    ).toEqual({
      outcome: "failed",
      detail: "technicia-vector-store : voyage_api_configured n'est pas vrai",
    });
    expect(await checkHealth(answered(500, { status: "error" }), "vectorStore")).toMatchObject({
      outcome: "failed",
    });
    expect(await checkHealth(answeringServer("200\n<html>"), "vectorStore")).toMatchObject({
      outcome: "failed",
    });
  });

  it("fail for a service without its keys", async () => {
    const healthy = { status: "healthy" };
    expect(
      await checkHealth(answered(200, { ...healthy, google_cloud_configured: true }), "documentProcessor"),
    ).toMatchObject({ outcome: "ok" });
    expect(
      await checkHealth(answered(200, { ...healthy, google_cloud_configured: false }), "documentProcessor"),
    ).toMatchObject({ outcome: "failed" });
    expect(
      await checkHealth(answered(200, { ...healthy, google_vision_initialized: true }), "visionClassifier"),
    ).toMatchObject({ outcome: "ok" });
    expect(await checkHealth(answered(200, healthy), "visionClassifier")).toMatchObject({
      outcome: "failed",
    });
  });
});

describe("checkSearch", () => {
  const seen = {
    length: 1024,
    size: 1024,
    rank: 0,
    score: 0.9,
    before: 3,
    during: 1,
    left: 0,
    after: 3,
    embedMs: 20,
    searchMs: 10,
  };
  const look = (change: Partial<Record<keyof typeof seen, number | null>>) =>
    checkSearch(answeringServer(JSON.stringify({ ...seen, ...change })), {
      url: "http://127.0.0.1:6333",
      apiKey: undefined,
    });

  it("is ok when the sentence was found and removed, whatever others add meanwhile", async () => {
    expect(await look({})).toMatchObject({
      outcome: "ok",
      measures: { pointsBefore: 3, pointsAfter: 3, embedMs: 20 },
    });
    expect((await look({ after: 5 })).detail).toContain("dont 2 ajoutés par d'autres");
  });

  it.each([
    [{ rank: null }, "phrase introuvable"],
    [{ rank: 2 }, "phrase trouvée au rang 3, attendu 1"],
    [{ during: 0 }, "0 points écrits, attendu 1"],
    [{ left: 1, after: 4 }, "1 points de vérification restés"],
    [{ after: 2 }, "3 points avant, 2 après : des points ont disparu"],
  ])("fails with %j", async (change, detail) => {
    expect(await look(change)).toMatchObject({ outcome: "failed", detail });
  });
});

describe("checkSearch through a vector-store whose model makes vectors of another size", () => {
  const qdrant = { url: "http://127.0.0.1:6333", apiKey: undefined };
  const sizes =
    /^vector-store produit des vecteurs de 1536 nombres, la collection technicia en contient de 1024 ; déployer/;

  it("fails with both sizes when Qdrant refuses the vector", async () => {
    const refused = new UserError(
      'could not store and find a sentence: /embed-text: 500 {"detail":"Erreur : Wrong input: Vector dimension error: expected dim: 1024, got 1536"}',
    );
    const server = { ...answeringServer(""), run: () => Promise.reject(refused) };

    expect(await checkSearch(server, qdrant)).toMatchObject({
      outcome: "failed",
      detail: expect.stringMatching(sizes) as string,
    });
  });

  it("fails with both sizes when they differ without a refusal", async () => {
    const seen = { length: 1536, size: 1024, rank: 0, score: 1, before: 0, during: 1, left: 0, after: 0 };
    const answer = JSON.stringify({ ...seen, embedMs: 1, searchMs: 1 });

    expect(await checkSearch(answeringServer(answer), qdrant)).toMatchObject({
      outcome: "failed",
      detail: expect.stringMatching(sizes) as string,
    });
  });
});

describe("checkLogs", () => {
  const judged = async (services: string, enabled: boolean) => {
    const { outcome, detail } = await checkLogs(
      answeringServer(services),
      environmentWith({ monitoring: { enabled, logsDays: 14, logsMaxGib: 2 } }),
    );
    return `${outcome}: ${detail}`;
  };

  it("fails for logs without a size limit", async () => {
    expect(await judged("technicia-n8n json-file 10m\ntechnicia-qdrant json-file \n", true)).toBe(
      "failed: journaux sans limite de taille : technicia-qdrant",
    );
    expect(await judged("technicia-n8n\n", false)).toBe(
      "failed: journaux sans limite de taille : technicia-n8n",
    );
  });

  it("is ok once the journal, and so the monitoring, has the lines of all services", async () => {
    expect(await judged("technicia-n8n journald \ntechnicia-qdrant journald \n", true)).toBe(
      "ok: 2 services centralisés, gardés 14 jours et au plus 2 GiB",
    );
    expect(await judged("technicia-n8n json-file 10m\ntechnicia-qdrant journald \n", true)).toBe(
      "not-checked: le prochain déploiement centralise les journaux de tous les services",
    );
    expect(await judged("technicia-n8n json-file 10m\n", false)).toMatch(/^not-checked: rotation en place/);
  });
});
