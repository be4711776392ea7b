import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";

import {
  createDataVolume,
  goDuration,
  Service,
  type ServiceArgs,
  withSecretEnvironment,
} from "../../components/service.ts";
import { register, Sealed, valueOf } from "../support/engine.ts";

const SERVICE = "docker:index/service:Service";

function define(change: Partial<ServiceArgs> = {}) {
  return register(() => {
    const provider = new docker.Provider("host", { host: "ssh://debian@203.0.113.10" });
    const network = new docker.Network("technicia-app", { name: "technicia-app" }, { provider });
    return new Service(
      "technicia-sample",
      {
        image: "technicia/sample:1.0.0",
        limits: { memoryMib: 256, cpus: 0.5 },
        networks: [{ network, aliases: ["sample", "technicia-sample"] }],
        health: ["CMD", "true"],
        convergenceSeconds: 300,
        observationSeconds: 10,
        ...change,
      },
      { provider },
    );
  });
}

/** The parts of a service's inputs that the tests look into. */
interface Inputs {
  readonly taskSpec: {
    readonly containerSpec: Readonly<Record<string, unknown>>;
    readonly resources: { readonly limits: { readonly nanoCpus: number } };
    readonly restartPolicy: unknown;
  };
  readonly endpointSpec: unknown;
  readonly updateConfig: Readonly<Record<string, unknown>>;
  readonly rollbackConfig: Readonly<Record<string, unknown>>;
  readonly convergeConfig: unknown;
}

async function inputsOf(change: Partial<ServiceArgs> = {}): Promise<Inputs> {
  const { resource } = await define(change);
  return resource("technicia-sample-service").inputs as unknown as Inputs;
}

