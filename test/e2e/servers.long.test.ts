/** An environment with three servers: `npm start -- --servers 3`. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { run } from "../../common/run.ts";
import { placesOf } from "../../rehearsal/fleet.ts";
import { MANUAL_QUESTION } from "../../rehearsal/documents/hydraulic-purge.ts";
import { rehearsedEntry, showAnswer } from "../../rehearsal/question.ts";
import { serverNames } from "../../rehearsal/world.ts";
import { expectNoDrift } from "./drift-check.ts";
import { deploy, npm as command } from "./deployments.ts";
import { DOMAIN, ensureStarted, expectQuiet, npm, onServer, until } from "./rehearsal.ts";
import { openTcpPorts, openUdpPorts, WEB } from "./scan.ts";

const NAMES = ["gra-1", "gra-2", "gra-3"] as const;
const CONTAINERS = serverNames("3");
const PLACES = placesOf("3");
const [FIRST = "", SECOND = "", THIRD = ""] = CONTAINERS;

const START_MS = 30 * 60_000;
const ROW_MS = 15 * 60_000;

/** More than any packet: an answer that does not fit through the tunnel hangs, while small ones arrive. */
const LARGE_BYTES = 100_000;

const nodes = async () =>
  (await onServer("docker node ls --format '{{.Status}} {{.Availability}} {{.ManagerStatus}}'"))
    .trim()
    .split("\n")
    .sort();

const ALL_WELL = ["Ready Active Leader", "Ready Active Reachable", "Ready Active Reachable"];

/** Status of the public health over one of the addresses, as a browser that has chosen it. */
async function healthAt(address: string): Promise<string> {
  const { stdout } = await runQuietly([
    ...[
      "curl",
      "--silent",
      "--insecure",
      "--max-time",
      "5",
      "--output",
      "/dev/null",
      "--write-out",
      "%{http_code}",
    ],
    ...["--resolve", `${DOMAIN}:443:${address}`, `https://${DOMAIN}/healthz`],
  ]);
  return stdout;
}

async function runQuietly(words: readonly string[]): Promise<{ readonly stdout: string }> {
  return { stdout: await run(words).catch(() => "") };
}

beforeAll(async () => {
  await npm("run", "rehearsal:stop");
  const { code, stdout, stderr } = await npm("start", "--", "--servers", "3");
  if (code !== 0) throw new Error(`npm start ended with ${code}\n${stdout}\n${stderr}`);
}, START_MS);
afterAll(async () => {
  await npm("run", "rehearsal:stop");
  await ensureStarted();
}, START_MS);

describe("three servers", () => {
  it("are one Swarm over the tunnel, in which all vote", async () => {
    expect(await nodes()).toEqual(ALL_WELL);
    const listening = await onServer(
      "ss --no-header --listening --numeric --tcp | awk '{ print $4 }'",
      SECOND,
    );
    expect(listening).toMatch(/^10\.\d+\.\d+\.\d+:2377$/m);
    expect(listening).not.toMatch(/^(\*|0\.0\.0\.0|\[::\]):(2377|7946|7947)$/m);
  });

  it("answer over each of their addresses with the same certificate", async () => {
    const prints = await Promise.all(
      PLACES.map(async ({ ipv4 }) => {
        expect(await healthAt(ipv4), ipv4).toBe("200");
        return await run([
          "bash",
          "-c",
          `openssl s_client -connect ${ipv4}:443 -servername ${DOMAIN} </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256`,
        ]);
      }),
    );
    expect(new Set(prints).size).toBe(1);
  });

  it("answer the question from what was uploaded", async () => {
    const shown = await showAnswer(await rehearsedEntry(`https://${DOMAIN}`));
    expect(shown.question).toBe(MANUAL_QUESTION.question);
    expect(shown.sources).toContain("page 2");
  });

  it("carry a large answer between every two of them", async () => {
    const image = (
      await onServer(
        "docker service inspect technicia-vector-store --format '{{.Spec.TaskTemplate.ContainerSpec.Image}}'",
      )
    ).trim();
    const python = (name: string, code: string) =>
      `docker run --rm ${name} --network technicia-app-tunnel --entrypoint python3 ${image} -c ${JSON.stringify(code)}`;
    const serving = `import http.server
class Answer(http.server.BaseHTTPRequestHandler):
  def do_GET(self):
    self.send_response(200); self.end_headers(); self.wfile.write(b'x' * ${LARGE_BYTES})
http.server.HTTPServer(('', 8099), Answer).serve_forever()`;
    try {
      for (const [at, container] of CONTAINERS.entries())
        await onServer(python(`--detach --name large-${at} --network-alias large-${at}`, serving), container);
      for (const [from, container] of CONTAINERS.entries())
        for (const to of CONTAINERS.keys()) {
          const asking = `import urllib.request; print(len(urllib.request.urlopen('http://large-${to}:8099', timeout=10).read()))`;
          expect(await onServer(python("", asking), container), `${from} to ${to}`).toBe(`${LARGE_BYTES}\n`);
        }
    } finally {
      for (const [at, container] of CONTAINERS.entries())
        await onServer(`docker rm --force large-${at}`, container);
    }
  });

  it(
    "show the world their web ports alone, on every address",
    async () => {
      for (const place of PLACES) {
        const [tcp4, tcp6, udp4, udp6] = [
          await openTcpPorts("-4", place),
          await openTcpPorts("-6", place),
          await openUdpPorts("-4", place),
          await openUdpPorts("-6", place),
        ];
        expect([place.ipv4, tcp4, tcp6, udp4, udp6]).toEqual([place.ipv4, WEB, [], [], []]);
      }
    },
    ROW_MS,
  );

  it(
    "have a quiet preview, and no drift",
    async () => {
      await expectQuiet();
      await expectNoDrift();
    },
    ROW_MS,
  );

  it("are shown with role and state", async () => {
    const { code, stdout, stderr } = await command("servers", "--", "test");
    expect(code, stderr).toBe(0);
    for (const name of NAMES) expect(stdout).toMatch(new RegExp(`${name}.*manager`));
  });

  it(
    "are deployed to without a request that fails",
    async () => {
      const { code, stdout, stderr } = await deploy();
      expect(code, `${stdout}\n${stderr}`).toBe(0);
    },
    ROW_MS,
  );
});

