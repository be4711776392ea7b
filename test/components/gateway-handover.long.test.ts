/** The gateway is replaced on a server with Docker's Swarm, while visitors ask. */
import { readFile } from "node:fs/promises";
import { setTimeout as rest } from "node:timers/promises";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { HOLD_SCRIPT } from "../../common/hold.ts";
import { describeInApi } from "../../components/service-spec.ts";
import { renderFirewall } from "../../infra/host-firewall.ts";
import { imageOf } from "../support/containers.ts";
import { VISITORS } from "../support/gateway.ts";
import { startHost, type TestHost } from "../support/host.ts";
import { until } from "../support/until.ts";
import { defineGateway } from "./gateway-in-container.ts";
import { ask, untilServing } from "./nginx.ts";

const DOMAIN = "technicia.exemple.fr";
const FOLDER = "/opt/technicia/gateway";

const INSTALL = `
echo nameserver 127.0.0.11 >/etc/resolv.conf
apt-get update --quiet
DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends curl docker.io iptables jq nftables openssl
docker swarm init --advertise-addr "$(hostname --all-ip-addresses | cut -d ' ' -f 1)" >/dev/null
docker network create --driver overlay technicia-edge >/dev/null
mkdir -p ${FOLDER}/tls ${FOLDER}/routes /opt/technicia/acme /opt/technicia/bin /srv/service`;

let host: TestHost;
let files: Awaited<ReturnType<typeof defineGateway>>;

/** On the server, as the plugin runs a state's scripts. */
const state = (name: "begin" | "end", step: "apply" | "observe") => {
  const { variables, [step]: script } = files.handover[name];
  const values = Object.entries(variables).map(([key, value]) => `${key}='${value}'\n`);
  return host.exec(`${values.join("")}${script}`);
};

const write = (path: string, text: string, mode = "0644") =>
  host.exec(`cat >${path} <<'END-OF-FILE'\n${text}\nEND-OF-FILE\nchmod ${mode} ${path}`);

const idOf = async (service: string) =>
  (await host.exec(`docker ps --quiet --filter label=com.docker.swarm.service.name=${service}`)).trim();

const isHealthy = (service: string) =>
  host
    .exec(`docker ps --quiet --filter label=com.docker.swarm.service.name=${service} --filter health=healthy`)
    .then((printed) => printed.trim() !== "");

/** Docker's plugin updates the service, and waits until it runs. */
async function replaceGateway(): Promise<void> {
  const before = await idOf("technicia-gateway");
  await host.exec("docker service update --detach --force technicia-gateway >/dev/null");
  await until("another gateway is healthy", async () => {
    const [now = ""] = (await idOf("technicia-gateway")).split("\n");
    return now !== "" && now !== before && (await isHealthy("technicia-gateway"));
  });
}

interface Asked {
  readonly result: string;
  readonly seconds: number;
}

/** Visitors who ask until `ended`; each connection is a new one. Every second request brings 20 kB. */
async function visit(work: () => Promise<unknown>): Promise<Asked[]> {
  const asked: Asked[] = [];
  let goesOn = true;
  const body = Buffer.alloc(20_000, "x");
  const visitor = async () => {
    for (let turn = 0; goesOn; turn++) {
      const began = performance.now();
      const question =
        turn % 2 === 0
          ? { path: "/webhook/waiting", name: DOMAIN }
          : { path: "/webhook/other", name: DOMAIN, method: "POST", body };
      const expected = turn % 2 === 0 ? 200 : 404;
      const result = await ask(host.address, question).then(
        ({ status }) => (status === expected ? "as expected" : String(status)),
        (error: Error) => error.message,
      );
      asked.push({ result, seconds: (performance.now() - began) / 1000 });
      await rest(200);
    }
  };
  const visitors = Array.from({ length: 10 }, visitor);
  await work().finally(() => (goesOn = false));
  await Promise.all(visitors);
  return asked;
}

const failed = (asked: readonly Asked[]) => asked.filter(({ result }) => result !== "as expected");

beforeAll(async () => {
  files = await defineGateway({
    hold: { maxSeconds: 60, drainSeconds: 20, exclude: [] },
    visitors: { ...VISITORS, requestsPerSecond: 2000, burst: 2000, connections: 2000 },
  });
  host = await startHost();
  await host.exec(INSTALL);
  await write(
    "/etc/firewall.nft",
    renderFirewall({ sshPorts: [22], adminCidrs: { v4: ["192.0.2.0/24"], v6: [] } }),
  );
  await host.exec("nft --file /etc/firewall.nft");
  const [nginx, node] = await Promise.all([imageOf("nginx"), imageOf("node")]);
  for (const image of [nginx, node]) await host.load(image);
  await write(
    "/srv/service/service.mjs",
    await readFile(new URL("slow-service.mjs", import.meta.url), "utf8"),
  );
  await write(`${FOLDER}/nginx.conf`, files.configuration.content);
  await write(`${FOLDER}/routes/n8n.conf`, files.route.content);
  await write(`${FOLDER}/hold.js`, files.hold!.program);
  await write(HOLD_SCRIPT, files.hold!.script, "0755");
  await write(files.handover.program.path, files.handover.program.content, "0755");
  await host.exec(`TLS=${FOLDER}/tls DOMAIN=${DOMAIN}\n${files.placeholder.apply}`);
  await host.exec(
    `docker service create --quiet --detach --name technicia-n8n --endpoint-mode dnsrr --network name=technicia-edge,alias=n8n,alias=vector-store \
      --mount type=bind,src=/srv/service,dst=/service,readonly ${node} node /service/service.mjs >/dev/null`,
  );
  const id = (await host.exec("docker network inspect --format '{{.Id}}' technicia-edge")).trim();
  const spec = describeInApi({
    ...files.service,
    name: "technicia-gateway",
    taskSpec: {
      ...files.service.taskSpec,
      containerSpec: { ...files.service.taskSpec.containerSpec, image: nginx },
      networksAdvanceds: [{ id, aliases: [] }],
    },
  });
  await host.exec(
    `curl --silent --show-error --fail-with-body --unix-socket /run/docker.sock --header 'content-type: application/json' http://docker/services/create --data '${JSON.stringify(spec)}'`,
  );
  await until("the gateway is healthy", () => isHealthy("technicia-gateway"));
  await untilServing(async () => {
    const { status } = await ask(host.address, { path: "/webhook/waiting", name: DOMAIN });
    if (status !== 200) throw new Error(`expected 200, got ${status}`);
  });
});

