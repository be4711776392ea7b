import { readFileSync } from "node:fs";

import { describe, expect, it, vi } from "vitest";

import { type DeploymentStatus, stackOutputs } from "../../stacks/deployment-status.ts";
import { Sealed, UNKNOWN, valueOf } from "../support/engine.ts";
import { deploy, everything, least, usual, type Variant } from "../support/technicia.ts";

const variants: [string, Variant][] = [
  ["everything", everything],
  ["the least", least],
];

const HOST = "host-connection";
const DOCKER = "host-docker-connection";

describe.each(variants)("the program with %s", (_name, variant) => {
  it("shows in the first preview exactly the resources that the update creates", async () => {
    const [preview, update] = [await deploy(variant, { preview: true }), await deploy(variant)];
    const urns = (recording: typeof preview) => recording.registrations.map(({ urn }) => urn).sort();

    expect(preview.resource("host-docker-connection").inputs["host"]).toBe(UNKNOWN);
    expect(urns(preview)).toEqual(urns(update));
  });

  it("gives every resource the provider of the place where it exists", async () => {
    const { registrations } = await deploy(variant);
    const expected: Record<string, string> = {
      "technicia:ovh": "cloud",
      "technicia:host": HOST,
      "technicia:n8n": HOST,
      docker: DOCKER,
      cloudflare: "cloudflare",
      ovh: "ovh",
      command: "local",
    };
    const strays = registrations
      .filter(({ custom, type }) => custom && !type.startsWith("pulumi:providers:"))
      .filter(({ type, name, provider }) => {
        const [vendor = "", module = ""] = type.split(":");
        const wanted = expected[`${vendor}:${module}`] ?? expected[vendor];
        return provider !== (name === "host-key" ? "cloud" : wanted);
      });

    expect(strays).toEqual([]);
  });

  it("names every child after its parent", async () => {
    const { registrations } = await deploy(variant);
    const others = registrations.filter(({ name, parent }) => !name.startsWith(parent));

    const networks = ["technicia-app", "technicia-data", "technicia-edge", "technicia-runners"];
    const monitoring = {
      networks: ["technicia-monitoring", "technicia-outside"],
      monitoring: [
        ...["technicia-alerts", "technicia-alerts-data", "technicia-log-rules", "technicia-logs"],
        ...["technicia-logs-data", "technicia-metric-rules", "technicia-metrics"],
        ...["technicia-metrics-data", "technicia-probes"],
      ],
    };
    const expected = [
      ...(variant !== least ? monitoring.monitoring : []).map((name) => ["monitoring", name]),
      ...[...networks, ...(variant !== least ? monitoring.networks : [])].map((name) => ["networks", name]),
    ];
    expect(others.map(({ name, parent }) => [parent, name]).sort()).toEqual(expected.sort());
  });

  it("gives every resource of a provider a unique name", async () => {
    const { registrations } = await deploy(variant);
    const names = registrations.filter(({ custom }) => custom).map(({ name }) => name);

    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
  });

  it.each([
    ["packages are installed", "host-packages", "the edge firewall is up", "edge-firewall-rules"],
    ["Docker runs", "host-docker", "the edge firewall is up", "edge-firewall-rules"],
    ["the swarm starts", "host-swarm", "the firewall is loaded", "host-firewall-loaded"],
    ["a network is created", "technicia-edge", "the swarm runs", "host-swarm"],
    ["the collection is created", "qdrant-collection", "Qdrant runs", "technicia-qdrant-service"],
    ["the collection is created", "qdrant-collection", "the tunnel reaches it", "technicia-tunnel"],
    [
      "the vector-store starts",
      "technicia-vector-store-service",
      "its collection exists",
      "qdrant-collection",
    ],
    ["n8n starts", "technicia-n8n-service", "its data is there", "n8n-database"],
    ["n8n's owner is created", "n8n-owner", "n8n runs", "technicia-n8n-service"],
    ["n8n's owner is created", "n8n-owner", "the tunnel reaches n8n", "technicia-tunnel"],
    ["the gateway routes to n8n", "technicia-gateway-n8n-route", "n8n has an owner", "n8n-owner"],
    ["a certificate is ordered", "certificate-served", "the gateway answers", "technicia-gateway-service"],
    ["a certificate is ordered", "certificate-served", "the name points to the server", "dns-technicia-a"],
    [
      "a certificate is ordered",
      "certificate-served",
      "the CAA record admits the authority",
      "dns-caa-letsencrypt.org",
    ],
    ["the public address is probed", "public-probe", "its certificate is served", "certificate-served"],
    ["an image is pulled", "image-gateway", "nothing restarts Docker any more", "host-docker-rules"],
    ["the public address is probed", "public-probe", "n8n is reached", "technicia-gateway-n8n-route"],
    [
      "the public address is probed",
      "public-probe",
      "the vector-store runs",
      "technicia-vector-store-service",
    ],
  ])("%s (%s) only after %s (%s)", async (_later, later, _earlier, earlier) => {
    const { waitsFor } = await deploy(variant);

    expect(waitsFor(later, earlier)).toBe(true);
    expect(waitsFor(earlier, later)).toBe(false);
  });
});