describe("Service", () => {
  it("runs one task of its image, within its limits, without capabilities", async () => {
    expect(await inputsOf()).toMatchObject({
      name: "technicia-sample",
      taskSpec: {
        containerSpec: { image: "technicia/sample:1.0.0", init: true, capDrops: ["ALL"], capAdds: [] },
        networksAdvanceds: [{ id: "id-of-technicia-app", aliases: ["sample", "technicia-sample"] }],
        resources: { limits: { memoryBytes: 256 * 1024 * 1024, nanoCpus: 500_000_000 } },
        logDriver: { name: "json-file", options: { "max-size": "10m", "max-file": "5" } },
      },
      mode: { replicated: { replicas: 1 } },
      endpointSpec: { mode: "dnsrr", ports: [] },
    });
  });

  it("sets every value that the daemon would add, or each refresh would show a difference", async () => {
    const { taskSpec } = await inputsOf();

    expect(taskSpec.containerSpec["healthcheck"]).toEqual({
      tests: ["CMD", "true"],
      interval: "5s",
      timeout: "5s",
      retries: 3,
      startPeriod: "30s",
    });
    expect(taskSpec.containerSpec).toMatchObject({
      readOnly: false,
      stopGracePeriod: "30s",
      mounts: [],
      secrets: [],
    });
    expect(taskSpec.containerSpec).not.toHaveProperty("env");
    expect(taskSpec.restartPolicy).toEqual({ condition: "any", delay: "2s", maxAttempts: 0, window: "0s" });
  });

  it("goes back to the task before when an update fails while it is watched, and then stops", async () => {
    const { updateConfig, rollbackConfig, convergeConfig } = await inputsOf();
    const common = { parallelism: 1, monitor: "10s", maxFailureRatio: "0.0", delay: "0s" };

    expect(updateConfig).toEqual({ ...common, failureAction: "rollback", order: "start-first" });
    expect(rollbackConfig).toEqual({ ...common, failureAction: "pause", order: "start-first" });
    expect(convergeConfig).toMatchObject({ timeout: "5m" });
  });

  it("stays as it is when an update fails and it owns data, which the version before may not be able to read", async () => {
    const { updateConfig, rollbackConfig } = await inputsOf({ ownsData: true });

    expect(updateConfig["failureAction"]).toBe("pause");
    expect(rollbackConfig["failureAction"]).toBe("pause");
  });

  it.each<[string, Partial<ServiceArgs>, string]>([
    ["starts its successor first", {}, "start-first"],
    ["stops first when it owns data that two would write", { ownsData: true }, "stop-first"],
    ["stops first when it publishes ports that two cannot hold", { ports: [80] }, "stop-first"],
  ])("%s, forwards and back", async (_statement, change, order) => {
    const { updateConfig, rollbackConfig } = await inputsOf(change);

    expect(updateConfig["order"]).toBe(order);
    expect(rollbackConfig["order"]).toBe(order);
  });

  it("publishes ports on the host itself, since virtual addresses need IPVS", async () => {
    const { endpointSpec } = await inputsOf({ ports: [80, 443] });
    const host = { protocol: "tcp", publishMode: "host" };

    expect(endpointSpec).toEqual({
      mode: "dnsrr",
      ports: [
        { ...host, targetPort: 80, publishedPort: 80 },
        { ...host, targetPort: 443, publishedPort: 443 },
      ],
    });
  });

  it("keeps the capabilities of its settings and drops all others", async () => {
    const { containerSpec } = (await inputsOf({ capabilities: ["SETUID", "CHOWN"] })).taskSpec;

    expect(containerSpec).toMatchObject({ capDrops: ["ALL"], capAdds: ["CAP_SETUID", "CAP_CHOWN"] });
  });

  it("takes command, arguments, environment, mounts and times from its settings", async () => {
    const { taskSpec } = await inputsOf({
      command: ["nginx"],
      args: ["-g", "daemon off;"],
      environment: { TZ: "UTC" },
      readOnly: true,
      startPeriod: "2m",
      stopGracePeriod: "1m",
      mounts: [
        { type: "volume", source: "data", target: "/data" },
        { type: "bind", source: "/opt", target: "/opt", readOnly: true },
        { type: "tmpfs", target: "/tmp" },
      ],
    });

    expect(taskSpec.containerSpec).toMatchObject({
      commands: ["nginx"],
      args: ["-g", "daemon off;"],
      env: { TZ: "UTC" },
      readOnly: true,
      healthcheck: { startPeriod: "2m" },
      stopGracePeriod: "1m",
      mounts: [
        { type: "volume", source: "data", target: "/data", readOnly: false },
        { type: "bind", source: "/opt", target: "/opt", readOnly: true },
        { type: "tmpfs", target: "/tmp", readOnly: false },
      ],
    });
  });

  it.each([
    [0.05, 50_000_000],
    [0.067, 67_000_000],
    [1.07, 1_070_000_000],
    [2.01, 2_010_000_000],
    [4, 4_000_000_000],
  ])("limits %f cores to a whole number of nanoseconds", async (cpus, nanoCpus) => {
    const { limits } = (await inputsOf({ limits: { memoryMib: 64, cpus } })).taskSpec.resources;

    expect(limits.nanoCpus).toBe(nanoCpus);
  });

  it("is a child of its component, on its component's host", async () => {
    const { resource, ofType } = await define();

    expect(ofType(SERVICE)).toHaveLength(1);
    expect(resource("technicia-sample-service")).toMatchObject({
      parent: "technicia-sample",
      provider: "host",
    });
  });
});

