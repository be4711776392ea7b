/** Servers of a stack in one Swarm: our programs run on them as over ssh, against stand-ins for Docker's client, ping and curl. */
import { chmod, cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { parse, stringify } from "yaml";

import { SERVER_LABELS } from "../../../common/servers.ts";
import { readSettingsOf } from "./settings-of.ts";
import type { Pulumi, PulumiCall } from "../../../ops/engine/cli.ts";
import { opened, type Opened, type ServersWorld } from "../../../ops/servers/world.ts";
import { readHistory } from "../../../ops/server/records.ts";
import type { ServerCommand } from "../../../ops/server/connection.ts";
import { NoAnswer } from "../../../provider/ssh/host.ts";
import {
  DEFAULT_TOKEN,
  startCloudflare,
  type FakeCloudflare,
} from "../../../rehearsal/fake-clouds/cloudflare/server.ts";
import { DECLARATION_TYPE } from "../../../stacks/declaration-record.ts";
import { tunnelAddress } from "../../../stacks/servers.ts";
import { TestStack } from "../deploy/test-stack.ts";
import { startLocalServer, type LocalServer } from "../server/local-server.ts";

const FIRST_ADDRESS = 10;

const WIREGUARD = { cidr: "10.86.0.0/16" };

export interface ListedServer {
  readonly name: string;
  readonly role: string;
  readonly labels?: readonly string[];
  readonly [key: string]: unknown;
}

interface SwarmNode {
  readonly name: string;
  state: string;
  availability: string;
  role: string;
  address: string;
  leader: boolean;
  labels: Record<string, string>;
}

interface SwarmService {
  readonly name: string;
  readonly replicas?: number;
  readonly constraints?: readonly string[];
  on: string[];
  state?: string;
  error?: string;
}

export interface Swarm {
  nodes: SwarmNode[];
  services: SwarmService[];

  /** What every call of Docker's client fails with. */
  error?: string;
}

const pinned = (label: string) => [`node.labels.technicia.${label}==1`];

/** What the program runs, as far as it matters where. */
function servicesOn(
  [first = "", second = first]: readonly string[],
  gateways: readonly string[],
): SwarmService[] {
  return [
    { name: "technicia-gateway", constraints: pinned("gateway"), on: [...gateways] },
    { name: "technicia-n8n", replicas: 1, constraints: pinned("n8n"), on: [first] },
    { name: "technicia-qdrant", replicas: 1, constraints: pinned("qdrant"), on: [first] },
    { name: "technicia-frontend", replicas: 2, on: [first, second] },
    { name: "technicia-vector-store", replicas: 2, on: [first, second] },
  ];
}

/** Prints what the overview reads, so that a test knows it. */
const JSON_OF_LOAD = '{"load":0.5,"cores":4,"memoryMib":8000,"freeMib":6000,"diskPercent":31}';

export class TestFleet implements AsyncDisposable {
  readonly stack: TestStack;
  readonly cloudflare: FakeCloudflare;
  readonly folder: string;
  readonly servers: ReadonlyMap<string, LocalServer>;

  /** Names of the servers that are down: nobody reaches them. */
  readonly down = new Set<string>();

  /** What a login to a server fails with, instead of not being answered. */
  readonly failures = new Map<string, Error>();

  /** What a server answers to a purpose instead of running it. */
  readonly instead: Record<string, (name: string, command: ServerCommand) => string | Promise<string>> = {
    "see how the server is": () => JSON_OF_LOAD,
    "look for pending upgrades": () => "",
    "read the status of the backups": () => "",
  };

  /** Runs before the Swarm is looked at. */
  beforeView: () => Promise<void> = () => Promise.resolve();

  /** Calls of the engine that change something. */
  readonly ups: PulumiCall[] = [];
  readonly pauses: number[] = [];
  imported: string | undefined;

  private constructor(parts: Pick<TestFleet, "stack" | "cloudflare" | "folder" | "servers">) {
    [this.stack, this.cloudflare] = [parts.stack, parts.cloudflare];
    [this.folder, this.servers] = [parts.folder, parts.servers];
  }

  static async open(listed: readonly ListedServer[]): Promise<TestFleet> {
    const [stack, cloudflare] = [await TestStack.open(), await startCloudflare({ zones: ["exemple.fr"] })];
    const folder = await mkdtemp(join(tmpdir(), "technicia-fleet-"));
    await installPrograms(folder);
    const names = listed.length > 0 ? listed.map(({ name }) => name) : ["main"];
    const servers = new Map<string, LocalServer>();
    for (const name of names) {
      const variables = { FOLDER: folder, SELF: name };
      servers.set(name, await startLocalServer({ name, programs: folder, variables }));
    }
    const fleet = new TestFleet({ stack, cloudflare, folder, servers });
    fleet.#configure(listed);
    await fleet.write(swarmOf(listed));
    const gateways = listed.filter(({ labels }) => labels?.includes("gateway"));
    for (const { name } of gateways) fleet.#addRecord(fleet.addressOf(name));
    return fleet;
  }

  /** In which the servers have their addresses. */
  network = "203.0.113";

  addressOf(name: string): string {
    return `${this.network}.${FIRST_ADDRESS + [...this.servers.keys()].indexOf(name)}`;
  }

  /** The Swarm as it is now. */
  async swarm(): Promise<Swarm> {
    return JSON.parse(await readFile(join(this.folder, "swarm.json"), "utf8")) as Swarm;
  }

  async write(swarm: Swarm): Promise<void> {
    await writeFile(join(this.folder, "swarm.json"), JSON.stringify(swarm));
  }

  async change(edit: (swarm: Swarm) => void): Promise<void> {
    const swarm = await this.swarm();
    edit(swarm);
    await this.write(swarm);
  }

  /** It loses its power: nobody reaches it, and the Swarm runs its tasks elsewhere. */
  async powerOff(name: string): Promise<void> {
    this.down.add(name);
    await writeFile(
      join(this.folder, "silent"),
      [...this.down].map((one) => tunnelAddress(WIREGUARD, one)).join("\n"),
    );
    await this.change(({ nodes, services }) => {
      const node = nodes.find((one) => one.name === name)!;
      [node.state, node.leader] = ["down", false];
      const left = nodes.find(({ state, availability }) => state === "ready" && availability === "active");
      for (const service of services) {
        const isFree = service.constraints === undefined && left !== undefined;
        service.on = service.on.flatMap((one) => (one !== name ? [one] : isFree ? [left.name] : []));
      }
    });
  }

  /** What changed the Swarm, and on which server it was typed. */
  async calls(): Promise<readonly string[]> {
    const text = await readFile(join(this.folder, "calls"), "utf8");
    return text.split("\n").filter((line) => line !== "");
  }

  /** Addresses in the name that visitors use. */
  get addresses(): readonly string[] {
    return this.cloudflare.state.zones[0]!.records.map(({ content }) => content).sort();
  }

  get printed(): readonly string[] {
    return this.stack.printed;
  }

  async history(name: string): Promise<readonly string[]> {
    const { events } = await readHistory(this.servers.get(name)!);
    return events.map(({ action, detail }) => `${action}: ${detail}`);
  }

  get world(): ServersWorld {
    return {
      ...this.stack.operator,
      fetch,
      pulumi: (call) => this.#pulumi(call),
      openServer: ({ ssh }) => this.#serverAt(ssh.address),
      pause: (seconds) => Promise.resolve(void this.pauses.push(seconds)),
      clock: this.#clock,
    };
  }

  async run<T>(work: (all: Opened) => Promise<T>): Promise<T> {
    return await opened("test", this.world, work);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stack[Symbol.asyncDispose]();
    await this.cloudflare.close();
    for (const server of this.servers.values()) await server[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true });
  }

  /** How much longer than it says each pause of a wait is: waiting takes no time. */
  haste = 1;
  readonly #clock = (() => {
    let milliseconds = 0;
    return {
      now: () => milliseconds,
      wait: (pause: number) => Promise.resolve(void (milliseconds += pause * this.haste)),
    };
  })();

  #configure(listed: readonly ListedServer[]): void {
    const file = parse(this.stack.settings) as { config: Record<string, unknown> };
    const { config } = file;
    const { id } = this.cloudflare.state.zones[0]!;
    Object.assign(config["technicia:dns"] as object, { zoneId: id, cloudflareBaseUrl: this.cloudflare.url });
    config["technicia:cloudflareApiToken"] = { secure: "v1:cipher" };
    if (listed.length > 0) {
      delete (config["technicia:server"] as Record<string, unknown>)["serviceName"];
      config["technicia:servers"] = listed;
    }
    this.stack.settings = stringify(file);
    this.declare();
  }

  /** The settings that there are now are the deployed ones. */
  declare(): void {
    this.stack.declared = readSettingsOf(this.stack.settings);
  }

  #addRecord(content: string): void {
    const at = "2026-11-01T00:00:00Z";
    this.cloudflare.state.zones[0]!.records.push({
      ...{ id: `record-${content}`, name: "technicia.exemple.fr", type: "A", content, data: null, ttl: 60 },
      ...{
        proxied: false,
        priority: null,
        comment: null,
        tags: [],
        settings: {},
        createdOn: at,
        modifiedOn: at,
      },
    });
  }

  #serverAt(address: string) {
    const [name, server] = [...this.servers][Number(address.split(".")[3]) - FIRST_ADDRESS]!;
    return {
      ...server,
      run: async (command: ServerCommand) => {
        const failure = this.failures.get(name);
        if (failure !== undefined) throw failure;
        if (this.down.has(name))
          throw new NoAnswer(`ssh ${address}:22: expected sshd to answer, got: no answer`, undefined);
        if (command.purpose === "read the Swarm") await this.beforeView();
        const answer = this.instead[command.purpose];
        if (answer !== undefined) return { stdout: await answer(name, command), stderr: "" };
        return await server.run(command);
      },
    };
  }

  #pulumi: Pulumi = async (call) => {
    const { args } = call;
    if (args[0] === "config") return fixToken(await this.stack.operator.pulumi(call));
    if (args[0] === "stack" && args[1] === "export") return JSON.stringify(this.#state());
    if (args[0] === "stack" && args[1] === "import") {
      this.imported = call.input;
      return "";
    }
    if (args[0] === "up" || args[0] === "refresh") {
      this.ups.push(call);
      return "";
    }
    return await this.stack.operator.pulumi(call);
  };

  #state(): unknown {
    const names = [...this.servers.keys()];
    const perServer = names.flatMap((name, index) => {
      const prefix = index === 0 ? "" : `${name}/`;
      const address = this.addressOf(name);
      const connection = `urn:pulumi:test::technicia::technicia:infra:Host$pulumi:providers:technicia::${prefix}host-connection`;
      const content = { zoneId: "z", name: "technicia.exemple.fr", type: "A", content: address };
      return [
        {
          ...{ urn: connection, type: "pulumi:providers:technicia", id: `connection-${name}`, custom: true },
          inputs: {
            ...{ hostAddress: address, hostPort: "22", hostUser: "debian", hostPrivateKeyFile: "~/.ssh/id" },
            ...{ hostKey: "ssh-ed25519 AAAA", serverId: `${name}/1` },
          },
        },
        resource("technicia:ovh:Vps", `${prefix}vps-server`, {
          outputs: { serviceName: `vps-${name}`, ipv6: `2001:db8:113::${FIRST_ADDRESS + index}` },
        }),
        resource("technicia:host:File", `${prefix}host-sshd`, {
          provider: `${connection}::connection-${name}`,
        }),
        resource("cloudflare:index/dnsRecord:DnsRecord", `${prefix}dns-apex-a`, { inputs: content }),
      ];
    });
    const record = { basis: "", settings: this.stack.declared, digests: {} };
    const declaration = {
      urn: `urn:pulumi:test::technicia::${DECLARATION_TYPE}::declaration`,
      ...{ type: DECLARATION_TYPE, outputs: record },
    };
    const service = resource("docker:index/service:Service", "technicia-n8n-service");
    return { deployment: { resources: [...perServer, service, declaration] } };
  }
}

