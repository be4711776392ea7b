import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";

import { createN8nOwner, N8n, type N8nArgs } from "../../components/n8n.ts";
import * as technicia from "../../provider/resources.ts";
import { tryRun } from "../../common/run.ts";
import { register, reveal, Sealed } from "../support/engine.ts";

function define(change: Partial<N8nArgs> = {}) {
  return register(() => {
    const provider = new docker.Provider("host", {});
    const [edge, app, data] = ["technicia-edge", "technicia-app", "technicia-data"].map(
      (name) => new docker.Network(name, {}, { provider }),
    ) as [docker.Network, docker.Network, docker.Network];
    new N8n(
      "technicia-n8n",
      {
        image: "n8nio/n8n:2.41.3",
        limits: { memoryMib: 1280, cpus: 2 },
        edge,
        app,
        data,
        domain: "technicia.exemple.fr",
        editorUrl: "http://localhost:5678/",
        timeZone: "Europe/Paris",
        uploadMaxMib: 200,
        executionSeconds: 600,
        database: { kind: "sqlite" },
        secrets: {
          encryptionKey: pulumi.secret("canary-of-encryption"),
          jwtSecret: pulumi.secret("canary-of-jwt"),
        },
        internalHosts: ["qdrant", "technicia-qdrant"],
        protectData: true,
        convergenceSeconds: 300,
        observationSeconds: 10,
        ...change,
      },
      { provider },
    );
  });
}

const postgres = { kind: "postgres", password: pulumi.secret("canary-of-postgres") } as const;
const runners = {
  image: "n8nio/runners:2.41.3",
  limits: { memoryMib: 384, cpus: 1 },
  token: pulumi.secret("canary-of-runners"),
  convergenceSeconds: 300,
  observationSeconds: 10,
};

const sqlite = { DB_TYPE: "sqlite", DB_SQLITE_POOL_SIZE: "4" };
const common = {
  N8N_ENCRYPTION_KEY_FILE: "/run/secrets/n8n_encryption_key",
  N8N_USER_MANAGEMENT_JWT_SECRET_FILE: "/run/secrets/n8n_jwt_secret",
  N8N_HOST: "technicia.exemple.fr",
  N8N_PROTOCOL: "http",
  N8N_PORT: "5678",
  N8N_LISTEN_ADDRESS: "0.0.0.0",
  N8N_WEBHOOK_URL: "https://technicia.exemple.fr/",
  WEBHOOK_URL: "https://technicia.exemple.fr/",
  N8N_EDITOR_BASE_URL: "http://localhost:5678/",
  N8N_PROXY_HOPS: "1",
  N8N_SECURE_COOKIE: "true",
  N8N_RUNNERS_TASK_TIMEOUT: "300",
  EXECUTIONS_DATA_PRUNE: "true",
  EXECUTIONS_DATA_MAX_AGE: "336",
  EXECUTIONS_DATA_PRUNE_MAX_COUNT: "10000",
  EXECUTIONS_DATA_SAVE_ON_SUCCESS: "none",
  EXECUTIONS_TIMEOUT: "600",
  EXECUTIONS_TIMEOUT_MAX: "600",
  N8N_CONCURRENCY_PRODUCTION_LIMIT: "10",
  N8N_PAYLOAD_SIZE_MAX: "200",
  N8N_FORMDATA_FILE_SIZE_MAX: "200",
  N8N_DEFAULT_BINARY_DATA_MODE: "filesystem",
  N8N_ENFORCE_SETTINGS_FILE_PERMISSIONS: "true",
  N8N_BLOCK_ENV_ACCESS_IN_NODE: "true",
  NODES_EXCLUDE: '["n8n-nodes-base.executeCommand","n8n-nodes-base.localFileTrigger","n8n-nodes-base.ssh"]',
  N8N_PUBLIC_API_SWAGGERUI_DISABLED: "true",
  N8N_UNVERIFIED_PACKAGES_ENABLED: "false",
  N8N_SSRF_PROTECTION_ENABLED: "true",
  N8N_SSRF_ALLOWED_HOSTNAMES: "qdrant,technicia-qdrant",
  N8N_DIAGNOSTICS_ENABLED: "false",
  N8N_VERSION_NOTIFICATIONS_ENABLED: "false",
  N8N_TEMPLATES_ENABLED: "false",
  N8N_HIRING_BANNER_ENABLED: "false",
  N8N_PERSONALIZATION_ENABLED: "false",
  N8N_METRICS: "true",
  N8N_LOG_LEVEL: "info",
  N8N_LOG_OUTPUT: "console",
  GENERIC_TIMEZONE: "Europe/Paris",
  TZ: "Europe/Paris",
  N8N_GRACEFUL_SHUTDOWN_TIMEOUT: "30",
  NODE_OPTIONS: "--max-old-space-size=896",
};