describe("Service with secrets", () => {
  const value = "canary-of-the-sample";
  const withSecrets = {
    uid: 1000,
    secrets: [
      { file: "sample_key", value: pulumi.secret(value) },
      { file: "/etc/sample/production.yaml", value: pulumi.secret(`key: ${value}`) },
    ],
  };
  const encode = (text: string) => Buffer.from(text).toString("base64");

  it("creates Swarm secrets without fixed names, so that a new value exists before the old one is deleted", async () => {
    const { ofType } = await define(withSecrets);

    expect(ofType("docker:index/secret:Secret").map(({ name, inputs }) => [name, inputs])).toEqual([
      ["technicia-sample-production", { data: new Sealed(encode(`key: ${value}`)) }],
      ["technicia-sample-sample-key", { data: new Sealed(encode(value)) }],
    ]);
  });

  it("seals a value that was given in clear", async () => {
    const { resource } = await define({ secrets: [{ file: "sample_key", value }] });

    expect(resource("technicia-sample-sample-key").inputs).toEqual({ data: new Sealed(encode(value)) });
  });

  it("mounts them as files that only its user can read, and holds no value in its inputs", async () => {
    const { resource, waitsFor } = await define(withSecrets);
    const service = resource("technicia-sample-service");
    const common = { fileUid: "1000", fileGid: "1000", fileMode: 0o400 };

    expect(service.inputs).toMatchObject({
      taskSpec: {
        containerSpec: {
          secrets: [
            {
              ...common,
              fileName: "sample_key",
              secretId: "id-of-technicia-sample-sample-key",
              secretName: "technicia-sample-sample-key-1a2b3c4",
            },
            {
              ...common,
              fileName: "/etc/sample/production.yaml",
              secretId: "id-of-technicia-sample-production",
              secretName: "technicia-sample-production-1a2b3c4",
            },
          ],
        },
      },
    });
    expect(JSON.stringify(service.inputs)).not.toMatch(/secret\]|canary/);
    expect(waitsFor("technicia-sample-service", "technicia-sample-sample-key")).toBe(true);
  });
});

describe("Service.revision", () => {
  const revisionOf = async (change: Partial<ServiceArgs> = {}) =>
    valueOf((await define(change)).result.revision);

  it("stays while what runs stays, and changes with the image, the environment or a limit", async () => {
    const first = await revisionOf();

    expect(first).toMatch(/^[0-9a-f]{16}$/);
    expect(await revisionOf({ observationSeconds: 20 })).toBe(first);
    expect(await revisionOf({ image: "technicia/sample:1.0.1" })).not.toBe(first);
    expect(await revisionOf({ environment: { TZ: "UTC" } })).not.toBe(first);
    expect(await revisionOf({ limits: { memoryMib: 512, cpus: 0.5 } })).not.toBe(first);
  });
});

describe("createDataVolume", () => {
  it.each([true, false])("is protected and retained when data are protected: %s", async (protectData) => {
    const { resource } = await register(() => {
      const parent = new pulumi.ComponentResource("test:index:Owner", "owner");
      createDataVolume("owner-data", { protectData }, { parent });
    });

    expect(resource("owner-data")).toMatchObject({
      protect: protectData,
      retainOnDelete: protectData,
      parent: "owner",
    });
  });

  it("has nothing but a name, because any other changed input would replace it with its data", async () => {
    const { resource } = await register(() => {
      const parent = new pulumi.ComponentResource("test:index:Owner", "owner");
      createDataVolume("owner-data", { protectData: true }, { parent });
    });

    expect(resource("owner-data").inputs).toEqual({ name: "owner-data" });
  });
});

describe("withSecretEnvironment", () => {
  it("reads each file into the environment of the process that replaces the shell", () => {
    expect(withSecretEnvironment({ API_KEY: "api_key", TOKEN: "token" }, "serve --port 8000")).toEqual([
      "sh",
      "-ec",
      'API_KEY="$(cat /run/secrets/api_key)"; export API_KEY; TOKEN="$(cat /run/secrets/token)"; export TOKEN; exec serve --port 8000',
    ]);
  });
});

describe("goDuration", () => {
  it.each([
    [0, "0s"],
    [5, "5s"],
    [60, "1m"],
    [90, "1m30s"],
    [300, "5m"],
    [3599, "59m59s"],
    [3600, "1h"],
    [3605, "1h0m5s"],
    [7260, "2h1m"],
  ])("writes %i seconds as the plugin reads them back: %s", (seconds, text) => {
    expect(goDuration(seconds)).toBe(text);
  });
});