function resource(type: string, name: string, more: object = {}) {
  return { urn: `urn:pulumi:test::technicia::${type}::${name}`, type, id: name, custom: true, ...more };
}

/** The token that the stand-in for Cloudflare accepts. */
function fixToken(printed: string): string {
  const entries = JSON.parse(printed) as Record<string, { secret: boolean; value?: string }>;
  const token = entries["technicia:cloudflareApiToken"];
  if (token?.value !== undefined) token.value = DEFAULT_TOKEN.token;
  return JSON.stringify(entries);
}

function swarmOf(listed: readonly ListedServer[]): Swarm {
  const all = listed.length > 0 ? listed : [{ name: "main", role: "manager", labels: SERVER_LABELS }];
  const nodes = all.map(({ name, role, labels = [] }, index) => ({
    ...{ name, state: "ready", availability: role === "witness" ? "drain" : "active" },
    ...{ role: role === "worker" ? "worker" : "manager", leader: index === 0 },
    address: listed.length > 1 ? tunnelAddress(WIREGUARD, name) : "127.0.0.1",
    labels: Object.fromEntries(labels.map((label) => [`technicia.${label}`, "1"])),
  }));
  const workers = all.filter(({ role }) => role !== "witness").map(({ name }) => name);
  const gateways = all.filter(({ labels }) => labels?.includes("gateway")).map(({ name }) => name);
  return { nodes, services: servicesOn(workers, gateways) };
}

async function installPrograms(folder: string): Promise<void> {
  await cp(new URL("docker.py", import.meta.url), join(folder, "docker"));
  // It hears everybody who is not named in the file.
  await writeFile(
    join(folder, "ping"),
    '#!/bin/bash\n! grep --quiet --line-regexp "${!#}" "$FOLDER/silent"\n',
  );
  // No test connects to an address of the tunnel.
  await writeFile(join(folder, "timeout"), "#!/bin/bash\nexit 124\n");
  await writeFile(join(folder, "curl"), '#!/bin/bash\nprintf "%s" "$(cat "$FOLDER/status")"\n');
  for (const program of ["docker", "ping", "timeout", "curl"]) await chmod(join(folder, program), 0o755);
  for (const [file, text] of [
    ["calls", ""],
    ["silent", ""],
    ["status", "200"],
  ] as const)
    await writeFile(join(folder, file), text);
}
