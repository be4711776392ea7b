import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import * as docker from "@pulumi/docker";
import { describe, expect, it } from "vitest";

import { tryRun } from "../../common/run.ts";
import { Tunnel } from "../../components/tunnel.ts";
import * as technicia from "../../provider/resources.ts";
import { register } from "../support/engine.ts";

const define = () =>
  register(() => {
    const provider = new docker.Provider("docker", {});
    const networks = ["technicia-edge", "technicia-data"].map((name) => ({
      network: new docker.Network(name, { name }, { provider }),
    }));
    const host = new technicia.Connection("host", {});
    const ports = { 5678: "n8n:5678", 6333: "qdrant:6333" };
    const refusedRange = "172.31.0.0/16";
    new Tunnel(
      "technicia-tunnel",
      { image: "nginx:1.30.4-alpine", host, networks, refusedRange, ports },
      { provider },
    );
  });

const DIRECTORY = { hostPath: "/opt/technicia/tunnel", containerPath: "/etc/nginx/tunnel", readOnly: true };

describe("Tunnel", () => {
  it("is one hardened container that publishes on the loopback only", async () => {
    const { resource } = await define();

    expect(resource("technicia-tunnel").inputs).toMatchObject({
      name: "technicia-tunnel",
      image: "nginx:1.30.4-alpine",
      restart: "always",
      readOnly: true,
      memory: 64,
      memorySwap: 64,
      capabilities: { drops: ["ALL"], adds: ["CAP_CHOWN", "CAP_SETGID", "CAP_SETUID"] },
      securityOpts: ["no-new-privileges:true"],
      logOpts: { "max-size": "10m", "max-file": "5" },
      networksAdvanced: [{ name: "technicia-edge" }, { name: "technicia-data" }],
      ports: [
        { internal: 5678, external: 5678, ip: "127.0.0.1" },
        { internal: 6333, external: 6333, ip: "127.0.0.1" },
      ],
      volumes: [DIRECTORY],
      mustRun: true,
    });
  });

  it("is replaced, the old one first, when an input changes that the plugin would only record", async () => {
    const { resource } = await define();

    expect(resource("technicia-tunnel")).toMatchObject({
      replaceOnChanges: ["tmpfs", "init"],
      deleteBeforeReplace: true,
    });
  });

  it("is started again at boot until it runs, by a unit that stays active", async () => {
    const { resource, waitsFor } = await define();
    const { path, content } = resource("technicia-tunnel-service").inputs as Record<string, string>;

    expect(path).toBe("/etc/systemd/system/technicia-tunnel.service");
    for (const line of [
      "ExecStart=/usr/bin/docker start technicia-tunnel",
      "Restart=on-failure",
      "StartLimitIntervalSec=0",
      "RemainAfterExit=yes",
      "WantedBy=docker.service",
      "PartOf=docker.service",
    ])
      expect(content?.split("\n")).toContain(line);
    expect(resource("technicia-tunnel-start").inputs).toEqual({
      ...{ unit: "technicia-tunnel.service", enabled: true, active: true },
    });
    for (const first of ["technicia-tunnel", "technicia-tunnel-service"])
      expect(waitsFor("technicia-tunnel-start", first), first).toBe(true);
  });

  it("waits for its configuration, and reads it again when it changes", async () => {
    const { resource, waitsFor } = await define();
    const { path, onChange, content } = resource("technicia-tunnel-configuration").inputs;

    expect(waitsFor("technicia-tunnel", "technicia-tunnel-configuration")).toBe(true);
    expect(path).toBe(`${DIRECTORY.hostPath}/nginx.conf`);
    expect(onChange).toContain(
      "docker exec technicia-tunnel nginx -c /etc/nginx/tunnel/nginx.conf -s reload",
    );
    expect(String(content).match(/listen .*|set \$target .*/g)).toEqual([
      "listen 5678 default_server;",
      "listen 5678;",
      "set $target n8n:5678;",
      "listen 6333 default_server;",
      "listen 6333;",
      "set $target qdrant:6333;",
    ]);
  });

  it.each([
    ["running", "exec technicia-tunnel nginx -c /etc/nginx/tunnel/nginx.conf -s reload\n"],
    // What does not run reads its configuration when it starts; told to, Docker would refuse, and no repair would ever get further.
    ...["created", "exited", "restarting", "dead", "missing"].map((state) => [state, ""] as const),
  ] as const)("has a changed configuration read by a container that is %s", async (state, told) => {
    const { resource } = await define();
    const { onChange } = resource("technicia-tunnel-configuration").inputs;

    expect(await reload(String(onChange), state)).toEqual({ code: 0, told });
  });

  it("refuses whoever comes over a network of ours, and names that are not the loopback's", async () => {
    const { resource } = await define();
    const { content } = resource("technicia-tunnel-configuration").inputs;

    expect(content).toContain("  deny 172.31.0.0/16;");
    expect(String(content).match(/server_name .*/g)).toEqual([
      "server_name _;",
      "server_name localhost 127.0.0.1;",
      "server_name _;",
      "server_name localhost 127.0.0.1;",
    ]);
  });

  it("passes the address that the browser sees to n8n, or the editor loses its connection", async () => {
    const { resource } = await define();
    const { content } = resource("technicia-tunnel-configuration").inputs;

    expect(content).toContain("proxy_set_header X-Forwarded-Host $http_host;");
    expect(content).toContain("proxy_set_header Upgrade $http_upgrade;");
  });
});

/** Runs the command where Docker says that the container is in that state, and returns what it was told. */
async function reload(command: string, state: string): Promise<{ code: number; told: string }> {
  const folder = await mkdtemp(join(tmpdir(), "tunnel-"));
  const told = join(folder, "told");
  const answer = state === "missing" ? "exit 1" : `echo ${state}`;
  await writeFile(told, "");
  await writeFile(
    join(folder, "docker"),
    `#!/bin/bash
case $1 in
  container) ${answer} ;;
  exec) echo "$@" >> ${told}; [ ${state} = running ] ;;
esac
`,
    { mode: 0o755 },
  );
  try {
    const { code } = await tryRun(["bash", "-euo", "pipefail", "-c", command], {
      environment: { PATH: `${folder}:${process.env["PATH"]}` },
    });
    return { code, told: await readFile(told, "utf8") };
  } finally {
    await rm(folder, { recursive: true });
  }
}