/** Programs of the monitoring, which start after the public address answers. */
const MONITORING = [
  "technicia-alerts",
  "technicia-log-rules",
  "technicia-logs",
  "technicia-metric-rules",
  "technicia-metrics",
  "technicia-probes",
];

/** Every other service of the program. */
const EVERY_SERVICE = [
  "technicia-document-processor",
  "technicia-frontend",
  "technicia-gateway",
  "technicia-n8n-runners",
  "technicia-n8n",
  "technicia-postgres",
  "technicia-qdrant",
  "technicia-vector-store",
  "technicia-vision-classifier",
];

describe("the program", () => {
  it("starts n8n only after its database server, if it has one", async () => {
    const { waitsFor } = await deploy(everything);

    expect(waitsFor("technicia-n8n-service", "technicia-postgres-service")).toBe(true);
  });

  it("starts the gateway and orders the certificate while n8n, the largest image, is still being pulled", async () => {
    const { waitsFor } = await deploy(everything);

    expect(waitsFor("technicia-gateway-service", "image-n8n")).toBe(false);
    expect(waitsFor("certificate-served", "image-n8n")).toBe(false);
  });

  it("probes the public address after every service that is switched on", async () => {
    const { waitsFor, ofType } = await deploy(everything);
    const behind = ofType("docker:index/service:Service")
      .map(({ name }) => name)
      .filter((name) => !name.includes("runners"));
    const isMonitoring = (name: string) => MONITORING.includes(name.replace(/-service$/, ""));

    expect(behind).toHaveLength(EVERY_SERVICE.length - 1 + MONITORING.length);
    expect(behind.filter((name) => !waitsFor("public-probe", name))).toEqual(behind.filter(isMonitoring));
  });

  it("starts the monitoring, its images included, only after the public address answers", async () => {
    const { waitsFor } = await deploy(everything);
    const images = ["image-metrics", "image-logs", "image-rules", "image-alerts", "image-probes"];

    for (const name of [
      ...images,
      ...MONITORING.map((service) => `${service}-service`),
      "monitoring-collect",
    ])
      expect(waitsFor(name, "public-probe")).toBe(true);
  });

  it("sends the lines of all containers to the journal with monitoring, and leaves them with Docker without", async () => {
    const drivers = async (variant: Variant) =>
      (await deploy(variant)).ofType("docker:index/service:Service").map(({ name, inputs }) => {
        const { logDriver } = inputs["taskSpec"] as {
          logDriver: { name: string; options: Record<string, string> };
        };
        return [name, logDriver.name, logDriver.options["tag"]];
      });

    for (const [name, driver, tag] of await drivers(everything))
      expect([name, driver]).toEqual([`technicia-${tag}-service`, "journald"]);
    expect(new Set((await drivers(least)).map(([, driver]) => driver))).toEqual(new Set(["json-file"]));
  });

  it("tells of the monitoring's pages at the end of a tunnel, where there are any", async () => {
    const tunnels = async (variant: Variant) =>
      ((await valueOf((await deploy(variant)).result.tunnels)) as { service: string; url: string }[]).map(
        ({ service, url }) => `${service} ${url}`,
      );

    expect(await tunnels(least)).toEqual(["n8n http://localhost:5678", "Qdrant http://localhost:6333"]);
    expect(await tunnels(everything)).toEqual([
      ...(await tunnels(least)),
      "Dashboards http://localhost:8428/vmui/#/dashboards",
      "Logs http://localhost:9428/select/vmui/",
      "Alerts http://localhost:9093/",
    ]);
  });

  it("registers these kinds of resources and no other", async () => {
    const kinds = async (variant: Variant) => [
      ...new Set(
        (await deploy(variant)).registrations.filter(({ custom }) => custom).map(({ type }) => type),
      ),
    ];
    const all = new Set([...(await kinds(everything)), ...(await kinds(least))]);

    // Of OVH's plugin only what is safe: its Vps orders twice, its firewall rules remove each other.
    expect([...all].sort()).toEqual([
      "cloudflare:index/dnsRecord:DnsRecord",
      "command:local:Command",
      "docker:index/container:Container",
      "docker:index/network:Network",
      "docker:index/secret:Secret",
      "docker:index/service:Service",
      "docker:index/volume:Volume",
      "ovh:CloudProject/s3Credential:S3Credential",
      "ovh:CloudProject/s3Policy:S3Policy",
      "ovh:CloudProject/storage:Storage",
      "ovh:CloudProject/user:User",
      "ovh:Domain/zoneRecord:ZoneRecord",
      "ovh:Ip/reverse:Reverse",
      "ovh:index/cloudProjectStorageObjectBucketLifecycleConfiguration:CloudProjectStorageObjectBucketLifecycleConfiguration",
      "pulumi:providers:cloudflare",
      "pulumi:providers:command",
      "pulumi:providers:docker",
      "pulumi:providers:ovh",
      "pulumi:providers:technicia",
      "technicia:host:File",
      "technicia:host:HostKey",
      "technicia:host:Image",
      "technicia:host:Packages",
      "technicia:host:State",
      "technicia:host:Unit",
      "technicia:n8n:Content",
      "technicia:ovh:EdgeFirewall",
      "technicia:ovh:ReverseName",
      "technicia:ovh:Vps",
    ]);
  });

  it("runs every service from an image that was pulled before, by its digest", async () => {
    const { ofType } = await deploy(everything);
    const names = ofType("technicia:host:Image").map(({ inputs }) =>
      String(inputs["name"]).replace(/@.*/, ""),
    );
    for (const { inputs } of ofType("docker:index/service:Service")) {
      const { image } = (inputs["taskSpec"] as { containerSpec: { image: string } }).containerSpec;
      expect(image).toMatch(/@sha256:[0-9a-f]{64}$/);
      expect(names).toContain(image.replace(/@.*/, ""));
    }
  });

  it("outputs the version of every service that is switched on", async () => {
    const { result, ofType } = await deploy(everything);
    const { versions } = (await valueOf(result.deploymentStatus)) as DeploymentStatus;

    expect(versions.map(({ service }) => service).sort()).toEqual(
      ofType("docker:index/service:Service")
        .map(({ name }) => name.replace(/^technicia-|-service$/g, ""))
        .map((name) => name.replace(/-[a-z]/g, (part) => part.slice(1).toUpperCase()))
        .sort(),
    );
  });

  it("has exactly these services, one for each switch of the settings", async () => {
    const services = async (variant: Variant) =>
      (await deploy(variant)).ofType("docker:index/service:Service").map(({ inputs }) => inputs["name"]);

    expect(await services(least)).toEqual([
      "technicia-gateway",
      "technicia-n8n",
      "technicia-qdrant",
      "technicia-vector-store",
    ]);
    expect((await services(everything)).sort()).toEqual([...EVERY_SERVICE, ...MONITORING].sort());
  });

  it("adopts the server that the settings name, and orders one if they name none", async () => {
    const { serviceName, order } = (await deploy()).resource("vps-server").inputs;
    const ordered = (await deploy(least)).resource("vps-server").inputs;

    expect({ serviceName, order }).toEqual({ serviceName: "vps-1a2b3c4d.vps.ovh.net", order: undefined });
    expect(ordered["order"]).toEqual({ subsidiary: "FR", maxMonthlyPriceEur: 15 });
    expect(ordered["serviceName"]).toBeUndefined();
  });

  it("serves the editor under its own name once somebody may open it", async () => {
    const { resource, registrations } = await deploy(everything);
    const without = await deploy();

    expect(resource("certificate-settings").inputs["content"]).toContain(
      "DOMAINS='technicia.exemple.fr n8n.technicia.exemple.fr'",
    );
    expect(resource("technicia-gateway-configuration").inputs["content"]).toContain(
      "server_name n8n.technicia.exemple.fr;",
    );
    expect(registrations.map(({ name }) => name)).toContain("dns-n8n.technicia-a");
    expect(without.registrations.map(({ name }) => name)).not.toContain("dns-n8n.technicia-a");
    expect(without.resource("certificate-settings").inputs["content"]).toContain(
      "DOMAINS='technicia.exemple.fr'\n",
    );
  });

  it("tells browsers to insist on HTTPS only for an authority that they trust", async () => {
    const staging = "https://acme-staging-v02.api.letsencrypt.org/directory";
    const configuration = async (variant: Variant) =>
      (await deploy(variant)).resource("technicia-gateway-configuration").inputs["content"];

    expect(await configuration(usual)).toContain("Strict-Transport-Security");
    expect(await configuration({ settings: { "acme.directory": staging } })).not.toContain(
      "Strict-Transport-Security",
    );
  });

  it("says in a preview, and in no update, what visitors cannot reach", async () => {
    const variant = { settings: { protectData: false, "services.gateway.openPaths": ["waiting"] } };
    const said = vi.spyOn(console, "log").mockImplementation(() => undefined);
    const notes = () =>
      (said.mock.calls.flat() as unknown[]).map(String).filter((line) => line.startsWith("info:"));

    await deploy(variant);
    expect(notes()).toEqual([]);
    await deploy(variant, { preview: true });
    expect(notes()).toEqual([
      expect.stringContaining("visitors come over IPv4 only"),
      "info: [runtime] links that n8n prints to /form/, /form-waiting/, /mcp/, /chat lead nowhere: services.gateway.openPaths opens forms, mcp, chat",
    ]);
    said.mockRestore();
  });

  it("uses one upload limit for nginx and both settings of n8n", async () => {
    const { resource } = await deploy({ settings: { uploadMaxMib: 150 } });
    const { taskSpec } = resource("technicia-n8n-service").inputs as {
      taskSpec: { containerSpec: { env: Record<string, string> } };
    };
    const { N8N_PAYLOAD_SIZE_MAX, N8N_FORMDATA_FILE_SIZE_MAX } = taskSpec.containerSpec.env;
    const content = String(resource("technicia-gateway-configuration").inputs["content"]);

    expect([N8N_PAYLOAD_SIZE_MAX, N8N_FORMDATA_FILE_SIZE_MAX]).toEqual(["150", "150"]);
    expect([...content.matchAll(/client_max_body_size (\d+)m/g)].map(([, limit]) => limit)).toEqual([
      "1",
      "150",
      "150",
    ]);
  });

  it("lets workflows call the other services by either name", async () => {
    const { resource } = await deploy();
    const { taskSpec } = resource("technicia-n8n-service").inputs as {
      taskSpec: { containerSpec: { env: Record<string, string> } };
    };

    expect(taskSpec.containerSpec.env["N8N_SSRF_ALLOWED_HOSTNAMES"]?.split(",")).toEqual(
      ["qdrant", "vector-store", "document-processor", "vision-classifier"].flatMap((name) => [
        name,
        `technicia-${name}`,
      ]),
    );
  });

  it("creates the collection with the vectors and indexes of the contract", async () => {
    const { resource } = await deploy();

    expect(JSON.parse(String(resource("qdrant-collection").inputs["desired"]))).toEqual({
      size: 1024,
      distance: "Cosine",
      indexes: {
        document_id: "keyword",
        document_name: "keyword",
        page_number: "integer",
        schema_type: "keyword",
        type: "keyword",
      },
    });
  });
});