interface Inputs {
  readonly taskSpec: { readonly containerSpec: { readonly env: Readonly<Record<string, string>> } };
}

async function environmentOf(change: Partial<N8nArgs> = {}) {
  const { resource } = await define(change);
  return (resource("technicia-n8n-service").inputs as unknown as Inputs).taskSpec.containerSpec.env;
}

describe("N8n", () => {
  it("has exactly this environment with SQLite and runners of its own", async () => {
    expect(await environmentOf()).toEqual({ ...common, ...sqlite, N8N_RUNNERS_MODE: "internal" });
  });

  it("has exactly this environment with PostgreSQL and runners apart", async () => {
    expect(await environmentOf({ database: postgres, runners })).toEqual({
      ...common,
      DB_TYPE: "postgresdb",
      DB_POSTGRESDB_HOST: "postgres",
      DB_POSTGRESDB_PORT: "5432",
      DB_POSTGRESDB_DATABASE: "n8n",
      DB_POSTGRESDB_USER: "n8n",
      DB_POSTGRESDB_PASSWORD_FILE: "/run/secrets/postgres_password",
      DB_POSTGRESDB_POOL_SIZE: "5",
      N8N_RUNNERS_MODE: "external",
      N8N_RUNNERS_AUTH_TOKEN_FILE: "/run/secrets/n8n_runners_token",
      N8N_RUNNERS_BROKER_LISTEN_ADDRESS: "0.0.0.0",
    });
  });

  it("sets nothing that n8n warns of as deprecated but the older name of its address", async () => {
    const names = Object.keys(await environmentOf({ database: postgres, runners }));

    for (const name of [
      "N8N_RUNNERS_ENABLED",
      "N8N_CONFIG_FILES",
      "EXECUTIONS_PROCESS",
      "N8N_BINARY_DATA_TTL",
    ]) {
      expect(names).not.toContain(name);
    }
  });

  it("keeps its heap below its memory limit", async () => {
    const { NODE_OPTIONS } = await environmentOf({ limits: { memoryMib: 1000, cpus: 1 } });

    expect(NODE_OPTIONS).toBe("--max-old-space-size=700");
  });

  it("counts as ready when its database is migrated, has 40 s to end executions, and never runs twice", async () => {
    const { resource } = await define();

    expect(resource("technicia-n8n-service").inputs).toMatchObject({
      taskSpec: {
        containerSpec: {
          image: "n8nio/n8n:2.41.3",
          healthcheck: {
            tests: [
              "CMD-SHELL",
              "for try in 1 2 3 4; do wget -q -O /dev/null http://127.0.0.1:5678/healthz/readiness && exit 0; sleep 1; done; exit 1",
            ],
            startPeriod: "2m",
          },
          stopGracePeriod: "40s",
          mounts: [
            { type: "volume", source: "technicia-n8n-data", target: "/home/node/.n8n", readOnly: false },
          ],
        },
      },
      updateConfig: { order: "stop-first" },
      endpointSpec: { ports: [] },
    });
  });

  it.each([
    { ready: "at the third try", tries: 3, expected: 0 },
    { ready: "never", tries: 99, expected: 1 },
  ])("waits for n8n within a check, here ready $ready", async ({ tries, expected }) => {
    const { resource } = await define();
    const { taskSpec } = resource("technicia-n8n-service").inputs as {
      taskSpec: { containerSpec: { healthcheck: { tests: string[] } } };
    };
    const [, command = ""] = taskSpec.containerSpec.healthcheck.tests;
    // In the place of the image's wget, and of a second's pause.
    const given = `n=0; wget() { n=$((n + 1)); [ $n -ge ${tries} ]; }; sleep() { :; }; trap 'echo $n' EXIT`;

    const { code, stdout } = await tryRun(["sh", "-c", `${given}\n${command}`]);

    expect({ code, asked: Number(stdout) }).toEqual({ code: expected, asked: Math.min(tries, 4) });
  });

  it("answers to both names, and meets the database server only when it has one", async () => {
    const aliases = ["n8n", "technicia-n8n"];
    const met = [
      { id: "id-of-technicia-edge", aliases },
      { id: "id-of-technicia-app", aliases },
    ];
    const networks = async (change: Partial<N8nArgs>) => {
      const { resource } = await define(change);
      const { taskSpec } = resource("technicia-n8n-service").inputs as { taskSpec: Record<string, unknown> };
      return taskSpec["networksAdvanceds"];
    };

    expect(await networks({})).toEqual(met);
    expect(await networks({ database: postgres })).toEqual([
      ...met,
      { id: "id-of-technicia-data", aliases: [] },
    ]);
  });

  it("reads every secret from a file that its own user owns", async () => {
    const { ofType, resource } = await define({ database: postgres, runners });
    const secrets = ofType("docker:index/secret:Secret").map(({ name, inputs }) => [
      name,
      inputs["data"] instanceof Sealed && Buffer.from(String(inputs["data"].value), "base64").toString(),
    ]);
    const owned = { fileUid: "1000", fileGid: "1000", fileMode: 0o400 };

    expect(secrets).toEqual([
      ["technicia-n8n-n8n-encryption-key", "canary-of-encryption"],
      ["technicia-n8n-n8n-jwt-secret", "canary-of-jwt"],
      ["technicia-n8n-n8n-runners-token", "canary-of-runners"],
      ["technicia-n8n-postgres-password", "canary-of-postgres"],
      ["technicia-n8n-runners-n8n-runners-token", "canary-of-runners"],
    ]);
    expect(resource("technicia-n8n-service").inputs).toMatchObject({
      taskSpec: {
        containerSpec: {
          secrets: [
            { ...owned, fileName: "n8n_encryption_key" },
            { ...owned, fileName: "n8n_jwt_secret" },
            { ...owned, fileName: "n8n_runners_token" },
            { ...owned, fileName: "postgres_password" },
          ],
        },
      },
    });
    expect(reveal(resource("technicia-n8n-service").inputs)).not.toContain("canary");
  });

  it.each([true, false])("protects and retains its volume as it is told: %s", async (protectData) => {
    const { resource } = await define({ protectData });

    expect(resource("technicia-n8n-data")).toMatchObject({
      protect: protectData,
      retainOnDelete: protectData,
    });
  });
});

