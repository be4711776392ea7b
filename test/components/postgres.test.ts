import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";

import { Postgres } from "../../components/postgres.ts";
import { register, Sealed } from "../support/engine.ts";

const define = (protectData = true) =>
  register(() => {
    const provider = new docker.Provider("host", {});
    new Postgres(
      "technicia-postgres",
      {
        image: "postgres:17.9-bookworm",
        limits: { memoryMib: 384, cpus: 1 },
        network: new docker.Network("technicia-data", {}, { provider }),
        password: pulumi.secret("canary-of-postgres"),
        protectData,
        convergenceSeconds: 300,
        observationSeconds: 10,
      },
      { provider },
    );
  });

describe("Postgres", () => {
  it("keeps one database for n8n in its volume, and is ready when it accepts connections", async () => {
    const { resource } = await define();

    expect(resource("technicia-postgres-service").inputs).toMatchObject({
      taskSpec: {
        containerSpec: {
          image: "postgres:17.9-bookworm",
          env: {
            POSTGRES_DB: "n8n",
            POSTGRES_USER: "n8n",
            POSTGRES_PASSWORD_FILE: "/run/secrets/postgres_password",
            PGDATA: "/var/lib/postgresql/data/pgdata",
          },
          healthcheck: {
            tests: ["CMD-SHELL", "pg_isready --quiet --username n8n --dbname n8n --host 127.0.0.1"],
            startPeriod: "1m",
          },
          capDrops: ["ALL"],
          capAdds: ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_SETGID", "CAP_SETUID"],
          stopGracePeriod: "1m",
          mounts: [
            { source: "technicia-postgres-data", target: "/var/lib/postgresql/data", readOnly: false },
          ],
        },
        networksAdvanceds: [{ id: "id-of-technicia-data", aliases: ["postgres"] }],
      },
      updateConfig: { order: "stop-first" },
      endpointSpec: { ports: [] },
    });
  });

  it("reads its password from a secret", async () => {
    const { resource } = await define();

    expect(resource("technicia-postgres-postgres-password").inputs).toEqual({
      data: new Sealed(Buffer.from("canary-of-postgres").toString("base64")),
    });
  });

  it.each([true, false])(
    "protects and retains its volume when data are protected: %s",
    async (protectData) => {
      const { resource } = await define(protectData);

      expect(resource("technicia-postgres-data")).toMatchObject({
        protect: protectData,
        retainOnDelete: protectData,
      });
    },
  );
});
