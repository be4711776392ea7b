import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { Accounts } from "./stack-settings.ts";
import { knownAccounts } from "./ai-accounts.ts";
import { ensureAuthority, ensureCertificate } from "./authority.ts";
import type { Configuration } from "./fake-clouds/configuration.ts";
import type { Place } from "./fake-clouds/machine/docker-machine.ts";
import { answers, ensureContainer, routeThroughRouter, statusOf, untilReady } from "./containers.ts";
import { docker } from "./docker.ts";
import { run, tryRun } from "../common/run.ts";
import { keyRights } from "../provider/ovh/rights.ts";
import type { Images } from "./images/build.ts";
import { type System, SYSTEM_NAMES } from "./images/catalog.ts";
import { registryRunArgs } from "./images/publish.ts";
import { placesOf as placesOfShape, type Shape, TUNNEL_AT_DELIVERY } from "./fleet.ts";
import { ensureMail, MAIL_HOST } from "./mail.ts";
import { NAMED_HOSTS, namedHostsCertificate } from "./named-hosts.ts";
import { operatorPublicKey } from "./operator-files.ts";
import { forgetOwnRegistry, prepareOwnRegistry } from "./own-registry.ts";
import { prepareStorage, STORAGE_HOST, storeBehindOvh } from "./storage.ts";
import type { Rendered } from "./variants.ts";
import { DATACENTRE, INTERNET, LABEL, PREFIX, ROOT, SECOND_DATACENTRE, STATE, ZONE } from "./addresses.ts";

/** A server that is there from the start boots first, and is made what it has to be. */
const CLOUDS_READY_MS = 300_000;
/** Of the zone, as the fake Cloudflare names them. */
const NAME_SERVERS = ["ada.ns.cloudflare.com", "bob.ns.cloudflare.com"];

/** Long enough to be met by the first package that a deployment installs. */
const FIRST_UPGRADE_SECONDS = 30;

/** What makes network devices of which a program is the other end; not every kernel has it. */
export const TUN = "/dev/net/tun";

export const ROUTER = `${PREFIX}-router`;
export const SERVER = `${PREFIX}-server`;
/** Of the second environment, where there is one. */
export const SECOND_SERVER = `${SERVER}-2`;
/** Containers of an environment's servers, in the order of its list. */
export const serverNames = (shape: Shape): string[] =>
  placesOfShape(shape).map((_, at) => (at === 0 ? SERVER : `${SERVER}-${at + 1}`));
const STORAGE = `${PREFIX}-storage`;

/** OVH's name for the server of a rehearsal that orders none. */
export const OWNED_SERVER = "vps-0a1b2c3d.vps.ovh.net";
/** Large enough for every environment. */
const OWNED_PLAN = "vps-2027-model4";

export interface WorldOptions {
  readonly accounts: Accounts;

  /** Operating system of a server that is there from the start. */
  readonly system: System;
  readonly shape: Rendered;

  /** Whether there is room for a second server, in a datacentre of its own. */
  readonly hasNeighbour: boolean;

  /** How many servers the environment has. */
  readonly servers: Shape;
}

type Room = Pick<WorldOptions, "hasNeighbour" | "servers">;

/** Where servers are delivered, for the fake clouds. */
export function placesOf({ hasNeighbour, servers }: Room): Place[] {
  const names = serverNames(servers);
  const own = placesOfShape(servers).map((place, at) => ({ ...place, container: names[at]! }));
  const [neighbour] = placesOfShape("2+1").slice(-1);
  return [...own, ...(hasNeighbour ? [{ ...neighbour!, container: SECOND_SERVER }] : [])].map(
    ({ container, datacentre: { network, router, code }, ipv4, ipv6 }) => ({
      ...{ container, network, ipv4, ipv6, gateway: router, datacentre: code },
    }),
  );
}

function datacentresOf(room: Room) {
  const networks = new Set(placesOf(room).map(({ network }) => network));
  return [DATACENTRE, SECOND_DATACENTRE].filter(({ network }) => networks.has(network));
}