describe("N8n's runners", () => {
  it("are a service of their own, of the same token, off the networks of the data", async () => {
    const { resource } = await define({ runners });

    expect(resource("technicia-n8n-runners-service").inputs).toMatchObject({
      name: "technicia-n8n-runners",
      taskSpec: {
        containerSpec: {
          image: "n8nio/runners:2.41.3",
          env: {
            N8N_RUNNERS_TASK_BROKER_URI: "http://n8n:5679",
            N8N_RUNNERS_AUTH_TOKEN_FILE: "/run/secrets/n8n_runners_token",
          },
          healthcheck: { tests: ["CMD-SHELL", "wget -q -O /dev/null http://127.0.0.1:5680/healthz"] },
        },
        networksAdvanceds: [{ id: "id-of-technicia-edge", aliases: [] }],
      },
      updateConfig: { order: "start-first" },
    });
  });

  it("are not there when n8n starts its own", async () => {
    const { ofType } = await define();

    expect(ofType("docker:index/service:Service").map(({ name }) => name)).toEqual(["technicia-n8n-service"]);
  });
});

describe("createN8nOwner", () => {
  const define = () =>
    register(() => {
      const owner = {
        email: "o'brien@exemple.fr",
        firstName: "Ada",
        lastName: "Lovelace",
        password: pulumi.secret("canary-of-the-owner"),
      };
      createN8nOwner("n8n-owner", owner, { provider: new technicia.Connection("host", {}) });
    });

  it("hands the whole account over as one secret", async () => {
    const { resource } = await define();
    const { secrets } = resource("n8n-owner").inputs as { secrets: { OWNER: Sealed } };

    expect(secrets).toEqual({ OWNER: expect.any(Sealed) as Sealed });
    expect(JSON.parse(String(secrets.OWNER.value))).toEqual({
      email: "o'brien@exemple.fr",
      firstName: "Ada",
      lastName: "Lovelace",
      password: "canary-of-the-owner",
    });
  });

  it("asks n8n on the server's loopback, under a browser's name, and sends the account on standard input", async () => {
    const { resource } = await define();
    const { observe, apply, desired, variables, remove } = resource("n8n-owner").inputs;

    expect(desired).toBe("the instance has an owner");
    expect(variables).toEqual({ N8N: "http://127.0.0.1:5678" });
    expect(remove).toBeUndefined();
    expect(observe).toContain('"$N8N/rest/settings"');
    expect(apply).toContain('change POST owner/setup <<<"$OWNER"');
    expect(apply).toContain("--data @-");
    for (const text of [observe, apply]) expect(text).toContain("--user-agent Mozilla/5.0");
  });
});