describe("the last probe", () => {
  it("asks the public address again when anything that it passes through changes", async () => {
    const { resource } = await deploy(everything);
    const { create, triggers } = resource("public-probe").inputs as { create: string; triggers: string[] };

    expect(create).toBe("node ../components/probe.ts https://technicia.exemple.fr/healthz 300");
    expect(triggers.slice(0, 2)).toEqual([
      "what certificate-served observed",
      "digest of technicia-gateway-configuration",
    ]);
    // Neither the runners nor the database answers the public address.
    expect(triggers.slice(2)).toHaveLength(EVERY_SERVICE.length - 2);
    for (const revision of triggers.slice(2)) expect(revision).toMatch(/^[0-9a-f]{16}$/);
  });

  it("undoes nothing when it is replaced, and cannot hang on a long line", async () => {
    const { resource } = await deploy();
    const { inputs } = resource("public-probe");

    expect(Object.keys(inputs).sort()).toEqual(["create", "logging", "triggers"]);
    expect(inputs["logging"]).toBe("none");
  });
});

describe("the outputs", () => {
  it("are what the status command reads, in clear", async () => {
    const { result } = await deploy(everything);
    const outputs = await valueOf({ ...result });

    expect(outputs).not.toBeInstanceOf(Sealed);
    expect(stackOutputs.parse(outputs)).toEqual(outputs);
  });

  it("contain the addresses and the ssh command", async () => {
    const { result } = await deploy();

    expect(result.url).toBe("https://technicia.exemple.fr");
    expect(await valueOf(result.ipv4)).toBe("203.0.113.10");
    expect(await valueOf(result.ipv6)).toBe("2001:db8:113::10");
    expect(await valueOf(result.sshCommand)).toBe("ssh -i ~/.ssh/id_ed25519 -p 22 debian@203.0.113.10");
  });
});

describe("stacks/index.ts", () => {
  const source = readFileSync(new URL("../../stacks/index.ts", import.meta.url), "utf8");

  it("reads, checks, defines and exports in two dozen lines at most", () => {
    expect(source.trimEnd().split("\n").length).toBeLessThanOrEqual(24);
  });

  it("exports every output that the status command reads", () => {
    const exported = /export const \{([^}]+)\}/
      .exec(source)?.[1]
      ?.split(",")
      .map((name) => name.trim());

    expect(exported?.sort()).toEqual(Object.keys(stackOutputs.shape).sort());
  });
});
