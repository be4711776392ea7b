/** The deployed system in containers of this machine: gateway, n8n, Qdrant and the vector-store. */
import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { N8N_ROUTE, renderGateway } from "../../../components/gateway-config.ts";
import { script } from "../../../common/script.ts";
import type { CheckContext, CheckEffects } from "../../../ops/checks/context.ts";
import type { PublicSite } from "../../../ops/checks/public/gateway.ts";
import { type N8n, n8nOf } from "../../../ops/checks/server/n8n.ts";
import { type Qdrant, qdrantOf } from "../../../ops/checks/server/vector-store.ts";
import { createNetwork, docker, imageOf } from "../../support/containers.ts";
import { freePorts } from "../../support/free-ports.ts";
import { until } from "../../support/until.ts";
import { contextWith, issue, localServer, outputsOf, strong, effectsWith } from "./fixtures.ts";
import { environmentWith } from "../../support/fixtures.ts";
import { gatewayConfig } from "../../support/gateway.ts";

export const DOMAIN = "localhost";
export const UPLOAD_MAX_MIB = 25;
const QDRANT_KEY = strong.qdrantApiKey;
const LABEL = "com.docker.swarm.service.name";

export interface System {
  readonly context: CheckContext;
  readonly effects: CheckEffects;
  readonly site: PublicSite;
  readonly qdrant: Qdrant;
  readonly n8n: N8n;
  /** Name of a service's container. */
  container(role: string): string;
  /** Changes nginx's configuration and waits until nginx uses it. */
  configure(change: (configuration: string) => string): Promise<void>;
  remove(): Promise<void>;
}

