import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, describe, expect, it } from "vitest";

import { docker } from "../../../rehearsal/docker.ts";
import { ensureAuthority, ensureCertificate } from "../../../rehearsal/authority.ts";
import { Bench, images, published } from "./container.ts";
import { until } from "../../support/until.ts";

const bench = new Bench();
const folders: string[] = [];

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "technicia-images-"));
  folders.push(path);
  return path;
}

afterEach(async () => {
  await bench.remove();
  for (const path of folders.splice(0)) await rm(path, { recursive: true });
});

describe("the nginx image", () => {
  it("serves on port 80 under a read-only root, logs to Docker, and answers its own wget", async () => {
    const closed = ["--read-only", "--tmpfs", "/run", "--tmpfs", "/var/cache/nginx", "--tmpfs", "/tmp"];
    const capabilities = ["CHOWN", "DAC_OVERRIDE", "NET_BIND_SERVICE", "SETGID", "SETUID"];
    const dropped = ["--cap-drop", "ALL", ...capabilities.flatMap((name) => ["--cap-add", name])];
    const args = ["--publish", "127.0.0.1::80", ...closed, ...dropped];
    const nginx = await bench.start(await published("library/nginx:1.30.4-alpine"), args);
    const url = await nginx.ready(80, "/");
    await fetch(`${url}/asked-for`);

    await until("the access log has the request", async () =>
      (await nginx.logs()).includes("GET /asked-for"),
    );
    await expect(nginx.exec(["wget", "-q", "-O", "/dev/null", "http://127.0.0.1/"])).resolves.toBe("");
    expect(await nginx.shell("ps 2>/dev/null || true; grep -h ^Uid: /proc/[0-9]*/status")).toContain("101");
  });

  it("reads further servers from conf.d, understands http2 and refuses a broken file", async () => {
    const configuration = await folder();
    const test = async (text: string) => {
      await writeFile(join(configuration, "site.conf"), text);
      const mounts = ["--volume", `${configuration}:/etc/nginx/conf.d:ro`];
      return docker([
        "run",
        "--rm",
        "--network",
        "none",
        ...mounts,
        await published("library/nginx:1.30.4-alpine"),
        "nginx",
        "-t",
        "-q",
      ]);
    };

    await expect(test("server { listen 8080; http2 on; }")).resolves.toBe("");
    await expect(test("server { listen 8080")).rejects.toThrow("unexpected end of file");
  });

  it("ends on SIGQUIT, which is its stop signal, when no request is left", async () => {
    const nginx = await bench.start(await published("library/nginx:1.30.4-alpine"), [
      "--publish",
      "127.0.0.1::80",
    ]);
    await nginx.ready(80, "/");

    expect(await nginx.inspect("{{.Config.StopSignal}}")).toBe("SIGQUIT");
    expect((await nginx.stop()).exitCode).toBe(0);
  });
});

describe("the certbot and pebble images", () => {
  it("issue a certificate over HTTP-01 on port 80, with strict checks", async () => {
    const authority = await folder();
    await ensureAuthority(authority);
    const acme = await ensureCertificate(authority, { name: "acme", names: ["acme.test"] });
    const configuration = {
      pebble: {
        listenAddress: "0.0.0.0:14000",
        managementListenAddress: "0.0.0.0:15000",
        certificate: "/acme/cert.pem",
        privateKey: "/acme/key.pem",
        httpPort: 80,
        tlsPort: 443,
        ocspResponderURL: "",
      },
    };
    await writeFile(join(acme.directory, "pebble.json"), JSON.stringify(configuration));
    const network = await bench.network();
    const names = ["--network", network, "--network-alias", "acme.test"];
    const pebble = await bench.start((await images()).pebble, [
      ...[...names, "--volume", `${acme.directory}:/acme:ro`, "--env", "PEBBLE_VA_NOSLEEP=1"],
    ]);
    await until("pebble listens", async () => (await pebble.logs()).includes("ACME directory available"));
    const trust = ["--volume", `${authority}:/authority:ro`, "--env", "REQUESTS_CA_BUNDLE=/authority/ca.pem"];
    const certbot = await bench.start(
      await published("certbot/certbot:v5.8.0"),
      ["--network", network, "--network-alias", "site.test", ...trust],
      [
        ...["certonly", "--standalone", "--non-interactive", "--agree-tos", "--email", "admin@site.test"],
        ...["--server", "https://acme.test:14000/dir", "--domain", "site.test", "--cert-name", "site"],
      ],
    );

    const exitCode = await certbot.end();
    expect([exitCode, await certbot.logs()]).toEqual([
      0,
      expect.stringContaining("/etc/letsencrypt/live/site/fullchain.pem"),
    ]);
  });

  it("has certbot as its entrypoint, in the version of its tag", async () => {
    await expect(
      docker(["run", "--rm", await published("certbot/certbot:v5.8.0"), "--version"]),
    ).resolves.toBe("certbot 5.8.0\n");
  });
});