describe("a server without data that fails", () => {
  it(
    "costs the others nothing after 20 s, and comes back as it was",
    async () => {
      await run(["docker", "kill", THIRD]);
      try {
        await until(
          "the others to answer",
          async () =>
            (await healthAt(PLACES[0]!.ipv4)) === "200" && (await healthAt(PLACES[1]!.ipv4)) === "200",
          20,
        );
        await until(
          "its work to run elsewhere",
          async () => {
            const down = (await nodes()).some((line) => line.startsWith("Down"));
            const spread = await onServer(
              "docker service ls --filter name=technicia-vector-store --format '{{.Replicas}}'",
            );
            return down && spread.trim() === "2/2";
          },
          90,
        );
        const { sources } = await showAnswer(await rehearsedEntry(`https://${DOMAIN}`));
        expect(sources).toContain("page 2");
      } finally {
        await run(["docker", "start", THIRD]);
      }
      await until("it to be back in the Swarm", async () => (await nodes()).join() === ALL_WELL.join(), 120);
      await until("its gateway to answer", async () => (await healthAt(PLACES[2]!.ipv4)) === "200", 120);
    },
    ROW_MS,
  );

  it(
    "can be drained and given work again, and no request fails",
    async () => {
      const drained = await command("servers", "--", "test", "drain", "gra-2", "--yes");
      expect(drained.code, `${drained.stdout}\n${drained.stderr}`).toBe(0);
      expect(
        await onServer(
          "docker node ps --filter desired-state=running --quiet $(docker node ls --filter name=$(hostname) --quiet) | wc --lines",
          SECOND,
        ),
      ).toBe("0\n");

      const undrained = await command("servers", "--", "test", "undrain", "gra-2", "--yes");
      expect(undrained.code, `${undrained.stdout}\n${undrained.stderr}`).toBe(0);
      expect(await nodes()).toEqual(ALL_WELL);
      await expectQuiet();
    },
    ROW_MS,
  );

  it(
    "has its failover drilled, which changes nothing",
    async () => {
      const { code, stdout, stderr } = await command(
        "failover",
        "--",
        "test",
        "--from",
        "gra-3",
        "--drill",
        "--yes",
      );
      // It answers, so a failover is refused: that is what a drill shows.
      expect(code, stdout).toBe(1);
      expect(`${stdout}${stderr}`).toContain("gra-3");
      expect(await nodes()).toEqual(ALL_WELL);
    },
    ROW_MS,
  );
});

describe("reboots", () => {
  it(
    "of each in turn end with all in the Swarm within a minute",
    async () => {
      for (const container of [FIRST, SECOND, THIRD]) {
        await run(["docker", "restart", "--time", "30", container]);
        await until("all to be back", async () => (await nodes()).join() === ALL_WELL.join(), 90);
      }
      await expectQuiet();
    },
    ROW_MS,
  );
});
