import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";

import { createN8nOwner, N8n, type N8nArgs, type RunnersArgs } from "../../components/n8n.ts";
import * as technicia from "../../provider/resources.ts";
import { tryRun } from "../../common/run.ts";
import { register, reveal, Sealed } from "../support/engine.ts";

type Change = Omit<Partial<N8nArgs>, "runners"> & { readonly runners?: Omit<RunnersArgs, "network"> };

function define({ runners, ...change }: Change = {}) {
  return register(() => {
    const provider = new docker.Provider("host", {});
    const network = (name: string) => new docker.Network(`technicia-${name}`, {}, { provider });
    const [edge, app, data] = [network("edge"), network("app"), network("data")];
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
        ...(runners && { runners: { ...runners, network: network("runners") } }),
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

interface Inputs {
  readonly taskSpec: { readonly containerSpec: { readonly env: Readonly<Record<string, string>> } };
}

async function environmentOf(change: Change = {}) {
  const { resource } = await define(change);
  return (resource("technicia-n8n-service").inputs as unknown as Inputs).taskSpec.containerSpec.env;
}

describe("N8n", () => {
  it("keeps its data in SQLite and runs code itself by default", async () => {
    const environment = await environmentOf();

    expect(environment).toMatchObject({ DB_TYPE: "sqlite", N8N_RUNNERS_MODE: "internal" });
    expect(Object.keys(environment).filter((name) => /POSTGRES|RUNNERS_(AUTH|BROKER)/.test(name))).toEqual(
      [],
    );
  });

  it("changes before its runners, whom it refuses with a token that it does not have yet", async () => {
    const { waitsFor } = await define({ runners });

    expect(waitsFor("technicia-n8n-runners-service", "technicia-n8n-service")).toBe(true);
  });

  it("uses PostgreSQL and separate runners when it has them, with their secrets from files", async () => {
    expect(await environmentOf({ database: postgres, runners })).toMatchObject({
      DB_TYPE: "postgresdb",
      DB_POSTGRESDB_HOST: "postgres",
      DB_POSTGRESDB_DATABASE: "n8n",
      DB_POSTGRESDB_USER: "n8n",
      DB_POSTGRESDB_PASSWORD_FILE: "/run/secrets/postgres_password",
      N8N_RUNNERS_MODE: "external",
      N8N_RUNNERS_AUTH_TOKEN_FILE: "/run/secrets/n8n_runners_token",
      N8N_RUNNERS_BROKER_LISTEN_ADDRESS: "0.0.0.0",
    });
  });

  it("reads its keys from files, and has no secret in its environment", async () => {
    const environment = await environmentOf({ database: postgres, runners });

    expect(environment).toMatchObject({
      N8N_ENCRYPTION_KEY_FILE: "/run/secrets/n8n_encryption_key",
      N8N_USER_MANAGEMENT_JWT_SECRET_FILE: "/run/secrets/n8n_jwt_secret",
    });
    const secrets = Object.keys(environment).filter((name) => /(KEY|SECRET|PASSWORD|TOKEN)(_|$)/.test(name));
    expect(secrets.filter((name) => !name.endsWith("_FILE"))).toEqual([]);
  });

  it("gives webhooks the public address, under the name of each version", async () => {
    expect(
      await environmentOf({ domain: "autre.exemple.fr", editorUrl: "https://n8n.exemple.fr/" }),
    ).toMatchObject({
      N8N_WEBHOOK_URL: "https://autre.exemple.fr/",
      WEBHOOK_URL: "https://autre.exemple.fr/",
      N8N_HOST: "autre.exemple.fr",
      N8N_EDITOR_BASE_URL: "https://n8n.exemple.fr/",
      N8N_PROXY_HOPS: "1",
      N8N_SECURE_COOKIE: "true",
    });
  });

  it("lets Safari sign in through the tunnel when the editor is not public", async () => {
    expect(await environmentOf({ editorUrl: "http://localhost:5678/" })).toMatchObject({
      N8N_SECURE_COOKIE: "false",
    });
  });

  it("calls nobody by itself, has no interface that nothing uses, and logs lines that programs read", async () => {
    expect(await environmentOf()).toMatchObject({
      N8N_AI_GATEWAY_ENABLED: "false",
      N8N_DYNAMIC_BANNERS_ENABLED: "false",
      N8N_METRICS: "false",
      N8N_METRICS_INCLUDE_MESSAGE_EVENT_BUS_METRICS: "false",
      N8N_PUBLIC_API_DISABLED: "true",
      N8N_RESTRICT_FILE_ACCESS_TO: "/home/node/.n8n-files",
      N8N_LOG_FORMAT: "json",
    });
  });

  it("counts the executions that fail, where the monitoring asks it for numbers", async () => {
    expect(await environmentOf({ metrics: true })).toMatchObject({
      N8N_METRICS: "true",
      N8N_METRICS_INCLUDE_MESSAGE_EVENT_BUS_METRICS: "true",
    });
  });

  it("bounds uploads and executions, and deletes old executions", async () => {
    expect(await environmentOf({ uploadMaxMib: 150, executionSeconds: 900 })).toMatchObject({
      N8N_PAYLOAD_SIZE_MAX: "150",
      N8N_FORMDATA_FILE_SIZE_MAX: "150",
      EXECUTIONS_TIMEOUT: "900",
      EXECUTIONS_TIMEOUT_MAX: "900",
      EXECUTIONS_DATA_PRUNE: "true",
      N8N_CONCURRENCY_PRODUCTION_LIMIT: "10",
    });
  });

  it("limits how many executions run at once, but not where n8n loses the places of those that waited", async () => {
    const limitOf = async (image: string) =>
      (await environmentOf({ image }))["N8N_CONCURRENCY_PRODUCTION_LIMIT"];
    for (const image of ["n8nio/n8n:2.10.0", "n8nio/n8n:2.41.3", `n8nio/n8n@sha256:${"1".repeat(64)}`])
      expect(await limitOf(image), image).toBe("10");
    for (const image of ["n8nio/n8n:1.123.5", "n8nio/n8n:2.3.6", `n8nio/n8n:2.9.4@sha256:${"1".repeat(64)}`])
      expect(await limitOf(image), image).toBe("-1");
  });

  it("keeps workflows away from the system and from hosts that are not named", async () => {
    const environment = await environmentOf({ internalHosts: ["qdrant", "technicia-qdrant"] });

    expect(environment).toMatchObject({
      N8N_BLOCK_ENV_ACCESS_IN_NODE: "true",
      N8N_SSRF_PROTECTION_ENABLED: "true",
      N8N_SSRF_ALLOWED_HOSTNAMES: "qdrant,technicia-qdrant",
      N8N_UNVERIFIED_PACKAGES_ENABLED: "false",
      N8N_ENFORCE_SETTINGS_FILE_PERMISSIONS: "true",
      N8N_PUBLIC_API_SWAGGERUI_DISABLED: "true",
      N8N_DIAGNOSTICS_ENABLED: "false",
    });
    expect(JSON.parse(environment["NODES_EXCLUDE"] ?? "")).toEqual(
      ["executeCommand", "localFileTrigger", "ssh"].map((node) => `n8n-nodes-base.${node}`),
    );
  });

  it("sets no variable that n8n reports as deprecated, except the older name of its address", async () => {
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

  it("is ready once its database is migrated, has 40 s to end executions, and never runs twice", async () => {
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
  ])("waits for n8n within one health check when n8n is ready $ready", async ({ tries, expected }) => {
    const { resource } = await define();
    const { taskSpec } = resource("technicia-n8n-service").inputs as {
      taskSpec: { containerSpec: { healthcheck: { tests: string[] } } };
    };
    const [, command = ""] = taskSpec.containerSpec.healthcheck.tests;
    // In place of the image's wget and the pause of a second.
    const given = `n=0; wget() { n=$((n + 1)); [ $n -ge ${tries} ]; }; sleep() { :; }; trap 'echo $n' EXIT`;

    const { code, stdout } = await tryRun(["sh", "-c", `${given}\n${command}`]);

    expect({ code, asked: Number(stdout) }).toEqual({ code: expected, asked: Math.min(tries, 4) });
  });

  it("answers to both names, and joins the data network only when it has a database server", async () => {
    const aliases = ["n8n", "technicia-n8n"];
    const met = [
      { id: "id-of-technicia-edge", aliases },
      { id: "id-of-technicia-app", aliases },
    ];
    const networks = async (change: Change) => {
      const { resource } = await define(change);
      const { taskSpec } = resource("technicia-n8n-service").inputs as { taskSpec: Record<string, unknown> };
      return taskSpec["networksAdvanceds"];
    };

    expect(await networks({})).toEqual(met);
    expect(await networks({ database: postgres })).toEqual([
      ...met,
      { id: "id-of-technicia-data", aliases: [] },
    ]);
    expect(await networks({ runners })).toEqual([
      ...met,
      { id: "id-of-technicia-runners", aliases: ["n8n"] },
    ]);
  });

  it("mounts every secret as a file that its own user owns", async () => {
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

  it.each([true, false])(
    "protects and retains its volume when data are protected: %s",
    async (protectData) => {
      const { resource } = await define({ protectData });

      expect(resource("technicia-n8n-data")).toMatchObject({
        protect: protectData,
        retainOnDelete: protectData,
      });
    },
  );
});

describe("N8n's runners", () => {
  it("are a separate service with the same token, on a network of their own with n8n", async () => {
    const { resource } = await define({ runners });

    expect(resource("technicia-n8n-runners-service").inputs).toMatchObject({
      name: "technicia-n8n-runners",
      taskSpec: {
        containerSpec: {
          image: "n8nio/runners:2.41.3",
          env: {
            N8N_RUNNERS_TASK_BROKER_URI: "http://n8n:5679",
            N8N_RUNNERS_AUTH_TOKEN_FILE: "/run/secrets/n8n_runners_token",
            N8N_RUNNERS_TASK_TIMEOUT: "300",
            GENERIC_TIMEZONE: "Europe/Paris",
          },
          healthcheck: { tests: ["CMD-SHELL", "wget -q -O /dev/null http://127.0.0.1:5680/healthz"] },
          readOnly: true,
        },
        networksAdvanceds: [{ id: "id-of-technicia-runners", aliases: [] }],
      },
      updateConfig: { order: "start-first" },
    });
  });

  it("do not exist when n8n runs code itself", async () => {
    const { ofType } = await define();

    expect(ofType("docker:index/service:Service").map(({ name }) => name)).toEqual(["technicia-n8n-service"]);
  });
});

describe("createN8nOwner", () => {
  const define = () =>
    register(() => {
      const owner = {
        firstName: "Ada",
        lastName: "Lovelace",
        password: pulumi.secret("canary-of-the-owner"),
        email: "o'brien@exemple.fr",
      };
      createN8nOwner("n8n-owner", owner, { provider: new technicia.Connection("host", {}) });
    });

  it("passes the whole account as one secret, its keys in a fixed order", async () => {
    const { resource } = await define();
    const { secrets } = resource("n8n-owner").inputs as { secrets: { OWNER: Sealed } };

    expect(secrets).toEqual({ OWNER: expect.any(Sealed) as Sealed });
    expect(secrets.OWNER.value).toBe(
      '{"email":"o\'brien@exemple.fr","firstName":"Ada","lastName":"Lovelace","password":"canary-of-the-owner"}',
    );
  });

  it("calls n8n on the server's loopback as a browser would, and sends the account on standard input", async () => {
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

describe("n8n's public API", () => {
  it("is on only for the commands that call it", async () => {
    const apiOf = async (change: Change) => {
      const { resource } = await define(change);
      const { taskSpec } = resource("technicia-n8n-service").inputs as {
        taskSpec: { containerSpec: { env: Record<string, string> } };
      };
      return taskSpec.containerSpec.env["N8N_PUBLIC_API_DISABLED"];
    };

    expect([await apiOf({ publicApi: true }), await apiOf({ publicApi: false }), await apiOf({})]).toEqual([
      ...["false", "true", "true"],
    ]);
  });
});

describe("n8n's service", () => {
  it("changes only after what it is told to wait for", async () => {
    const registered = await define({
      after: pulumi.output(
        (async () => {
          // Whatever does not wait has been registered by then.
          for (let round = 0; round < 500; round++) await new Promise((resolve) => setImmediate(resolve));
          const held = new docker.Volume("held", {}, { provider: new docker.Provider("other", {}) });
          await new Promise((resolve) => setImmediate(resolve));
          return held;
        })(),
      ),
    });
    const names = registered.registrations.map(({ name }) => name);

    expect(names.indexOf("technicia-n8n-service")).toBeGreaterThan(names.indexOf("held"));
    expect(names.indexOf("held")).toBeGreaterThan(names.indexOf("technicia-n8n-data"));
  });
});
