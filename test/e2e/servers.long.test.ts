/** An environment with three servers: `npm start -- --servers 3`. */
import { setTimeout as wait } from "node:timers/promises";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { run, tryRun } from "../../common/run.ts";
import { MANUAL_QUESTION } from "../../rehearsal/documents/hydraulic-purge.ts";
import { DATACENTRE } from "../../rehearsal/addresses.ts";
import { placesOf } from "../../rehearsal/fleet.ts";
import { rehearsedEntry, showAnswer } from "../../rehearsal/question.ts";
import { serverNames } from "../../rehearsal/world.ts";
import { deploy, npm as command } from "./deployments.ts";
import { expectNoDrift } from "./drift-check.ts";
import {
  DOMAIN,
  ensureStarted,
  expectQuiet,
  management,
  npm,
  onServer,
  operator,
  until,
} from "./rehearsal.ts";
import { openTcpPorts, openUdpPorts, WEB } from "./scan.ts";

/** Who is where: OVH delivers servers in any order. */
interface Member {
  readonly name: string;
  readonly container: string;
  readonly ipv4: string;
  readonly ipv6: string;
}

const PLACES = placesOf("3").map((place, at) => ({ ...place, container: serverNames("3")[at] ?? "" }));
const NAMES = ["gra-1", "gra-2", "gra-3"];

const START_MS = 30 * 60_000;
const ROW_MS = 15 * 60_000;

/** More than a packet: an answer that does not fit through the tunnel hangs, while small ones arrive. */
const LARGE_BYTES = 100_000;

const ALL_WELL = ["Ready Active Leader", "Ready Active Reachable", "Ready Active Reachable"];

let members: readonly Member[];

const member = (name: string): Member => {
  const found = members.find((one) => one.name === name);
  if (found === undefined) throw new Error(`expected a server ${name}, got none`);
  return found;
};

/** By the names that OVH's console shows. */
async function readMembers(): Promise<readonly Member[]> {
  const { ovh } = await management<{ ovh: { servers: { displayName: string; ipv4: string }[] } }>("state");
  return NAMES.map((name, at) => {
    const shown = at === 0 ? "technicia-test" : `technicia-test-${name}`;
    const ipv4 = ovh.servers.find(({ displayName }) => displayName === shown)?.ipv4;
    const place = PLACES.find((one) => one.ipv4 === ipv4);
    if (place === undefined) throw new Error(`expected a server that OVH shows as ${shown}, got none`);
    return { name, ...place };
  });
}

/** One without data, whose address is not the one that this file's questions take; a browser would take another one. */
const victim = (): Member => {
  const found = members.find(({ name, ipv4 }) => name !== "gra-1" && ipv4 !== DATACENTRE.server);
  if (found === undefined) throw new Error("expected a server without data at another address, got none");
  return found;
};

const on = (name: string, script: string) => onServer(script, member(name).container);

/** As one of them has it. */
async function nodes(from = "gra-1"): Promise<readonly string[]> {
  const format = "{{.Status}} {{.Availability}} {{.ManagerStatus}}";
  return (await on(from, `docker node ls --format '${format}'`)).trim().split("\n").sort();
}

const areAllWell = async () => (await nodes()).join() === ALL_WELL.join();

/** Whether the public health answers over that server's address, as for a browser that has chosen it. */
async function answers(name: string): Promise<boolean> {
  const { ipv4 } = member(name);
  const { stdout } = await tryRun([
    ...["curl", "--silent", "--insecure", "--max-time", "5", "--output", "/dev/null"],
    ...["--write-out", "%{http_code}", "--resolve", `${DOMAIN}:443:${ipv4}`, `https://${DOMAIN}/healthz`],
  ]);
  return stdout === "200";
}

/** Status of a question over that server's address. */
async function question(name: string): Promise<string> {
  const { ipv4 } = member(name);
  const { stdout } = await tryRun([
    ...["curl", "--silent", "--insecure", "--max-time", "90", "--output", "/dev/null"],
    ...["--write-out", "%{http_code}", "--resolve", `${DOMAIN}:443:${ipv4}`],
    ...[
      "--header",
      "content-type: application/json",
      "--data",
      '{"question": "Pourquoi la pompe fait-elle du bruit ?"}',
    ],
    `https://${DOMAIN}/api/question`,
  ]);
  return stdout;
}

