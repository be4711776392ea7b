import { beforeAll, describe, expect, it } from "vitest";

import { run } from "../../common/run.ts";
import { DATACENTRE } from "../../rehearsal/addresses.ts";
import {
  ask,
  askHealth,
  DOMAIN,
  expectQuiet,
  npm,
  onServer,
  operator,
  pulumi,
  QUIET,
  traffic,
  until,
} from "./rehearsal.ts";
import { ECHO, openTcpPorts, openUdpPorts, WEB } from "./scan.ts";

beforeAll(async () => {
  await npm("run", "rehearsal:stop");
});

describe("npm start", () => {
  it("deploys TechnicIA from nothing until it answers over HTTPS", async () => {
    const began = Date.now();
    const { code, stdout, stderr } = await npm("start");
    console.log(`npm start took ${((Date.now() - began) / 1000).toFixed(1)} s`);

    expect(code, `${stdout}\n${stderr}`).toBe(0);
    expect(stdout).toContain(`https://${DOMAIN}`);
    expect(stdout).toContain("ssh -i");
    expect(stdout).toContain("source: hydraulic-purge.pdf, page 2");
    expect(stdout).toMatch(/answer in all: \d+\.\d\d s/);
    await askHealth();
  });

  it("changes nothing when it runs again", async () => {
    const { code, stdout, stderr } = await npm("start");

    expect(code, `${stdout}\n${stderr}`).toBe(0);
    expect(stdout).toMatch(QUIET);
  });

  it("leaves a preview with a refresh quiet", expectQuiet);
});

describe("TechnicIA's own services", () => {
  it("run images that the operator's command built from a commit, pulled with a login that only root reads", async () => {
    const container = await onServer(
      "docker service inspect technicia-vector-store --format '{{.Spec.TaskTemplate.ContainerSpec.Image}}'",
    );
    const [, commit] =
      /^198\.51\.100\.6\/technicia\/vector-store:([0-9a-f]{12})@sha256:/.exec(container) ?? [];
    expect(commit, container).toBeDefined();
    const label = `docker image inspect ${container.trim()} --format '{{index .Config.Labels "org.opencontainers.image.revision"}}'`;
    expect((await onServer(label)).trim()).toMatch(new RegExp(`^${commit}[0-9a-f]{28}$`));
    expect((await onServer("stat -c '%a %U' /opt/technicia/registry/config.json")).trim()).toBe("600 root");
  });
});

describe("n8n's runners", () => {
  it("offer themselves to n8n's broker, which knows their token", async () => {
    await until("an offer", async () =>
      /waiting for .*task/i.test(await onServer("docker service logs technicia-n8n-runners 2>&1")),
    );
  });
});

describe("a container of TechnicIA's own services", () => {
  it("is nobody on the server, and leaves no core dump with its secrets", async () => {
    const container = "docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-vector-store";
    expect(await onServer(`docker exec $(${container}) sh -c 'id -u; ulimit -c'`)).toBe("10001\n0\n");
  });
});

describe("the public side", () => {
  it("redirects http to https and answers nothing but its routes", async () => {
    const stdout = await run([
      "curl",
      ...["--silent", "--output", "/dev/null", "--write-out", "%{http_code} %{redirect_url}"],
      ...["--header", `Host: ${DOMAIN}`, `http://${DATACENTRE.server}/any?x=1`],
    ]);
    expect(stdout).toBe(`308 https://${DOMAIN}/any?x=1`);

    for (const path of [
      "/rest/login",
      "/rest/settings",
      "/metrics",
      "/api/v1/workflows",
      "/api/rest/login",
      "/collections",
      "/docs",
    ]) {
      expect((await ask(path)).status, path).toBe(404);
    }
  });

  it("reaches n8n's webhooks by the frontend's paths and by their own", async () => {
    const post = (path: string) =>
      ask(path, { method: "POST", body: "{}", headers: { "content-type": "application/json" } });

    // Our workflows refuse what is empty, in their own words.
    for (const path of ["/api/question", "/webhook/question", "/api/upload"]) {
      const { status, body } = await post(path);
      expect(status, `${path}: ${body}`).toBe(400);
      expect(JSON.parse(body), path).toHaveProperty("errors");
    }
    // The answer of n8n itself, which has no such workflow.
    const { status, body } = await post("/webhook/anything");
    expect(status).toBe(404);
    expect(body).toContain("is not registered");
  });

  it.each([
    "/signin/..%2fwebhook%2fx",
    "//webhook/x",
    "/webhook/..%2frest/login",
    "/form/x",
    "/webhook-waiting/1",
  ])("answers %s itself, however n8n would read it", async (path) => {
    const { status, body } = await ask(path);

    expect(status).toBe(404);
    expect(body).toContain("<center>nginx</center>");
  });

  it("refuses two bodies of 100 MiB to a webhook that does not exist, and runs on", async () => {
    const gateway = "docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-gateway";
    const workers = () => onServer(`docker top $(${gateway}) -eo pid,args`);
    const before = await workers();
    const body = Buffer.alloc(100 * 1024 * 1024);
    const post = () => ask("/webhook/x", { method: "POST", body, timeoutMs: 60_000 });

    for (const answer of await Promise.allSettled([post(), post()])) {
      // The connection may end before the whole body was sent.
      if (answer.status === "fulfilled") expect(answer.value.status).toBe(413);
    }
    expect(await workers()).toBe(before);
  });

  it("admits an upload of 20 MB and refuses one above the limit", async () => {
    const size = (mib: number) => ({
      method: "POST",
      headers: { "content-length": String(mib * 1024 * 1024) },
    });
    const fits = await ask("/api/upload", {
      ...size(20),
      body: Buffer.alloc(20 * 1024 * 1024),
      timeoutMs: 60_000,
    });
    const tooBig = await ask("/api/upload", {
      method: "POST",
      headers: { "content-length": String(201 * 1024 * 1024), expect: "100-continue" },
    }).catch((error: unknown) => ({ status: 0, body: String(error), headers: {} }));

    expect(fits.status).not.toBe(413);
    expect(tooBig.status).toBe(413);
  });

  it("sends the security headers, and no HSTS under an authority that browsers do not trust", async () => {
    const { headers } = await ask("/healthz");

    expect(headers["x-content-type-options"]).toBe("nosniff");
    expect(headers["strict-transport-security"]).toBeUndefined();
  });

  it("speaks TLS 1.2 and 1.3 only", async () => {
    const speaks = async (version: string) => {
      const args = ["s_client", "-connect", `${DATACENTRE.server}:443`, "-servername", DOMAIN, version];
      // OpenSSL itself refuses old versions at its default level.
      const stdout = await run([
        "sh",
        "-c",
        `openssl ${args.join(" ")} -cipher DEFAULT@SECLEVEL=0 </dev/null 2>&1 || true`,
      ]);
      return /Cipher is (?!\(NONE\))/.test(stdout);
    };

    expect(await speaks("-tls1_1")).toBe(false);
    expect(await speaks("-tls1_2")).toBe(true);
  });
});

