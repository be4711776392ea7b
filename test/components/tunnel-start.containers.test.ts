import { join } from "node:path";

import * as docker from "@pulumi/docker";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { Tunnel } from "../../components/tunnel.ts";
import * as technicia from "../../provider/resources.ts";
import { imageOf } from "../support/containers.ts";
import { register } from "../support/engine.ts";
import { createStage, type Stage, untilServing } from "./nginx.ts";

interface Inputs {
  readonly command: readonly string[];
  readonly tmpfs: Readonly<Record<string, string>>;
  readonly capabilities: { readonly drops: readonly string[]; readonly adds: readonly string[] };
  readonly volumes: readonly { readonly containerPath: string }[];
}

let stage: Stage;
let tunnel: string;

/** Starts nginx with exactly the rights that the component registers. */
beforeAll(async () => {
  const { resource } = await register(() => {
    const provider = new docker.Provider("docker", {});
    const networks = [{ network: new docker.Network("edge", {}, { provider }) }];
    const host = new technicia.Connection("host", {});
    const ports = { 5678: "n8n:5678", 6333: "qdrant:80" };
    new Tunnel("tunnel", { image: "nginx", host, networks, ports }, { provider });
  });
  const container = resource("tunnel").inputs as unknown as Inputs;
  const configuration = resource("tunnel-configuration").inputs as { content: string };

  stage = await createStage({ services: ["n8n", "qdrant"] });
  await stage.write("tunnel/nginx.conf", configuration.content);
  const address = await stage.network.start("tunnel", [
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
  tunnel = `http://${address}`;
  await untilServing(() => fetch(`${tunnel}:5678/`)).catch(async (error: unknown) => {
    throw new Error(await stage.network.logs("tunnel"), { cause: error });
  });
});

afterAll(() => stage.remove());

describe("Tunnel, started", () => {
  it.each([
    [5678, "5678 GET /rest/settings?x=1"],
    [6333, "80 GET /rest/settings?x=1"],
  ])("forwards port %i to the service behind it", async (port, body) => {
    const answer = await fetch(`${tunnel}:${port}/rest/settings?x=1`);

    expect(await answer.text()).toBe(body);
  });

  it("passes the address on as the browser wrote it, with its port", async () => {
    const answer = await fetch(`${tunnel}:5678/webhook/headers`);
    const seen = tunnel.replace("http://", "");

    expect(await answer.text()).toMatch(new RegExp(`^${seen}:5678\\|${seen}:5678\\|http\\|`));
  });

  it("accepts bodies larger than its memory limit", async () => {
    const answer = await fetch(`${tunnel}:6333/collections/technicia/snapshots/upload`, {
      method: "POST",
      body: Buffer.alloc(32 * 1024 * 1024),
    });

    expect(answer.status).toBe(200);
  });
});
