import * as docker from "@pulumi/docker";
import { describe, expect, it } from "vitest";

import { renderGateway } from "../../components/gateway-config.ts";
import { Gateway, type GatewayArgs } from "../../components/gateway.ts";
import * as technicia from "../../provider/resources.ts";
import { register, Sealed } from "../support/engine.ts";
import { gatewayConfig } from "../support/gateway.ts";

const config = gatewayConfig({ hsts: true });

const define = (change: Partial<GatewayArgs> = {}) =>
  register(() => {
    const provider = new docker.Provider("docker", {});
    new Gateway(
      "technicia-gateway",
      {
        image: "nginx:1.30.4-alpine",
        limits: { memoryMib: 256, cpus: 0.5 },
        host: new technicia.Connection("host", {}),
        networks: [new docker.Network("technicia-edge", {}, { provider })],
        config,
        n8nOwner: new docker.Volume("owner", {}, { provider }),
        convergenceSeconds: 300,
        observationSeconds: 10,
        ...change,
      },
      { provider },
    );
  });

describe("Gateway", () => {
  it("publishes 80 and 443 and no other port, so that it stops before its successor starts", async () => {
    const { resource } = await define();
    const host = { protocol: "tcp", publishMode: "host" };

    expect(resource("technicia-gateway-service").inputs).toMatchObject({
      endpointSpec: {
        mode: "dnsrr",
        ports: [
          { ...host, targetPort: 80, publishedPort: 80 },
          { ...host, targetPort: 443, publishedPort: 443 },
        ],
      },
      updateConfig: { order: "stop-first" },
    });
  });

  it("mounts its files read-only and writes to memory only", async () => {
    const { resource } = await define();

    expect(resource("technicia-gateway-service").inputs).toMatchObject({
      taskSpec: {
        containerSpec: {
          image: "nginx:1.30.4-alpine",
          commands: ["nginx", "-c", "/etc/nginx/technicia/nginx.conf", "-g", "daemon off;"],
          readOnly: true,
          mounts: [
            {
              type: "bind",
              source: "/opt/technicia/gateway",
              target: "/etc/nginx/technicia",
              readOnly: true,
            },
            { type: "bind", source: "/opt/technicia/acme", target: "/var/www/acme", readOnly: true },
            { type: "tmpfs", target: "/run" },
            { type: "tmpfs", target: "/var/cache/nginx" },
            { type: "tmpfs", target: "/tmp" },
          ],
          capDrops: ["ALL"],
          capAdds: ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_NET_BIND_SERVICE", "CAP_SETGID", "CAP_SETUID"],
          healthcheck: { tests: ["CMD-SHELL", "wget -q -O /dev/null http://127.0.0.1/gateway-health"] },
        },
      },
    });
  });

  it("has its own image check the configuration, then reloads", async () => {
    const { resource } = await define();

    expect(resource("technicia-gateway-configuration").inputs).toEqual({
      path: "/opt/technicia/gateway/nginx.conf",
      content: renderGateway(config),
      validate:
        'docker run --rm --network none --volume /opt/technicia/gateway:/etc/nginx/technicia:ro \'nginx:1.30.4-alpine\' nginx -t -q -c "/etc/nginx/technicia/$(basename "$FILE")"',
      onChange: "/opt/technicia/bin/gateway-reload",
    });
  });

  it("has a certificate before its configuration is checked, and a configuration before it starts", async () => {
    const { waitsFor } = await define();

    expect(waitsFor("technicia-gateway-placeholder", "technicia-gateway-directories")).toBe(true);
    expect(waitsFor("technicia-gateway-configuration", "technicia-gateway-placeholder")).toBe(true);
    expect(waitsFor("technicia-gateway-configuration", "technicia-gateway-reload")).toBe(true);
    expect(waitsFor("technicia-gateway-service", "technicia-gateway-configuration")).toBe(true);
  });

  it("routes to n8n once n8n has an owner and the gateway runs, and then reloads", async () => {
    const { resource, waitsFor } = await define();

    expect(resource("technicia-gateway-n8n-route").inputs).toEqual({
      path: "/opt/technicia/gateway/routes/n8n.conf",
      content: "default n8n:5678;\n",
      onChange: "/opt/technicia/bin/gateway-reload",
    });
    expect(waitsFor("technicia-gateway-n8n-route", "owner")).toBe(true);
    expect(waitsFor("technicia-gateway-n8n-route", "technicia-gateway-service")).toBe(true);
    expect(waitsFor("technicia-gateway-service", "owner")).toBe(false);
  });

  it("lets only root read the private key, and leaves an existing certificate alone", async () => {
    const { resource } = await define();

    expect(resource("technicia-gateway-directories").inputs["desired"]).toBe(
      "/opt/technicia/gateway/tls 700\n/opt/technicia/acme 755",
    );
    expect(resource("technicia-gateway-placeholder").inputs).toMatchObject({
      desired: "present",
      variables: { TLS: "/opt/technicia/gateway/tls", DOMAIN: "technicia.exemple.fr" },
    });
    expect(resource("technicia-gateway-placeholder").inputs["remove"]).toBeUndefined();
  });

  it("has the folder of the log store's socket before it starts with monitoring, and knows none without", async () => {
    const { resource, waitsFor } = await define({ config: { ...config, monitoring: { neighbours: [] } } });
    const { taskSpec } = resource("technicia-gateway-service").inputs as {
      taskSpec: { containerSpec: { mounts: object[] } };
    };

    expect(resource("technicia-gateway-socket-folder").inputs).toMatchObject({
      desired: "2750 0:101",
      variables: { FOLDER: "/opt/technicia/monitoring/socket", GROUP: "101" },
    });
    expect(waitsFor("technicia-gateway-service", "technicia-gateway-socket-folder")).toBe(true);
    expect(taskSpec.containerSpec.mounts).toContainEqual({
      type: "bind",
      source: "/opt/technicia/monitoring/socket",
      target: "/run/technicia",
      readOnly: true,
    });
    expect((await define()).registrations.map(({ name }) => name).join()).not.toContain("socket");
  });

  it("keeps the neighbours' token in a file that only root reads, before a configuration that includes it", async () => {
    const { resource, waitsFor } = await define({
      config: { ...config, monitoring: { neighbours: ["prod"] } },
      neighbourTokens: ["t".repeat(32)],
    });
    const { content, ...rest } = resource("technicia-gateway-neighbour-token").inputs;

    expect(content).toEqual(new Sealed(`"~^Bearer ${"t".repeat(32)}$" 1;\n`));
    expect(rest).toEqual({
      path: "/opt/technicia/gateway/neighbours/token.conf",
      mode: "0400",
      onChange: "/opt/technicia/bin/gateway-reload",
    });
    expect(waitsFor("technicia-gateway-configuration", "technicia-gateway-neighbour-token")).toBe(true);
    expect(resource("technicia-gateway-configuration").inputs["content"]).not.toContain("tttt");
  });

  it("has the program that holds requests before the configuration that runs it, and neither where nothing is held", async () => {
    const hold = { maxSeconds: 45, drainSeconds: 15, exclude: [] };
    const { resource, waitsFor } = await define({ config: { ...config, hold } });
    const { content, ...script } = resource("technicia-gateway-hold").inputs;

    expect(resource("technicia-gateway-hold-program").inputs).toMatchObject({
      path: "/opt/technicia/gateway/hold.js",
      onChange: "/opt/technicia/bin/gateway-reload",
    });
    expect(script).toMatchObject({ path: "/opt/technicia/bin/gateway-hold", mode: "0755" });
    expect(content).toContain("\nset -euo pipefail\nMAX_SECONDS=45 DRAIN_SECONDS=15 PORT=8081\n");
    for (const name of ["technicia-gateway-hold", "technicia-gateway-hold-program"])
      expect(waitsFor("technicia-gateway-configuration", name), name).toBe(true);
    expect((await define()).registrations.map(({ name }) => name).join()).not.toContain("gateway-hold");
  });

  it("is handed over before another task takes its place, and back after it", async () => {
    const { resource, waitsFor } = await define();
    const [begin, end, service] = ["handover-begin", "handover-end", "service"].map(
      (name) => `technicia-gateway-${name}`,
    ) as [string, string, string];
    const revisionOf = async (change: Partial<GatewayArgs>) =>
      (await define(change)).resource(begin).inputs["desired"];

    expect(waitsFor(begin, "technicia-gateway-configuration")).toBe(true);
    expect(waitsFor(service, begin)).toBe(true);
    expect(waitsFor(end, service)).toBe(true);
    expect(resource(begin).inputs["desired"]).toMatch(/^[0-9a-f]{16}$/);
    expect(resource(end).inputs).toMatchObject({
      // How often it was begun: an update that is killed after a beginning leaves this number, and not that revision, as its end knew it.
      variables: { REVISION: resource(begin).inputs["desired"], BEGUN: "1" },
    });
    const usual = await revisionOf({});
    expect(await revisionOf({ limits: { memoryMib: 128, cpus: 0.5 } })).not.toBe(usual);
    expect(await revisionOf({ image: "nginx:1.30.5-alpine" })).not.toBe(usual);
    // The configuration is reloaded, by the same task.
    expect(await revisionOf({ config: { ...config, uploadMaxMib: 100 } })).toBe(usual);
    expect(await revisionOf({ observationSeconds: 20 })).toBe(usual);
  });

  it("writes its files through the host's connection", async () => {
    const { ofType } = await define();
    const onHost = [...ofType("technicia:host:File"), ...ofType("technicia:host:State")];

    expect(onHost.map(({ name, provider }) => [name, provider])).toEqual([
      ["technicia-gateway-configuration", "host"],
      ["technicia-gateway-handover-program", "host"],
      ["technicia-gateway-n8n-route", "host"],
      ["technicia-gateway-reload", "host"],
      ["technicia-gateway-directories", "host"],
      ["technicia-gateway-handover-begin", "host"],
      ["technicia-gateway-handover-end", "host"],
      ["technicia-gateway-placeholder", "host"],
    ]);
  });
});
