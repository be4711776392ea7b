import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";

import { PythonService, type PythonServiceArgs } from "../../components/python-service.ts";
import { register, Sealed } from "../support/engine.ts";

function define(change: Partial<PythonServiceArgs> = {}) {
  return register(() => {
    const provider = new docker.Provider("host", {});
    const networks = ["technicia-edge", "technicia-app"].map(
      (name) => new docker.Network(name, {}, { provider }),
    );
    new PythonService(
      "technicia-vector-store",
      {
        image: "technicia/vector-store:1.0.0",
        limits: { memoryMib: 384, cpus: 1 },
        alias: "vector-store",
        networks,
        convergenceSeconds: 300,
        observationSeconds: 10,
        ...change,
      },
      { provider },
    );
  });
}

const encode = (text: string) => Buffer.from(text).toString("base64");

describe("PythonService", () => {
  it("serves on port 8000 inside, read-only but for /tmp, with start-first updates", async () => {
    const { resource } = await define({ environment: { QDRANT_HOST: "qdrant" } });

    expect(resource("technicia-vector-store-service").inputs).toMatchObject({
      name: "technicia-vector-store",
      taskSpec: {
        containerSpec: {
          image: "technicia/vector-store:1.0.0",
          env: { QDRANT_HOST: "qdrant" },
          user: "10001:10001",
          readOnly: true,
          capDrops: ["ALL"],
          capAdds: [],
          mounts: [{ type: "tmpfs", target: "/tmp", readOnly: false }],
          healthcheck: {
            tests: [
              "CMD",
              "python3",
              "-c",
              'import urllib.request as r; r.urlopen("http://127.0.0.1:8000/health", timeout=4)',
            ],
          },
        },
      },
      endpointSpec: { ports: [] },
      updateConfig: { order: "start-first" },
    });
  });

  it("answers to both spellings of its name on every network", async () => {
    const { resource } = await define();
    const aliases = ["vector-store", "technicia-vector-store"];

    expect(resource("technicia-vector-store-service").inputs).toMatchObject({
      taskSpec: {
        networksAdvanceds: [
          { id: "id-of-technicia-edge", aliases },
          { id: "id-of-technicia-app", aliases },
        ],
      },
    });
  });

  it("reads its keys from secret files when it starts, and names only the files in its inputs", async () => {
    const { resource } = await define({
      secretEnvironment: { VOYAGE_API_KEY: pulumi.secret("canary-of-voyage") },
      secretFiles: [{ file: "google_credentials", value: pulumi.secret("canary-of-google") }],
    });
    const service = resource("technicia-vector-store-service");

    expect(service.inputs).toMatchObject({
      taskSpec: {
        containerSpec: {
          env: {},
          commands: [
            "sh",
            "-ec",
            'VOYAGE_API_KEY="$(cat /run/secrets/voyage_api_key)"; export VOYAGE_API_KEY; exec uvicorn main:app --host 0.0.0.0 --port 8000',
          ],
          secrets: [{ fileName: "voyage_api_key" }, { fileName: "google_credentials" }],
        },
      },
    });
    expect(JSON.stringify(service.inputs)).not.toContain("canary");
    expect(resource("technicia-vector-store-voyage-api-key").inputs).toEqual({
      data: new Sealed(encode("canary-of-voyage")),
    });
    expect(resource("technicia-vector-store-google-credentials").inputs).toEqual({
      data: new Sealed(encode("canary-of-google")),
    });
  });

  it("runs without any secret", async () => {
    const { resource, ofType } = await define();

    expect(ofType("docker:index/secret:Secret")).toEqual([]);
    expect(resource("technicia-vector-store-service").inputs).toMatchObject({
      taskSpec: {
        containerSpec: { commands: ["sh", "-ec", " exec uvicorn main:app --host 0.0.0.0 --port 8000"] },
      },
    });
  });
});
