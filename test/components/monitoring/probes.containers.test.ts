import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { run, tryRun } from "../../../common/run.ts";
import { metricRules } from "../../../components/monitoring/metric-rules.ts";
import { type ProbeModule, renderProbes } from "../../../components/monitoring/probes.ts";
import { renderScrape } from "../../../components/monitoring/scrape.ts";
import { monitoringProgram } from "../../support/monitoring-programs.ts";
import { monitoringFacts } from "./facts.ts";
import { type RunningProgram, startProgram } from "./program.ts";

const DAY = 86_400;

/** Of an environment whose authority browsers know, and of one for tests. */
let probes: Readonly<Record<"trusted" | "untrusted", RunningProgram>>;
const servers: Server[] = [];

async function serve(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  servers.push(server);
  return (server.address() as AddressInfo).port;
}

const startProbes = (trusted: boolean) =>
  startProgram("blackbox-exporter", {
    ready: "/-/healthy",
    prepare: (folder) => writeFile(join(folder, "blackbox.yml"), renderProbes(monitoringFacts({ trusted }))),
    args: ({ folder, port }) => [
      `--config.file=${join(folder, "blackbox.yml")}`,
      `--web.listen-address=127.0.0.1:${port}`,
    ],
  });

beforeAll(async () => {
  probes = { trusted: await startProbes(true), untrusted: await startProbes(false) };
});

afterAll(async () => {
  for (const server of servers) server.close();
  await Promise.all(Object.values(probes).map((program) => program.stop()));
});

/** What the exporter answers to a scrape. */
async function ask(module: ProbeModule, target: string, of: "trusted" | "untrusted" = "trusted") {
  const query = new URLSearchParams({ module, target });
  const text = await (await fetch(`${probes[of].url}/probe?${query.toString()}`)).text();
  const read = (metric: string) => new RegExp(`^${metric} (.*)$`, "m").exec(text)?.[1];
  return {
    success: read("probe_success"),
    expiry: Number(read("probe_ssl_earliest_cert_expiry")),
    names: /^probe_ssl_last_chain_info\{.*subjectalternative="([^"]*)".*\} 1$/m.exec(text)?.[1],
  };
}

describe("a probe inside", () => {
  it("succeeds with a status of 200 to 299, and with no other", async () => {
    const port = await serve(
      createServer((request, response) => {
        response.statusCode = Number(request.url?.slice(1));
        if (response.statusCode === 302) response.setHeader("location", "/200");
        response.end();
      }),
    );
    for (const [status, success] of [
      ["200", "1"],
      ["204", "1"],
      ["302", "0"],
      ["404", "0"],
      ["503", "0"],
    ] as const)
      expect(await ask("inside", `http://127.0.0.1:${port}/${status}`)).toMatchObject({ success });
  });

  it("of a port succeeds while something listens there", async () => {
    const server = createServer();
    const port = await serve(server);
    expect(await ask("port", `127.0.0.1:${port}`)).toMatchObject({ success: "1" });
    server.close();
    await once(server, "close");
    expect(await ask("port", `127.0.0.1:${port}`)).toMatchObject({ success: "0" });
  });
});

describe("a probe of a public address", () => {
  let url: string;
  beforeAll(async () => {
    const folder = probes.trusted.folder;
    const [key, certificate] = [join(folder, "key.pem"), join(folder, "certificate.pem")];
    await run(
      [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "5",
      ].concat([
        "-subj",
        "/CN=127.0.0.1",
        "-addext",
        "subjectAltName=IP:127.0.0.1,DNS:autre.exemple.fr,DNS:technicia.exemple.fr",
        "-keyout",
        key,
        "-out",
        certificate,
      ]),
    );
    const files = { key: await readFile(key), cert: await readFile(certificate) };
    url = `https://127.0.0.1:${await serve(createSecureServer(files, (_, response) => void response.end("ok")))}/healthz`;
  });

  it("fails where browsers would refuse the certificate", async () => {
    expect(await ask("public", url)).toMatchObject({ success: "0" });
    expect(await ask("neighbour", url)).toMatchObject({ success: "0" });
  });

  it("succeeds in an environment for tests, and says until when the certificate is valid", async () => {
    for (const module of ["public", "neighbour_untrusted"] as const) {
      const { success, expiry } = await ask(module, url, "untrusted");
      expect(success).toBe("1");
      expect((expiry - Date.now() / 1000) / DAY).toBeCloseTo(5, 1);
    }
  });

  it("says in an environment for tests which names the certificate has, in the form that the rule about them reads", async () => {
    const { names } = await ask("public", url, "untrusted");
    const { expr = "" } =
      metricRules(monitoringFacts()).find(({ name }) => name === "CertificateWrongName") ?? {};
    const wanted = new RegExp(`^${/subjectalternative=~"([^"]*)"/.exec(expr)?.[1] ?? "nothing"}$`);

    expect(names).toBe("autre.exemple.fr,technicia.exemple.fr");
    expect(names).toMatch(wanted);
    expect("autre.exemple.fr").not.toMatch(wanted);
  });

  it("fails without encryption", async () => {
    const port = await serve(createServer((_, response) => void response.end("ok")));
    expect(await ask("public", `http://127.0.0.1:${port}/healthz`, "untrusted")).toMatchObject({
      success: "0",
    });
  });
});

it("VictoriaMetrics accepts what is to be scraped", async () => {
  const metrics = await monitoringProgram("victoria-metrics");
  for (const change of [{}, { neighbours: [], qdrantApiKey: false }]) {
    const file = join(probes.trusted.folder, "scrape.yml");
    await writeFile(file, renderScrape(monitoringFacts(change)));
    expect(await tryRun([metrics, "-dryRun", `-promscrape.config=${file}`])).toMatchObject({ code: 0 });
  }
});
