import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";

import { Qdrant, type QdrantArgs } from "../../components/qdrant.ts";
import { register, Sealed } from "../support/engine.ts";

function define(change: Partial<QdrantArgs> = {}) {
  return register(() => {
    const provider = new docker.Provider("host", {});
    return new Qdrant(
      "technicia-qdrant",
      {
        image: "qdrant/qdrant:v1.19.0-unprivileged",
        limits: { memoryMib: 2048, cpus: 2 },
        network: new docker.Network("technicia-data", { name: "technicia-data" }, { provider }),
        apiKey: pulumi.secret("canary-of-qdrant"),
        protectData: true,
        convergenceSeconds: 300,
        observationSeconds: 10,
        ...change,
      },
      { provider },
    );
  });
}

const READY =
  "exec 3<>/dev/tcp/127.0.0.1/6333 && printf 'GET /readyz HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && grep -q ' 200 ' <&3";

describe("Qdrant", () => {
  it("takes two keys while its callers change from one to the other", async () => {
    const { resource } = await define({ otherApiKey: pulumi.secret("canary-of-the-other") });
    const file = { service: { api_key: "canary-of-qdrant", alt_api_key: "canary-of-the-other" } };

    expect(resource("technicia-qdrant-production").inputs).toEqual({
      data: new Sealed(Buffer.from(JSON.stringify(file)).toString("base64")),
    });
  });

  it("runs the server as PID 1 on its own volumes, and is ready when /readyz answers", async () => {
    const { resource } = await define();

    expect(resource("technicia-qdrant-service").inputs).toMatchObject({
      name: "technicia-qdrant",
      taskSpec: {
        containerSpec: {
          image: "qdrant/qdrant:v1.19.0-unprivileged",
          commands: ["./qdrant"],
          env: {
            QDRANT__TELEMETRY_DISABLED: "true",
            QDRANT__LOG_LEVEL: "INFO",
            QDRANT__SERVICE__ENABLE_CORS: "false",
            QDRANT__SERVICE__ENABLE_SNAPSHOT_URL_RECOVERY: "false",
            QDRANT__STORAGE__SNAPSHOTS_PATH: "/qdrant/snapshots",
            QDRANT_INIT_FILE_PATH: "/qdrant/storage/.qdrant-initialized",
          },
          readOnly: true,
          healthcheck: { tests: ["CMD", "bash", "-c", READY] },
          mounts: [
            {
              type: "volume",
              source: "technicia-qdrant-storage",
              target: "/qdrant/storage",
              readOnly: false,
            },
            {
              type: "volume",
              source: "technicia-qdrant-snapshots",
              target: "/qdrant/snapshots",
              readOnly: false,
            },
            { type: "tmpfs", target: "/tmp", readOnly: false },
          ],
        },
      },
    });
  });

  it("has a minute to flush, and never runs two servers on one storage", async () => {
    const { resource } = await define();

    expect(resource("technicia-qdrant-service").inputs).toMatchObject({
      taskSpec: { containerSpec: { stopGracePeriod: "1m" } },
      updateConfig: { order: "stop-first" },
    });
  });

  it("answers to both names on its one network, and publishes no port", async () => {
    const { resource } = await define();

    expect(resource("technicia-qdrant-service").inputs).toMatchObject({
      taskSpec: {
        networksAdvanceds: [{ id: "id-of-technicia-data", aliases: ["qdrant", "technicia-qdrant"] }],
      },
      endpointSpec: { ports: [] },
    });
  });

  it("reads its key from a secret file that its user owns, which docker inspect does not show", async () => {
    const { resource } = await define();
    const file = '{"service":{"api_key":"canary-of-qdrant"}}';

    expect(resource("technicia-qdrant-production").inputs).toEqual({
      data: new Sealed(Buffer.from(file).toString("base64")),
    });
    expect(resource("technicia-qdrant-service").inputs).toMatchObject({
      taskSpec: {
        containerSpec: {
          secrets: [{ fileName: "/qdrant/config/production.yaml", fileUid: "1000", fileMode: 0o400 }],
        },
      },
    });
  });

  it("has no secret when it needs no key", async () => {
    const { ofType } = await register(() => {
      const provider = new docker.Provider("host", {});
      new Qdrant(
        "technicia-qdrant",
        {
          image: "qdrant/qdrant:v1.19.0-unprivileged",
          limits: { memoryMib: 2048, cpus: 2 },
          network: new docker.Network("technicia-data", {}, { provider }),
          protectData: true,
          convergenceSeconds: 300,
          observationSeconds: 10,
        },
        { provider },
      );
    });

    expect(ofType("docker:index/secret:Secret")).toEqual([]);
  });

  it.each([true, false])(
    "protects and retains its volumes when data are protected: %s",
    async (protectData) => {
      const { ofType } = await define({ protectData });

      expect(
        ofType("docker:index/volume:Volume").map(({ name, protect, retainOnDelete }) => ({
          name,
          protect,
          retainOnDelete,
        })),
      ).toEqual([
        { name: "technicia-qdrant-snapshots", protect: protectData, retainOnDelete: protectData },
        { name: "technicia-qdrant-storage", protect: protectData, retainOnDelete: protectData },
      ]);
    },
  );
});
