import { describe, expect, it } from "vitest";

import { NOTHING_EXTRA } from "../../common/nothing-extra.ts";
import { describeInApi, type DeclaredService } from "../../components/service-spec.ts";
import { DECLARED } from "../../stacks/declared.ts";
import { deploy, everything } from "../support/technicia.ts";

describe("describeInApi", () => {
  it("writes names, durations and lists as Docker's API has them", () => {
    const service = {
      name: "technicia-sample",
      taskSpec: {
        containerSpec: {
          image: "sample@sha256:1",
          env: { A: "1" },
          healthcheck: {
            tests: ["CMD", "true"],
            interval: "5s",
            timeout: "1m30s",
            retries: 3,
            startPeriod: "30s",
          },
          capDrops: ["ALL"],
          stopGracePeriod: "2m",
          mounts: [{ type: "volume", source: "data", target: "/data", readOnly: false }],
          secrets: [
            { secretId: "i", secretName: "n", fileName: "f", fileUid: "0", fileGid: "0", fileMode: 0o400 },
          ],
        },
        networksAdvanceds: [{ id: "net", aliases: ["sample"] }],
        resources: { limits: { memoryBytes: 1024, nanoCpus: 5 } },
        restartPolicy: { condition: "any", delay: "2s", maxAttempts: 0, window: "0s" },
      },
      updateConfig: { monitor: "10s", maxFailureRatio: "0.0", order: "stop-first" },
      endpointSpec: { mode: "dnsrr", ports: [{ targetPort: 80, publishedPort: 80, publishMode: "host" }] },
    } as unknown as DeclaredService;

    expect(describeInApi(service)).toEqual({
      Name: "technicia-sample",
      TaskTemplate: {
        ContainerSpec: {
          Image: "sample@sha256:1",
          Env: ["A=1"],
          Healthcheck: { Test: ["CMD", "true"], Interval: 5e9, Timeout: 90e9, Retries: 3, StartPeriod: 30e9 },
          CapabilityDrop: ["ALL"],
          StopGracePeriod: 120e9,
          Mounts: [{ Type: "volume", Source: "data", Target: "/data", ReadOnly: false }],
          Secrets: [{ SecretID: "i", SecretName: "n", File: { Name: "f", UID: "0", GID: "0", Mode: 0o400 } }],
        },
        Networks: [{ Target: "net", Aliases: ["sample"] }],
        Resources: { Limits: { MemoryBytes: 1024, NanoCPUs: 5 } },
        RestartPolicy: { Condition: "any", Delay: 2e9, MaxAttempts: 0, Window: 0 },
      },
      UpdateConfig: { Monitor: 10e9, MaxFailureRatio: 0, Order: "stop-first" },
      EndpointSpec: { Mode: "dnsrr", Ports: [{ TargetPort: 80, PublishedPort: 80, PublishMode: "host" }] },
    });
  });

  it("refuses a field that it does not know, because it would count as one that nobody declared", () => {
    const service = { name: "a", taskSpec: { containerSpec: { image: "a", tty: true } } };

    expect(() => describeInApi(service as unknown as DeclaredService)).toThrow(/^tty: expected a row/);
  });
});

describe("the comparison of services", () => {
  it("knows every service of the program, and waits for all", async () => {
    const { resource } = await deploy(everything);
    const { inputs, dependencies } = resource("extra-specs");
    const { SPECS = "" } = inputs["variables"] as Record<string, string>;
    const names = (JSON.parse(SPECS) as { Name: string }[]).map(({ Name }) => Name);

    expect(names.sort()).toEqual([...DECLARED.services].sort());
    expect(inputs["desired"]).toBe(NOTHING_EXTRA);
    expect(dependencies.filter((urn) => urn.includes("docker:index/service:Service"))).toHaveLength(
      names.length,
    );
  });
});