export async function startSystem(): Promise<System> {
  const [http = 0, https = 0] = await freePorts(2);
  const issued = await issue(DOMAIN, 60);
  const network = await createNetwork();
  const labelled = (service: string) => [
    "--label",
    `${LABEL}=technicia-${service}`,
    "--network-alias",
    service,
  ];
  const outer = `${network.name}-v6`;
  const remove = async () => {
    await network.remove();
    await docker("network", "rm", outer).catch(() => undefined);
    await issued.remove();
  };
  try {
    await network.start("qdrant", [
      ...labelled("qdrant"),
      ...["--publish", "127.0.0.1::6333", "--env", `QDRANT__SERVICE__API_KEY=${QDRANT_KEY}`],
      await imageOf("qdrant"),
    ]);
    await network.start("n8n", [
      ...labelled("n8n"),
      ...["--publish", "127.0.0.1::5678", "--env", "N8N_PROXY_HOPS=1", "--env", "N8N_METRICS=true"],
      ...["--env", "N8N_DIAGNOSTICS_ENABLED=false", await imageOf("n8n")],
    ]);
    await network.start("vector-store", [
      ...labelled("vector-store"),
      ...["--env", `QDRANT_API_KEY=${QDRANT_KEY}`, "--env", "VOYAGE_API_KEY=pa-rehearsal-0123456789"],
      await imageOf("vector-store"),
    ]);
    await mkdir(join(issued.folder, "tls"));
    await mkdir(join(issued.folder, "routes"));
    await writeFile(join(issued.folder, "routes/n8n.conf"), N8N_ROUTE.content);
    await writeFile(join(issued.folder, "tls/fullchain.pem"), issued.certificate);
    await writeFile(join(issued.folder, "tls/privkey.pem"), issued.key);
    const configuration = renderGateway(
      gatewayConfig({ domain: DOMAIN, uploadMaxMib: UPLOAD_MAX_MIB, uploadSeconds: 60, answerSeconds: 60 }),
    )
      .replaceAll("listen 80 ", `listen ${http} `)
      .replaceAll("listen 443 ", `listen ${https} `);
    const file = join(issued.folder, "nginx.conf");
    await writeFile(file, configuration);
    const gateway = await network.start("gateway", [
      ...labelled("gateway"),
      ...["--publish", `127.0.0.1:${http}:${http}`, "--publish", `127.0.0.1:${https}:${https}`],
      ...["--volume", `${issued.folder}:/etc/nginx/technicia:ro`, await imageOf("nginx")],
      ...["nginx", "-c", "/etc/nginx/technicia/nginx.conf", "-g", "daemon off;"],
    ]);
    await docker(
      "network",
      "create",
      "--label",
      "technicia.rehearsal=1",
      "--ipv6",
      "--subnet",
      `${freeSubnet6()}::/64`,
      outer,
    );
    await docker("network", "connect", outer, `${network.name}-gateway`);
    const format = `{{(index .NetworkSettings.Networks "${outer}").GlobalIPv6Address}}`;
    const ipv6 = await docker("container", "inspect", "--format", format, `${network.name}-gateway`);
    await network.start("tunnel", [...labelled("tunnel"), await imageOf("nginx")]);

    const container = (role: string) => `${network.name}-${role}`;
    const published = async (role: string, port: number) =>
      `http://${(await docker("port", container(role), `${port}/tcp`)).split("\n")[0]}`;
    const loopback = { n8n: await published("n8n", 5678), qdrant: await published("qdrant", 6333) };
    await prepareN8n(loopback.n8n);
    await prepareCollection(loopback.qdrant);
    const plain = environmentWith({
      uploadMaxMib: UPLOAD_MAX_MIB,
      "acme.directory": "https://acme-staging-v02.api.letsencrypt.org/directory",
      "timeouts.observationSeconds": 5,
      ...Object.fromEntries(
        ["n8nRunners", "documentProcessor", "visionClassifier", "frontend"].map((name) => [
          `services.${name}.enabled`,
          false,
        ]),
      ),
      // No ssh runs here, so a port that is open anyway takes its place.
      "ssh.port": http,
      monitoring: {
        thresholds: {
          release: { requestsPerSecond: 20, loadSeconds: 2, memoryUsedPercent: 99, diskFreePercent: 1 },
        },
      },
    });
    // The settings refuse `localhost` as a domain.
    const environment = { ...plain, domain: DOMAIN };
    const context = contextWith({
      environment,
      outputs: { ...outputsOf(environment), ipv4: gateway, ipv6 },
      server: localServer(),
      secrets: strong,
    });
    const address = { ports: { http, https }, authorities: issued.authority };
    return {
      context,
      effects: effectsWith({ ...address, loopback }),
      site: { domain: DOMAIN, ...address },
      qdrant: qdrantOf(context, loopback.qdrant),
      n8n: n8nOf(context, loopback.n8n),
      container,
      async configure(change) {
        const old = [...(await workersOf(container("gateway"))).keys()];
        await writeFile(file, change(configuration));
        await docker(
          ...["exec", container("gateway"), "nginx", "-c", "/etc/nginx/technicia/nginx.conf", "-s", "reload"],
        );
        // Old and new workers both accept connections until nginx stops the old ones.
        await until("the gateway has read its configuration", async () => {
          const workers = await workersOf(container("gateway"));
          const accepting = [...workers]
            .filter(([, title]) => !title.includes("shutting down"))
            .map(([id]) => id);
          return accepting.length > 0 && !accepting.some((id) => old.includes(id));
        });
      },
      remove,
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** nginx's workers by their process ids, with their titles. */
async function workersOf(container: string): Promise<Map<string, string>> {
  const lines = (await docker("top", container, "-eo", "pid,args")).split("\n");
  return new Map(
    lines.flatMap((line) => {
      const [, id = "", title = ""] = /^\s*(\d+)\s+(nginx: worker.*)$/.exec(line) ?? [];
      return id === "" ? [] : [[id, title] as const];
    }),
  );
}

/** n8n reports that it is ready a moment before its paths answer. */
export async function untilN8n(n8n: string): Promise<void> {
  const headers = { "user-agent": "Mozilla/5.0" };
  await until(
    "n8n answers",
    async () => {
      const answer = await fetch(`${n8n}/rest/settings`, { headers }).catch(() => undefined);
      return answer?.ok === true && (answer.headers.get("content-type") ?? "").includes("json");
    },
    90_000,
  );
}

async function prepareN8n(n8n: string): Promise<void> {
  const server = localServer();
  await untilN8n(n8n);
  const owner = {
    email: "admin@exemple.fr",
    firstName: "Ada",
    lastName: "Lovelace",
    password: strong.n8nOwnerPassword,
  };
  await server.run({
    purpose: "claim n8n",
    script: script(new URL("../../../components/scripts/n8n-owner-apply.sh", import.meta.url)),
    variables: { N8N: n8n, OWNER: JSON.stringify(owner), OBSERVED: "", DESIRED: "the instance has an owner" },
  });
}

async function prepareCollection(qdrant: string): Promise<void> {
  const ready = async () => (await fetch(`${qdrant}/readyz`).catch(() => undefined))?.ok === true;
  await until("Qdrant is ready", ready);
  const fields = {
    type: "keyword",
    schema_type: "keyword",
    document_name: "keyword",
    document_id: "keyword",
    page_number: "integer",
  };
  await localServer().run({
    purpose: "create the collection",
    script: script(new URL("../../../components/scripts/qdrant-collection-apply.sh", import.meta.url)),
    variables: {
      ...{ QDRANT: qdrant, COLLECTION: "technicia", SIZE: "1024", DISTANCE: "Cosine" },
      ...{ INDEXES: JSON.stringify(fields), API_KEY: QDRANT_KEY },
    },
  });
}

function freeSubnet6(): string {
  const part = () => randomBytes(2).toString("hex");
  return `fd00:${part()}:${part()}`;
}