describe("the postgres image", () => {
  const settings = ["--env", "POSTGRES_USER=n8n", "--env", "POSTGRES_DB=n8n"];
  const file = ["--env", "POSTGRES_PASSWORD_FILE=/run/secrets/password"];

  it("makes user and database from a password file, and keeps them over a restart", async () => {
    const secrets = await folder();
    // As a secret of the Swarm: the entrypoint reads it before it becomes postgres, as the official one does.
    await writeFile(join(secrets, "password"), "geheim", { mode: 0o400 });
    const volume = await bench.volume();
    const data = [
      "--volume",
      `${volume}:/var/lib/postgresql/data`,
      "--env",
      "PGDATA=/var/lib/postgresql/data/pgdata",
    ];
    const args = [...settings, ...file, ...data, "--volume", `${secrets}:/run/secrets:ro`];
    const postgres = await bench.start(await published("library/postgres:17.9-bookworm"), args);
    const isReady = () =>
      postgres.exec(["pg_isready", "--host", "127.0.0.1", "--username", "n8n"]).then(
        () => true,
        () => undefined,
      );
    const ask = (password: string, query: string) =>
      postgres.shell(
        `PGPASSWORD=${password} psql --host "$(hostname -i)" --username n8n --dbname n8n -tAc "${query}"`,
      );
    await until("PostgreSQL is ready", isReady);
    await ask("geheim", "CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)");

    await expect(ask("wrong", "SELECT 1")).rejects.toThrow("password authentication failed");
    expect(await ask("geheim", "SHOW server_version")).toMatch(/^17\./);
    expect((await postgres.exec(["id", "-u", "postgres"])).trim()).toBe("999");
    expect(await postgres.inspect("{{.Config.StopSignal}}")).toBe("SIGINT");
    expect((await postgres.stop()).exitCode).toBe(0);
    await docker(["start", postgres.name]);
    await until("PostgreSQL is ready again", isReady);
    expect(await ask("geheim", "SELECT n FROM kept")).toBe("42\n");
  });

  it("ends with 1 and says why when it has no password", async () => {
    const postgres = await bench.start(await published("library/postgres:17.9-bookworm"), settings);

    expect(await postgres.end()).toBe(1);
  });
});

describe("the images of the rehearsal's own world", () => {
  it.each([
    ["router", ["nft", "--version"], /nftables/],
    ["router", ["ip", "-Version"], /iproute2/],
    ["scanner", ["nmap", "--version"], /Nmap version/],
    ["scanner", ["dig", "-v"], /^DiG/],
    ["scanner", ["curl", "--version"], /curl/],
    ["clouds", ["node", "--version"], /^v24\./],
    ["clouds", ["docker", "--version"], /Docker version/],
  ] as const)("%s has %j", async (name, command, told) => {
    expect(await docker(["run", "--rm", (await images())[name], ...command])).toMatch(told);
  });
});