describe("the firewall", () => {
  it("shows a stranger ports 80 and 443 and no other, over IPv4, and none over IPv6, whatever listens or is published", async () => {
    const listen = `use Socket qw(:all); socket(S, PF_INET6, SOCK_DGRAM, 0); setsockopt(S, IPPROTO_IPV6, IPV6_V6ONLY, 0);
      bind(S, pack_sockaddr_in6(${ECHO}, IN6ADDR_ANY)) or die; while (defined($from = recv(S, $_, 999, 0))) { send(S, "echo", 0, $from) }`;
    await onServer(`systemd-run --quiet --unit=rogue-echo perl -e '${listen}'
      docker run --detach --name rogue --publish 8081:80 nginx:1.30.4-alpine`);
    try {
      const ask = `use Socket; socket(S, PF_INET, SOCK_DGRAM, 0); alarm 1; send(S, "?", 0, pack_sockaddr_in(${ECHO}, inet_aton("127.0.0.1"))); recv(S, $_, 9, 0); print`;
      await until("both to answer on the server itself", async () =>
        (
          await onServer(
            `perl -e '${ask}'; curl --silent --output /dev/null --write-out ' %{http_code}' http://127.0.0.1:8081/`,
          )
        ).endsWith("echo 200"),
      );

      const [tcp4, tcp6, udp4, udp6] = await Promise.all([
        openTcpPorts("-4"),
        openTcpPorts("-6"),
        openUdpPorts("-4"),
        openUdpPorts("-6"),
      ]);
      expect([tcp4, tcp6]).toEqual([WEB, []]);
      expect([udp4, udp6]).toEqual([[], []]);
    } finally {
      await onServer("systemctl stop rogue-echo.service; docker rm --force rogue");
    }
  });

  it("leaves n8n and Qdrant reachable on the server's loopback", async () => {
    expect(await onServer("curl --silent http://127.0.0.1:5678/healthz")).toContain("ok");
    expect(await onServer("curl --silent http://127.0.0.1:6333/readyz")).toContain("ready");
  });
});

describe("the tunnel", () => {
  it("leads no container from one network to another", async () => {
    const n8n = "docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-n8n";
    const asked = await onServer(
      `docker exec $(${n8n}) wget -q -O - --header 'Host: localhost' http://technicia-tunnel:6333/collections 2>&1 || true`,
    );

    expect(asked).toContain("403");
  });

  it("refuses a page whose name leads to the loopback", async () => {
    expect(
      await onServer(
        "curl --silent --header 'Host: attacker.example' --output /dev/null --write-out '%{http_code}' http://127.0.0.1:6333/collections",
      ),
    ).toBe("421");
  });
});

describe("secrets", () => {
  it("appear in no argv, no container's description, no log and no state", async () => {
    const shown = await operator(["pulumi", "config", "--show-secrets", "--json", "--stack", "test"]);
    const values = Object.values(
      JSON.parse(shown.stdout) as Record<string, { secret: boolean; value?: string }>,
    )
      .filter(({ secret }) => secret)
      .map(({ value }) => value ?? "")
      .filter((value) => value.length >= 12);
    expect(values.length).toBeGreaterThanOrEqual(8);

    const state = (await pulumi("stack", "export")).stdout;
    const preview = (await pulumi("preview", "--diff")).stdout;
    const seen = await onServer(`
      docker inspect $(docker ps --all --quiet) $(docker service ls --quiet)
      for file in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < "$file" 2>/dev/null; echo; done
      journalctl --no-pager --quiet
      for service in $(docker service ls --quiet); do docker service logs "$service" 2>&1; done
    `);
    for (const [place, text] of Object.entries({ state, preview, server: seen })) {
      for (const value of values)
        expect(text.includes(value), `a secret stands in clear in: ${place}`).toBe(false);
    }
  });
});

describe("the certificate", () => {
  it("is renewed while every request is answered", async () => {
    const serial = () =>
      onServer(
        `openssl s_client -connect 127.0.0.1:443 -servername ${DOMAIN} </dev/null 2>/dev/null | openssl x509 -noout -serial`,
      );
    const before = await serial();
    const asking = traffic(askHealth);
    await onServer("/opt/technicia/bin/certificate renew --force");
    const { asked, failures } = await asking.stop();

    expect(failures).toEqual([]);
    expect(asked).toBeGreaterThan(5);
    expect(await serial()).not.toBe(before);
    await expectQuiet();
  });
});