/** Starts the world outside the project: networks, clouds, name server, registry, ACME, and mail if its image is there. */
export async function ensureWorld(images: Images, options: WorldOptions): Promise<void> {
  const { accounts } = options;
  const authority = await ensureAuthority(join(STATE, "authority"));
  await ensureNetworks(options);
  await Promise.all([
    ensureRouter(images, options),
    ensureClouds(images, { ...options, authority }),
    ensureRegistry(images),
    ensureOwnRegistry(images, accounts, authority),
    ensureStorage(images, accounts),
    ensureAcme(images),
    ...(images.mailpit === undefined ? [] : [ensureMail(images.mailpit, accounts.smtpPassword)]),
  ]);
  await writeAcmeRoot();
}

/** Removes the rehearsal's containers, networks and volumes, and returns what it removed. Caches and what tests created stay. */
export async function removeWorld(): Promise<string[]> {
  const removed: string[] = [];
  const named = ["--filter", `label=${LABEL}`, "--filter", `name=^${PREFIX}-`, "--format"];
  for (const [kind, list] of [
    ["container", ["ps", "--all", ...named, "{{.Names}}"]],
    ["network", ["network", "ls", ...named, "{{.Name}}"]],
    ["volume", ["volume", "ls", ...named, "{{.Name}}"]],
  ] as const) {
    const names = (await docker(list))
      .split("\n")
      .filter((name) => name !== "" && !(kind === "volume" && isCache(name)));
    if (names.length === 0) continue;
    if (kind === "volume") await switchSwapOff(names);
    await docker(kind === "container" ? ["rm", "--force", "--volumes", ...names] : [kind, "rm", ...names]);
    removed.push(...names.map((name) => `${kind} ${name}`));
  }
  for (const { subnet } of [DATACENTRE, SECOND_DATACENTRE])
    await run(["ip", "route", "del", subnet]).catch(() => undefined);
  await forgetOwnRegistry();
  return removed;
}

/** The server's swap is this machine's, and outlives a server that was killed. */
async function switchSwapOff(volumes: readonly string[]): Promise<void> {
  const folders = await docker(["volume", "inspect", "--format", "{{.Mountpoint}}", ...volumes]);
  for (const folder of folders.trim().split("\n")) {
    const file = join(folder, "swapfile");
    // Fails where it is no longer in use.
    if (existsSync(file)) await tryRun(["swapoff", file]);
  }
}

/** The registry's storage is a cache: it holds images by content and outlives the rehearsal. */
function isCache(name: string): boolean {
  return name === `${PREFIX}-registry`;
}

async function ensureNetworks(options: Room): Promise<void> {
  await ensureNetwork(INTERNET, []);
  for (const datacentre of datacentresOf(options)) {
    // Without an IPv4 address of its own on this bridge, the machine reaches the server only through the router.
    await ensureNetwork(datacentre, [
      ...["--opt", "com.docker.network.bridge.inhibit_ipv4=true"],
      ...["--opt", "com.docker.network.bridge.enable_ip_masquerade=false"],
    ]);
  }
  await run(["sysctl", "--quiet", "--write", "net.ipv6.conf.all.forwarding=1"]);
}

async function ensureNetwork(
  {
    network,
    subnet,
    subnet6,
  }: { readonly network: string; readonly subnet: string; readonly subnet6: string },
  options: readonly string[],
): Promise<void> {
  const existing = await docker(["network", "ls", "--filter", `name=^${network}$`, "--quiet"]);
  if (existing.trim() !== "") return;
  const addresses = ["--subnet", subnet, "--ipv6", "--subnet", subnet6];
  await docker(["network", "create", "--label", LABEL, ...addresses, ...options, network]);
}

async function ensureRouter(images: Images, options: Room): Promise<void> {
  const args = [
    ...["--network", INTERNET.network, "--ip", INTERNET.router],
    ...["--cap-add", "NET_ADMIN", "--sysctl", "net.ipv4.ip_forward=1"],
    // For distance, where packets come back from another device than the one that leads to their sender.
    ...(existsSync(TUN) ? ["--device", TUN] : []),
    ...["--sysctl", "net.ipv4.conf.all.rp_filter=0", "--sysctl", "net.ipv4.conf.default.rp_filter=0"],
  ];
  await ensureContainer(ROUTER, { args, image: images.router, command: ["sleep", "infinity"] });
  const networks = await docker(["inspect", "--format", "{{json .NetworkSettings.Networks}}", ROUTER]);
  // Not only where it is new: a start that was stopped may have left it with one network.
  for (const { network, router } of datacentresOf(options)) {
    if (networks.includes(`"${network}"`)) continue;
    await docker(["network", "connect", "--ip", router, network, ROUTER]);
  }
  // Docker made the datacentre's side the default route, where no gateway exists.
  await docker(["exec", ROUTER, "ip", "route", "replace", "default", "via", INTERNET.operator]);
  // Answers of the real registries cannot reach the server's own address.
  const nat = renderUplink(datacentresOf(options));
  await docker(["exec", "--interactive", ROUTER, "nft", "-f", "-"], { input: nat });
  for (const { subnet } of datacentresOf(options))
    await run(["ip", "route", "replace", subnet, "via", INTERNET.router]);
}