afterAll(() => host.stop());

describe("a replacement of the gateway", () => {
  it("loses requests without a handover, so that these tests can fail", async () => {
    const asked = await visit(replaceGateway);

    expect(failed(asked)).not.toEqual([]);
  });

  it("loses none with it, also none that lasts longer than the replacement waits for", async () => {
    const asked = await visit(async () => {
      const long = ask(host.address, { path: "/webhook/hold", name: DOMAIN });
      await until(
        "the long request has come",
        async () => (await ask(host.address, { path: "/webhook/waiting", name: DOMAIN })).body === "1",
      );
      const begun = state("begin", "apply");
      await until("new visitors are led to the second gateway", async () =>
        (await host.exec("nft list tables")).includes("table ip technicia_gateway"),
      );
      // The old one may not stop before it has answered.
      await ask(host.address, { path: "/webhook/release", name: DOMAIN });
      expect((await long).body).toBe("released\n");
      await begun;
      await replaceGateway();
      await state("end", "apply");
    });

    expect(failed(asked)).toEqual([]);
    expect(asked.length).toBeGreaterThan(200);
    const longest = Math.max(...asked.map(({ seconds }) => seconds));
    console.log(
      `the gateway was replaced: ${asked.length} requests, the longest took ${longest.toFixed(2)} s`,
    );
    expect(longest).toBeLessThan(5);
    expect((await state("begin", "observe")).trim()).toBe(files.handover.begin.desired);
    expect((await state("end", "observe")).trim()).toBe(files.handover.end.desired);
    expect(await host.exec("docker service ls --format '{{.Name}}'; nft list tables")).not.toMatch(
      /second|technicia_gateway/,
    );
  });

  it("that nobody ends is ended by the server once the gateway answers, and is begun anew the next time", async () => {
    await state("begin", "apply");
    await host.exec(`${files.handover.program.path} expire`);

    expect((await state("begin", "observe")).trim()).toBe("");
    expect((await state("end", "observe")).trim()).toBe(files.handover.end.desired);
  });

  it("leaves visitors with the second one as long as the gateway does not answer", async () => {
    await state("begin", "apply");
    await host.exec("docker service scale --detach technicia-gateway=0 >/dev/null");
    await until("the gateway is gone", async () => (await idOf("technicia-gateway")) === "");

    await host.exec(`${files.handover.program.path} expire`);
    expect((await ask(host.address, { path: "/webhook/waiting", name: DOMAIN })).status).toBe(200);
    expect((await state("end", "observe")).trim()).toBe("a second gateway answers");

    await host.exec("docker service scale --detach technicia-gateway=1 >/dev/null");
    await until("the gateway is healthy", () => isHealthy("technicia-gateway"));
    await state("end", "apply");
  });

  it("leads visitors back where somebody has removed the second one", async () => {
    await state("begin", "apply");
    await host.exec("docker service rm technicia-gateway-second >/dev/null");
    expect((await state("end", "observe")).trim()).toBe("a second gateway answers");

    await state("end", "apply");

    expect((await ask(host.address, { path: "/webhook/waiting", name: DOMAIN })).status).toBe(200);
    expect((await state("end", "observe")).trim()).toBe(files.handover.end.desired);
  });

  it("hands nothing over where no gateway answers", async () => {
    await host.exec("docker service scale --detach technicia-gateway=0 >/dev/null");
    await until("the gateway is gone", async () => (await idOf("technicia-gateway")) === "");

    const { code, stderr } = await host.tryExec(`${files.handover.program.path} begin`);

    expect(code).toBe(0);
    expect(stderr).toContain("nothing is handed over");
    await host.exec("docker service scale --detach technicia-gateway=1 >/dev/null");
    await until("the gateway is healthy", () => isHealthy("technicia-gateway"));
  });

  it("waits for requests to n8n that are held, and a hold waits for it", async () => {
    await host.exec(`${HOLD_SCRIPT} pause`);
    const begun = state("begin", "apply");
    await until("a second gateway is healthy", () => isHealthy("technicia-gateway-second"));
    expect(await host.exec("nft list tables")).not.toContain("technicia_gateway");
    await host.exec(`${HOLD_SCRIPT} resume`);
    await begun;

    const paused = host.exec(`${HOLD_SCRIPT} pause`);
    await replaceGateway();
    await state("end", "apply");
    expect(await paused).toMatch(/^paused /);
    await host.exec(`${HOLD_SCRIPT} resume`);
  });
});