async function expectAnswer(): Promise<void> {
  const shown = await showAnswer(await rehearsedEntry(`https://${DOMAIN}`));
  expect(shown.question).toBe(MANUAL_QUESTION.question);
  expect(shown.sources).toContain("hydraulic-purge.pdf, page 2");
}

beforeAll(async () => {
  const running = await run(["docker", "ps", "--format", "{{.Names}}"]);
  if (!running.includes(PLACES.at(-1)?.container ?? "")) await npm("run", "rehearsal:stop");
  const { code, stdout, stderr } = await npm("start", "--", "--servers", "3");
  if (code !== 0) throw new Error(`npm start ended with ${code}\n${stdout}\n${stderr}`);
  members = await readMembers();
}, START_MS);
afterAll(async () => {
  await npm("run", "rehearsal:stop");
  await ensureStarted();
}, START_MS);

describe("three servers", () => {
  it("are one Swarm in the tunnel, in which all vote", async () => {
    expect(await nodes()).toEqual(ALL_WELL);
    const listening = await on("gra-2", "ss --no-header --listening --numeric --tcp | awk '{ print $4 }'");
    expect(listening).toMatch(/^10\.\d+\.\d+\.\d+:2377$/m);
    expect(listening).not.toMatch(/^(\*|0\.0\.0\.0|\[::\]):(2377|7946|7947)$/m);
  });

  it("answer over each of their addresses with the same certificate", async () => {
    const prints = await Promise.all(
      members.map(async ({ name, ipv4 }) => {
        expect(await answers(name), name).toBe(true);
        const shown = `openssl s_client -connect ${ipv4}:443 -servername ${DOMAIN} </dev/null 2>/dev/null`;
        return await run(["bash", "-c", `${shown} | openssl x509 -noout -fingerprint -sha256`]);
      }),
    );
    expect(new Set(prints).size).toBe(1);
  });

  it("answer the question from what was uploaded", expectAnswer);

  it("carry a large answer between every two of them", async () => {
    const image = await on(
      "gra-1",
      "docker service inspect technicia-vector-store --format '{{.Spec.TaskTemplate.ContainerSpec.Image}}'",
    );
    const python = (options: string, code: string) =>
      `docker run --rm ${options} --network technicia-app-tunnel --entrypoint python3 ${image.trim()} -c "$(cat <<'END'\n${code}\nEND\n)"`;
    const serving = `import http.server
class Answer(http.server.BaseHTTPRequestHandler):
  def do_GET(self):
    self.send_response(200); self.end_headers(); self.wfile.write(b"x" * ${LARGE_BYTES})
http.server.HTTPServer(("", 8099), Answer).serve_forever()`;
    const asking = (name: string) =>
      `import urllib.request; print(len(urllib.request.urlopen("http://large-${name}:8099", timeout=10).read()))`;
    try {
      for (const name of NAMES)
        await on(name, python(`--detach --name large --network-alias large-${name}`, serving));
      for (const from of NAMES)
        for (const to of NAMES)
          expect(await on(from, python("", asking(to))), `${from} to ${to}`).toBe(`${LARGE_BYTES}\n`);
    } finally {
      for (const name of NAMES) await on(name, "docker rm --force large");
    }
  }, 180_000);

  it(
    "show the world their web ports alone, on every address",
    async () => {
      for (const place of members) {
        const found = [
          await openTcpPorts("-4", place),
          await openTcpPorts("-6", place),
          await openUdpPorts("-4", place),
          await openUdpPorts("-6", place),
        ];
        expect([place.name, ...found]).toEqual([place.name, WEB, [], [], []]);
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

  it("are measured, and send their journals and the access logs of their gateways, each under its name", async () => {
    const asked = (port: number, path: string, query: string) =>
      on(
        "gra-1",
        `curl --silent --fail http://127.0.0.1:${port}${path} --data nocache=1 --data-urlencode 'query=${query}'`,
      );
    const serversIn = (text: string) =>
      [...new Set([...text.matchAll(/"server":"([^"]+)"/g)].map(([, name]) => name))].sort();
    const logs = (filter: string) =>
      asked(9428, "/select/logsql/query", `_time:10m ${filter} | stats by (server) count() lines`);

    for (const [what, read] of [
      ["measured", () => asked(8428, "/api/v1/query", "count by (server) (node_load1)")],
      ["read", () => logs("_BOOT_ID:*")],
      ["asked, and its access log read", () => logs('{app_name="gateway"}')],
    ] as const)
      await until(
        `each server to be ${what}`,
        async () => {
          for (const name of NAMES) await answers(name);
          return serversIn(await read()).join() === NAMES.join();
        },
        180,
      );
  }, 600_000);

  it("are shown with role and state", async () => {
    const { code, stdout, stderr } = await command("servers", "--", "test");
    expect(code, stderr).toBe(0);
    for (const name of NAMES) expect(stdout).toMatch(new RegExp(`${name} +manager: +ready`));
  });

  it(
    "keep the requests at each of their gateways while n8n restarts",
    async () => {
      const statuses: string[] = [];
      let isOver = false;
      const visitors = NAMES.map(async (name) => {
        while (!isOver) {
          statuses.push(`${name} ${await question(name)}`);
          await wait(1000);
        }
      });
      const restarted = await operator(["node", "test/e2e/restart-n8n.ts", "test", "1"]).finally(() => {
        isOver = true;
      });
      await Promise.all(visitors);

      expect(restarted).toMatchObject({ code: 0 });
      expect(restarted.stderr).toContain(`the gateways hold the requests to n8n (${NAMES.join(", ")})`);
      expect(statuses.filter((one) => !one.endsWith(" 200"))).toEqual([]);
      expect(statuses.length).toBeGreaterThan(3 * NAMES.length);
    },
    ROW_MS,
  );

  it(
    "are deployed to",
    async () => {
      const { code, stdout, stderr } = await deploy();
      expect(code, `${stdout}\n${stderr}`).toBe(0);
    },
    ROW_MS,
  );
});

describe("a server without data", () => {
  it(
    "that loses its power costs the others nothing after 20 s, and comes back as it was",
    async () => {
      const { container, name: lost } = victim();
      const others = NAMES.filter((name) => name !== lost);
      await run(["docker", "kill", container]);
      try {
        await until(
          "the others to answer",
          async () => (await Promise.all(others.map(answers))).every((answer) => answer),
          20,
        );
        await until(
          "its work to run elsewhere",
          async () => {
            const replicas = await on(
              "gra-1",
              "docker service ls --filter name=technicia-vector-store --format '{{.Replicas}}'",
            );
            return (
              (await nodes()).some((line) => line.startsWith("Down")) && replicas.trim().startsWith("2/2")
            );
          },
          90,
        );
        await expectAnswer();
      } finally {
        await run(["docker", "start", container]);
      }
      await until("it to be back in the Swarm", areAllWell, 120);
      await until("its gateway to answer", () => answers(lost), 120);
    },
    ROW_MS,
  );

  it(
    "is drained and given work again",
    async () => {
      const drained = await command("servers", "--", "test", "drain", "gra-2", "--yes");
      expect(drained.code, `${drained.stdout}\n${drained.stderr}`).toBe(0);
      expect((await on("gra-1", "docker node ls --format '{{.Availability}}'")).match(/Drain/g)).toHaveLength(
        1,
      );
      expect(
        await on("gra-2", "docker ps --quiet --filter label=com.docker.swarm.service.name | wc --lines"),
      ).toBe("0\n");

      const undrained = await command("servers", "--", "test", "undrain", "gra-2", "--yes");
      expect(undrained.code, `${undrained.stdout}\n${undrained.stderr}`).toBe(0);
      expect(await nodes()).toEqual(ALL_WELL);
      await until("its gateway to answer", () => answers("gra-2"), 60);
      await expectQuiet();
    },
    ROW_MS,
  );

  it(
    "that answers is not taken out by a failover, which its drill says before",
    async () => {
      const failover = (...more: readonly string[]) =>
        command("failover", "--", "test", "--from", "gra-3", ...more);
      const drill = await failover("--drill");
      expect(drill.stdout).toContain(
        "drill: nothing was changed; in earnest this would be refused, because gra-3 is reached",
      );
      const refused = await failover("--yes");
      expect(refused.code, refused.stdout).toBe(1);
      expect(await nodes()).toEqual(ALL_WELL);
    },
    ROW_MS,
  );
});

describe("reboots", () => {
  it(
    "of each in turn end with all in the Swarm, and nothing to change",
    async () => {
      for (const { container } of members) {
        await run(["docker", "restart", "--time", "30", container]);
        await until("all to be back", areAllWell, 90);
      }
      for (const name of NAMES) await until(`${name} to answer`, () => answers(name), 120);
      await expectQuiet();
    },
    ROW_MS,
  );
});