/** What the router does with packets of the datacentres; servers see each other's own addresses. For nft. */
export function renderUplink(datacentres: readonly { readonly subnet: string }[]): string {
  const inside = datacentres.map(({ subnet }) => subnet).join(", ");
  return `table ip uplink
delete table ip uplink
table ip uplink {
  chain out {
    type nat hook postrouting priority srcnat;
    ip saddr { ${inside} } ip daddr != { ${INTERNET.subnet}, ${inside} } masquerade
  }
}
`;
}

interface CloudsOptions extends WorldOptions {
  /** Certificate of the rehearsal's authority. */
  readonly authority: string;
}

async function ensureClouds(images: Images, options: CloudsOptions): Promise<void> {
  const folder = join(STATE, "clouds");
  await mkdir(folder, { recursive: true });
  const configuration = JSON.stringify(await cloudsConfiguration(images, options), undefined, 2);
  await writeFile(join(folder, "config.json"), configuration, { mode: 0o600 });
  const args = [
    // Read at the start alone: the same clouds start again with what has changed. Their state is in a file.
    ...["--label", `technicia.configuration=${createHash("sha256").update(configuration).digest("hex")}`],
    ...["--network", INTERNET.network, "--ip", INTERNET.clouds, "--ip6", INTERNET.clouds6],
    ...["--volume", `${ROOT}:/project:ro`, "--volume", `${folder}:/clouds`],
    ...["--volume", "/var/run/docker.sock:/var/run/docker.sock"],
  ];
  await ensureContainer(`${PREFIX}-clouds`, {
    args,
    image: images.clouds,
    command: [
      ...["node", "/project/rehearsal/fake-clouds/main.ts"],
      ...["/clouds/config.json", "--state", "/clouds/state.json"],
    ],
  });
  await routeThroughRouter(`${PREFIX}-clouds`);
  await untilReady({
    what: "the clouds",
    isReady: () => answers(`http://${INTERNET.clouds}:8090/health`),
    limit: CLOUDS_READY_MS,
  });
}

async function cloudsConfiguration(
  images: Images,
  { accounts, system, shape, hasNeighbour, servers, authority }: CloudsOptions,
): Promise<Configuration> {
  const resolver = /^nameserver\s+(\S+)/m.exec(await readFile("/etc/resolv.conf", "utf8"))?.[1];
  return {
    ovh: {
      applicationKey: accounts.ovhApplicationKey,
      applicationSecret: accounts.ovhApplicationSecret,
      consumerKey: accounts.ovhConsumerKey,
      rules: keyRights(["operate", "backup"]),
      credentials: [
        {
          kind: "keys",
          applicationKey: accounts.ovhApplicationKey,
          applicationSecret: accounts.ovhApplicationSecret,
          consumerKey: accounts.ovhFirstConsumerKey,
          rules: keyRights([shape.isOwned ? "operate" : "order", "backup", "backupSetUp"]),
        },
      ],
      projects: [accounts.ovhProject],
      ...(shape.isOwned && { servers: [await ownedServer(system)] }),
    },
    cloudflare: {
      token: accounts.cloudflareApiToken,
      zone: { id: accounts.zoneId, name: ZONE },
      records: shape.records,
    },
    dns: {
      ...(resolver !== undefined && { upstream: resolver }),
      keepsAbsence: shape.keepsAbsence,
      names: {
        "registry-1.docker.io": [INTERNET.registry],
        "acme.rehearsal": [INTERNET.acme],
        [STORAGE_HOST]: [INTERNET.storage],
        [MAIL_HOST]: [INTERNET.mail],
        ...Object.fromEntries(NAMED_HOSTS.map((name) => [name, [INTERNET.clouds]])),
        ...Object.fromEntries(NAME_SERVERS.map((name) => [name, [INTERNET.clouds]])),
      },
    },
    store: storeBehindOvh(STORAGE, accounts),
    webhooks: await namedHostsCertificate(),
    ...knownAccounts(accounts),
    machine: {
      places: placesOf({ hasNeighbour, servers }),
      images: images.systems,
      systems: SYSTEM_NAMES,
      upgradeSeconds: FIRST_UPGRADE_SECONDS,
      ...atDelivery({ shape, servers }),
      nameserver: INTERNET.clouds,
      router: ROUTER,
      hasTun: servers !== "1",
      authority: await readFile(authority, "utf8"),
    },
  };
}

