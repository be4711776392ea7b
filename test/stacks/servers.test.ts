import { readFileSync } from "node:fs";

import { beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";

import { wireguardPrivateKey, wireguardPublicKey } from "../../infra/server-keys.ts";
import { DECLARED } from "../../stacks/declared.ts";
import type { Deployment } from "../../stacks/outputs.ts";
import { tunnelAddress } from "../../stacks/servers.ts";
import { type Recording, type Registration, reveal, Sealed } from "../support/engine.ts";
import { strongSecrets } from "../support/fixtures.ts";
import { listed, three, twoAndWitness } from "../support/servers.ts";
import { deploy, everything, type Variant } from "../support/technicia.ts";

const shape3: Variant = { settings: { ...everything.settings, ...listed(three) } };
const shape21: Variant = { settings: listed(twoAndWitness) };
const alone: Variant = { settings: listed([{ ...three[0]!, labels: [] }]) };
const withWorkers: Variant = {
  settings: listed([
    { ...three[1]!, name: "gra-1", labels: ["gateway"] },
    { ...three[0]!, name: "gra-2" },
    { ...three[2]!, role: "witness", labels: [] },
  ]),
};
const WIREGUARD = { cidr: "10.86.0.0/16" };
const addressOf = (name: string) => tunnelAddress(WIREGUARD, name);

type Program = Recording<Deployment>;

const inputsOf = ({ resource }: Program, name: string) => resource(name).inputs;
const variablesOf = (program: Program, name: string) =>
  inputsOf(program, name)["variables"] as Readonly<Record<string, string>>;

/** What a service says of where it runs. */
function placementOf(program: Program, service: string) {
  const { mode, taskSpec } = inputsOf(program, `technicia-${service}-service`) as {
    mode: object;
    taskSpec: { placement?: object };
  };
  return { mode, placement: taskSpec.placement };
}

describe("the program with a list of one server", () => {
  it("registers what it registers without a list, down to every input", async () => {
    const [ofList, usual] = [await deploy(alone), await deploy()];
    const bare = ({ registrations }: Program) =>
      registrations
        .map(({ identity, inputs, provider, protect }) => ({ identity, inputs, provider, protect }))
        .sort((a, b) => (a.identity < b.identity ? -1 : 1));

    expect(bare(ofList)).toEqual(bare(usual));
  });
});

describe.each([
  ["three servers", shape3, ["gra-2", "gra-3"]],
  ["two servers and a witness", shape21, ["gra-2", "sbg-1"]],
] as const)("the program with %s", (_shape, variant, others) => {
  let program: Program;
  beforeAll(async () => {
    program = await deploy(variant);
  });

  it("makes each server ready with the resources of an only one, and names the others' by their server", () => {
    for (const name of others) {
      const own = program.registrations.filter((one) => one.name.startsWith(`${name}/host-`));
      const first = program.registrations.filter((one) => /^host-/.test(one.name));
      const roleOf = (one: Registration) => one.name.replace(`${name}/`, "");
      // The Swarm is spoken to through the first one.
      const without = ["host-docker-connection"];
      const expected = first.map(roleOf).filter((role) => !without.includes(role));
      const doors = [
        "host-door-program",
        "host-door-list",
        "host-door-socket",
        "host-door-service",
        "host-door-unit",
      ];

      expect(own.map(roleOf).sort()).toEqual(expected.sort());
      expect(expected).toEqual(expect.arrayContaining(doors));
      expect(
        own.filter(({ type }) => type === "technicia:host:State").map(({ provider }) => provider),
      ).toEqual(
        own
          .filter(({ type }) => type === "technicia:host:State")
          // A manager writes down what each server is for.
          .map((one) => (roleOf(one) === "host-node" ? "host-connection" : `${name}/host-connection`)),
      );
    }
  });

  it("gives OVH a name for each server", () => {
    const names = ["vps-server", ...others.map((name) => `${name}/vps-server`)];

    expect(names.map((name) => inputsOf(program, name)["name"])).toEqual([
      "technicia-test",
      ...others.map((name) => `technicia-test-${name}`),
    ]);
  });

  it("connects every server with all others, each by a key of its own that no other one knows", () => {
    const seed = strongSecrets().wireguardKey;
    const all = ["gra-1", ...others];
    for (const [index, name] of all.entries()) {
      const { path, mode, content } = inputsOf(
        program,
        index === 0 ? "host-wireguard-configuration" : `${name}/host-wireguard-configuration`,
      );
      expect({ path, mode }).toEqual({ path: "/etc/wireguard/wg0.conf", mode: "0600" });
      expect(content).toBeInstanceOf(Sealed);
      const text = (content as Sealed).value as string;

      expect(text).toContain(`Address = ${addressOf(name)}/16\nListenPort = 51820\n`);
      expect(text).toContain("\nMTU = 1420\n");
      expect(text.match(/^PersistentKeepalive = 25$/gm)).toHaveLength(2);
      for (const other of all.filter((one) => one !== name)) {
        const key = wireguardPublicKey(wireguardPrivateKey(seed, other));
        expect(text).toContain(`PublicKey = ${key}\nAllowedIPs = ${addressOf(other)}/32\n`);
        expect(text).not.toContain(wireguardPrivateKey(seed, other));
      }
      expect(text).toContain(`PrivateKey = ${wireguardPrivateKey(seed, name)}\n`);
      expect(text).not.toContain(seed);
    }
  });

  it("opens the tunnel to the other servers alone, at OVH's edge and on the server", () => {
    const { content } = inputsOf(program, "host-firewall-table");
    const addresses = others.map((name) => `203.0.113.1${name.slice(-1)}`);

    expect(content).toContain(`    udp dport 51820 ip saddr { ${addresses.join(", ")} } accept\n`);
    expect(content).toContain('    iifname "wg0" tcp dport { 2377, 7946, 7947 } accept\n');
    expect(content).toContain('    iifname "wg0" udp dport { 4789, 7946 } accept\n');
    const rules = inputsOf(program, "edge-firewall-rules")["rules"] as { port?: number; source?: string }[];
    expect(rules.filter(({ port }) => port === 51_820).map(({ source }) => source)).toEqual(
      addresses.map((address) => `${address}/32`),
    );
    // The last rule denies the rest.
    expect(rules.at(-1)).toMatchObject({ action: "deny", protocol: "ipv4" });
  });

  it("starts Docker after the tunnel", () => {
    const { path, content } = inputsOf(program, "host-wireguard-docker-override");

    expect(path).toBe("/etc/systemd/system/docker.service.d/20-technicia-tunnel.conf");
    expect(content).toBe("[Unit]\nRequires=wg-quick@wg0.service\nAfter=wg-quick@wg0.service\n");
    expect(program.waitsFor("host-swarm", "host-wireguard-unit")).toBe(true);
  });

  it("begins the Swarm on the first server once all others are there, and has them join it", () => {
    for (const name of others) {
      expect(program.waitsFor("host-swarm", `${name}/host-door-unit`)).toBe(true);
      expect(program.waitsFor("host-swarm", `${name}/host-wireguard-heard`)).toBe(true);
      expect(program.waitsFor(`${name}/host-swarm`, "host-swarm")).toBe(true);
      expect(variablesOf(program, `${name}/host-swarm`)).toMatchObject({
        ADDRESS: addressOf(name),
        FIRST: "no",
      });
      expect(inputsOf(program, `${name}/host-swarm`)["secrets"]).toBeInstanceOf(Object);
    }
    expect(inputsOf(program, "host-swarm")).toMatchObject({
      desired: `active, at ${addressOf("gra-1")}`,
      variables: { FIRST: "yes", DOORS: others.map(addressOf).join(" ") },
    });
  });

  it("shows no proof of a server in clear", () => {
    const { secrets } = inputsOf(program, `${others[0]}/host-swarm`) as { secrets: object };
    const proof = /[0-9a-f]{64}/.exec(reveal(secrets))?.[0];

    expect(proof).toBeDefined();
    const clear = program.registrations.filter(({ inputs }) => JSON.stringify(inputs).includes(proof!));
    expect(clear.map(({ name }) => name)).toEqual([]);
    expect(reveal(inputsOf(program, "host-door-list"))).toContain(`${others[0]} manager ${proof} `);
  });

  it("lets packets of 1350 bytes into the networks between servers, which are others than those of an only server", () => {
    const networks = program.ofType("docker:index/network:Network").map(({ inputs }) => inputs);

    for (const { options } of networks) expect(options).toEqual({ "com.docker.network.driver.mtu": "1350" });
    const names = networks.map(({ name }) => name as string).sort();
    expect(DECLARED.networksOfSeveral).toEqual(expect.arrayContaining(names));
    expect(names.filter((name) => (DECLARED.networks as readonly string[]).includes(name))).toEqual([]);
  });

  it("runs the gateway once on every server in the names, with its files there", () => {
    const gateways = others.filter((name) => name.startsWith("gra"));

    expect(placementOf(program, "gateway")).toEqual({
      mode: { global: true },
      placement: { constraints: ["node.labels.technicia.gateway==1"] },
    });
    const { content, ...rest } = inputsOf(program, "technicia-gateway-configuration");
    for (const name of gateways) {
      const other = program.resource(`${name}/technicia-gateway-configuration`);
      expect(other).toMatchObject({ provider: `${name}/host-connection`, inputs: rest });
      // The authority's question is all that it answers in another way.
      const [own, first] = [other.inputs["content"], content].map((text) =>
        String(text).split(/(?<=acme-challenge\/ \{\n)([^]*?)(?=\n {4}\}\n)/),
      ) as [string[], string[]];
      expect(own[1]).toContain(`proxy_pass http://${addressOf("gra-1")};`);
      expect([own[0], own[2]]).toEqual([first[0], first[2]]);
      expect(first[1]).toContain("root ");
      expect(program.waitsFor("technicia-gateway-service", `${name}/technicia-gateway-configuration`)).toBe(
        true,
      );
    }
  });

  it("has a short-lived address for each gateway, and a reverse name for each address", () => {
    const gateways = others.filter((name) => name.startsWith("gra"));
    const names = ["dns-technicia-a", ...gateways.map((name) => `${name}/dns-technicia-a`)];

    expect(names.map((name) => inputsOf(program, name)["content"])).toEqual([
      "203.0.113.10",
      ...gateways.map((name) => `203.0.113.1${name.slice(-1)}`),
    ]);
    for (const name of names) expect(inputsOf(program, name)["ttl"]).toBe(60);
    for (const name of gateways) {
      expect(inputsOf(program, `${name}/dns-reverse-v4`)["ReverseIp"]).toBe(`203.0.113.1${name.slice(-1)}`);
    }
    expect(program.registrations.filter(({ name }) => name.startsWith("sbg-1/dns"))).toEqual([]);
  });

  it("spreads what keeps no data, and pins what does to the server of its label", () => {
    for (const service of ["vector-store", "vision-classifier", "frontend"]) {
      expect(placementOf(program, service)).toEqual({
        mode: { replicated: { replicas: 2 } },
        placement: { prefs: ["node.id"] },
      });
    }
    for (const [service, label] of [
      ["qdrant", "qdrant"],
      ["n8n", "n8n"],
      ["n8n-runners", "n8n"],
    ] as const) {
      expect(placementOf(program, service)).toEqual({
        mode: { replicated: { replicas: 1 } },
        placement: { constraints: [`node.labels.technicia.${label}==1`] },
      });
    }
  });

  it("pulls every service's image on every server that runs services before one of them changes", () => {
    const runs = others.filter((name) => name.startsWith("gra"));
    for (const name of runs) {
      expect(program.waitsFor("technicia-vector-store-service", `${name}/image-vector-store`)).toBe(true);
    }
    const images = program.ofType("technicia:host:Image").map(({ name }) => name);
    expect(images.filter((name) => name.startsWith("sbg-1/"))).toEqual([]);
    expect(images.filter((name) => /\/image-(certbot|restic)$/.test(name))).toEqual([]);
  });

  it("writes down on a manager what each server is for", () => {
    expect(inputsOf(program, "host-node")["desired"]).toBe(
      `active, manager, labels: ${["gateway", "monitoring", "n8n", "postgres", "qdrant"].map((label) => `technicia.${label}=1`).join(" ")}`,
    );
    expect(others.map((name) => inputsOf(program, `${name}/host-node`)["desired"])).toEqual(
      others.map((name) =>
        name === "sbg-1" ? "drain, manager, labels: none" : "active, manager, labels: technicia.gateway=1",
      ),
    );
    for (const name of others) {
      expect(program.waitsFor("technicia-qdrant-service", `${name}/host-node`)).toBe(true);
    }
  });

  it("knows its own servers, ports and files when it looks for what nobody declared", () => {
    const ports = inputsOf(program, "gra-2/extra-ports") as { observe: string; variables: object };

    expect(ports.variables).toMatchObject({ TUNNEL_PORT: "51820" });
    expect(ports.observe).toContain("is_declared_alone");
    const files = variablesOf(program, "gra-2/extra-files")["FILES"]!.split("\n");
    expect(files).toEqual(expect.arrayContaining([...DECLARED.filesOfSeveral]));
    const specs = variablesOf(program, "extra-specs");
    expect(specs["NODES"]).toBe(["gra-1", ...others].map(addressOf).join(" "));
  });

  it("declares every file of ours", () => {
    const written = program
      .ofType("technicia:host:File")
      .map(({ inputs }) => inputs["path"] as string)
      .filter((path) => !path.startsWith("/home/") && !path.startsWith("/etc/sudoers.d/"));
    const declared: readonly string[] = [...DECLARED.files, ...DECLARED.filesOfSeveral];

    expect(written.filter((path) => !declared.includes(path) && !path.startsWith("/etc/ssh/"))).toEqual([]);
  });

  it("shows in the first preview exactly the resources that the update creates", async () => {
    const preview = await deploy(variant, { preview: true });
    const identities = ({ registrations }: Program) => registrations.map(({ identity }) => identity).sort();

    expect(identities(preview)).toEqual(identities(program));
  });
});

describe("the server of the data", () => {
  it("may be another than the first: volumes, programs and backups are there, and the Swarm is still asked of the first", async () => {
    const program = await deploy(withWorkers);
    const providers = (names: readonly string[]) => names.map((name) => program.resource(name).provider);

    expect(
      providers([
        ...["technicia-qdrant-storage", "technicia-n8n-data", "technicia-metrics-data"],
        "technicia-tunnel",
      ]),
    ).toEqual(Array.from({ length: 4 }, () => "gra-2/host-docker-connection"));
    expect(providers(["qdrant-collection", "n8n-database", "n8n-owner", "certificate-served"])).toEqual(
      Array.from({ length: 4 }, () => "gra-2/host-connection"),
    );
    expect(providers(["technicia-qdrant-service", "technicia-metrics-service", "technicia-edge"])).toEqual(
      Array.from({ length: 3 }, () => "host-docker-connection"),
    );
  });
});

describe("the URNs of three servers", () => {
  it("stay the same", async () => {
    const { registrations } = await deploy({ settings: { ...committedServices(), ...listed(three) } });
    const urns = registrations.map(({ identity }) => `${identity}\n`).sort();

    await expect(urns.join("")).toMatchFileSnapshot("./servers-urns.golden.txt");
  });
});

/** The services that the committed settings of production switch on. */
function committedServices(): Readonly<Record<string, unknown>> {
  const { config } = parse(readFileSync(new URL("../../Pulumi.prod.yaml", import.meta.url), "utf8")) as {
    config: Record<string, Record<string, { enabled?: unknown }>>;
  };
  const services = Object.entries(config["technicia:services"]!);
  return Object.fromEntries(
    services.flatMap(([name, { enabled }]) =>
      typeof enabled === "boolean" ? [[`services.${name}.enabled`, enabled]] : [],
    ),
  );
}
