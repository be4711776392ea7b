import { request } from "node:http";
import { join } from "node:path";

import * as docker from "@pulumi/docker";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { Tunnel } from "../../components/tunnel.ts";
import * as technicia from "../../provider/resources.ts";
import { createNetwork, docker as run, imageOf, type TestNetwork } from "../support/containers.ts";
import { register } from "../support/engine.ts";
import { createStage, type Stage, untilServing } from "./nginx.ts";

interface Inputs {
  readonly command: readonly string[];
  readonly tmpfs: Readonly<Record<string, string>>;
  readonly capabilities: { readonly drops: readonly string[]; readonly adds: readonly string[] };
  readonly volumes: readonly { readonly containerPath: string }[];
}

let stage: Stage;
/** Where the published ports come in: it is none of the networks of the services. */
let outside: TestNetwork;
let tunnel: string;

/** Starts nginx with exactly the rights that the component registers. */
beforeAll(async () => {
  stage = await createStage({ services: ["n8n", "qdrant"] });
  outside = await createNetwork();
  const { resource } = await register(() => {
    const provider = new docker.Provider("docker", {});
    const networks = [{ network: new docker.Network("edge", {}, { provider }) }];
    const host = new technicia.Connection("host", {});
    const ports = { 5678: "n8n:5678", 6333: "qdrant:80" };
    const refusedRange = stage.network.subnet;
    new Tunnel("tunnel", { image: "nginx", host, networks, refusedRange, ports }, { provider });
  });
  const container = resource("tunnel").inputs as unknown as Inputs;
  const configuration = resource("tunnel-configuration").inputs as { content: string };

  await stage.write("tunnel/nginx.conf", configuration.content);
  tunnel = await outside.start("tunnel", [
    ...["--init", "--read-only", "--security-opt", "no-new-privileges:true"],
    ...Object.keys(container.tmpfs).flatMap((path) => ["--tmpfs", path]),
    ...container.capabilities.drops.flatMap((capability) => ["--cap-drop", capability]),
    ...container.capabilities.adds.flatMap((capability) => ["--cap-add", capability]),
    ...container.volumes.flatMap(({ containerPath }) => [
      "--volume",
      `${join(stage.folder, "tunnel")}:${containerPath}:ro`,
    ]),
    ...[await imageOf("nginx"), ...container.command],
  ]);
  await run("network", "connect", stage.network.name, `${outside.name}-tunnel`);
  await untilServing(() => ask(5678, "/")).catch(async (error: unknown) => {
    throw new Error(await outside.logs("tunnel"), { cause: error });
  });
});

afterAll(async () => {
  await outside.remove();
  await stage.remove();
});

/** As a browser at the end of an ssh tunnel asks, unless it is told another name. */
function ask(
  port: number,
  path: string,
  { host = `localhost:${port}`, body }: { readonly host?: string; readonly body?: Buffer } = {},
): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const method = body === undefined ? "GET" : "POST";
    const sent = request(
      { host: tunnel, port, path, method, headers: { host }, agent: false },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
      },
    );
    sent.on("error", reject);
    sent.end(body);
  });
}

describe("Tunnel, started", () => {
  it.each([
    [5678, "5678 GET /rest/settings?x=1"],
    [6333, "80 GET /rest/settings?x=1"],
  ])("forwards port %i to the service behind it", async (port, text) => {
    expect(await ask(port, "/rest/settings?x=1")).toEqual({ status: 200, text });
    expect(await ask(port, "/rest/settings?x=1", { host: `127.0.0.1:${port}` })).toEqual({
      status: 200,
      text,
    });
  });

  it("passes the address on as the browser wrote it, with its port", async () => {
    const { text } = await ask(5678, "/webhook/headers", { host: "localhost:5678" });

    expect(text).toMatch(/^localhost:5678\|localhost:5678\|http\|/);
  });

  it("accepts bodies larger than its memory limit", async () => {
    const body = Buffer.alloc(32 * 1024 * 1024);

    expect((await ask(6333, "/collections/technicia/snapshots/upload", { body })).status).toBe(200);
  });

  it.each([
    "attacker.example",
    "attacker.example:6333",
    "localhost.attacker.example",
    "technicia-tunnel:6333",
    "",
  ])("refuses a page whose name leads to the loopback: %s", async (host) => {
    expect((await ask(6333, "/collections", { host })).status).toBeGreaterThanOrEqual(400);
    expect((await ask(5678, "/rest/settings", { host })).status).toBeGreaterThanOrEqual(400);
  });

  it.each([5678, 6333])("refuses port %i to a container that shares a network with it", async (port) => {
    const inspect = `{{(index .NetworkSettings.Networks "${stage.network.name}").IPAddress}}`;
    const address = await run("inspect", "--format", inspect, `${outside.name}-tunnel`);
    const asked = `wget -q -O - --header "Host: localhost" http://${address}:${port}/collections 2>&1 || true`;

    const text = await run("exec", `${stage.network.name}-services`, "sh", "-c", asked);

    expect(text).toContain("403");
    expect(text).not.toContain("/collections");
  });
});