function atDelivery({ shape, servers }: Pick<WorldOptions, "shape" | "servers">) {
  const scripts = [
    ...(shape.atDelivery === undefined ? [] : [shape.atDelivery]),
    ...(servers === "1" ? [] : [TUNNEL_AT_DELIVERY]),
  ];
  return scripts.length === 0 ? {} : { atDelivery: scripts.join("\n") };
}

/** As OVH has it, with the operator's key from its installation. */
async function ownedServer(system: System): Promise<NonNullable<Configuration["ovh"]["servers"]>[number]> {
  return {
    planCode: OWNED_PLAN,
    serviceName: OWNED_SERVER,
    imageId: system,
    publicKey: await operatorPublicKey(),
  };
}

async function ensureRegistry(images: Images): Promise<void> {
  const issued = await ensureCertificate(join(STATE, "authority"), {
    name: "registry",
    names: ["registry-1.docker.io"],
    addresses: [INTERNET.registry],
  });
  const { args, command } = registryRunArgs({
    network: INTERNET.network,
    ip: INTERNET.registry,
    certificates: issued.directory,
  });
  await ensureContainer(`${PREFIX}-registry`, { args, image: images.registry, command });
  await routeThroughRouter(`${PREFIX}-registry`);
}

async function ensureOwnRegistry(images: Images, accounts: Accounts, authority: string): Promise<void> {
  const name = `${PREFIX}-own-registry`;
  const password = accounts.registryPassword;
  const args = await prepareOwnRegistry({ image: images.registry, password, authority });
  await ensureContainer(name, { args, image: images.registry, command: [] });
  await routeThroughRouter(name);
}

async function ensureStorage(images: Images, accounts: Accounts): Promise<void> {
  const { args, command } = await prepareStorage(accounts);
  await ensureContainer(STORAGE, { args, image: images.s3, command });
  await routeThroughRouter(STORAGE);
  await untilReady({
    what: "the object storage",
    // Without a key it refuses; a server that is not ready answers nothing or 503.
    isReady: async () => [200, 403].includes(await statusOf(`http://${INTERNET.storage}:8333/`)),
  });
}

async function ensureAcme(images: Images): Promise<void> {
  const issued = await ensureCertificate(join(STATE, "authority"), {
    name: "acme",
    names: ["acme.rehearsal"],
    addresses: [INTERNET.acme],
  });
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
  await writeFile(join(issued.directory, "pebble.json"), JSON.stringify(configuration));
  const args = [
    ...["--network", INTERNET.network, "--ip", INTERNET.acme],
    ...["--volume", `${issued.directory}:/acme:ro`],
    // Pebble's artificial pauses only slow a rehearsal down; its artificial refusals stay.
    ...["--env", "PEBBLE_VA_NOSLEEP=1"],
  ];
  await ensureContainer(`${PREFIX}-acme`, {
    args,
    image: images.pebble,
    command: [
      ...["pebble", "-strict", "-config", "/acme/pebble.json", "-dnsserver", `${INTERNET.clouds}:53`],
    ],
  });
  await routeThroughRouter(`${PREFIX}-acme`);
}

/** The root of the ACME server, new at each of its starts. Only visitors in tests trust it. */
async function writeAcmeRoot(): Promise<void> {
  let root = "";
  const isReady = async () => {
    root = await docker([
      ...["exec", `${PREFIX}-clouds`, "node", "-e"],
      `process.env.NODE_TLS_REJECT_UNAUTHORIZED="0";fetch("https://${INTERNET.acme}:15000/roots/0").then(async (a)=>{if(!a.ok)process.exit(1);console.log(await a.text())},()=>process.exit(1))`,
    ]).catch(() => "");
    return root.includes("BEGIN CERTIFICATE");
  };
  await untilReady({ what: "the ACME server", isReady });
  await writeFile(join(STATE, "acme-root.pem"), root);
}
