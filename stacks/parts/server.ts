/** The servers: rented, named, protected and made ready. */
import * as pulumi from "@pulumi/pulumi";

import { INTAKE_PORTS } from "../../common/monitoring.ts";
import { SHORT_TTL_SECONDS, votes } from "../../common/servers.ts";
import { createDoor, createMembership, createNode, type Member } from "../../infra/cluster.ts";
import { Dns } from "../../infra/dns.ts";
import { EdgeFirewall } from "../../infra/edge-firewall.ts";
import { HostExtras } from "../../infra/host-extras.ts";
import { Host, type HostArgs } from "../../infra/host.ts";
import { sshPorts } from "../../infra/login-guard.ts";
import { joinProof, wireguardPrivateKey, wireguardPublicKey } from "../../infra/server-keys.ts";
import { Vps } from "../../infra/vps.ts";
import { openDnsZone } from "../../provider/dns/records.ts";
import { DECLARED } from "../declared.ts";
import { publicNames, type Server } from "../environment.ts";
import { areSeveral, gatewaysOf, homeOf, sizeOf, tunnelAddress } from "../servers.ts";
import type { Machine, Rented, Servers } from "./machines.ts";
import type { TechniciaArgs } from "./site.ts";

export function rentServers(args: TechniciaArgs): readonly [Rented, ...Rented[]] {
  return args.environment.servers.map((server, index) => {
    const named = (name: string) => (index === 0 ? name : `${server.name}/${name}`);
    const suffix = index === 0 ? "" : `-${server.name}`;
    return { server, named, vps: createVps(args, { server, name: named("vps"), suffix }) };
  }) as unknown as readonly [Rented, ...Rented[]];
}

function createVps(
  { environment, cloud }: TechniciaArgs,
  { server, name, suffix }: { readonly server: Server; readonly name: string; readonly suffix: string },
): Vps {
  const { ssh, protectData } = environment;
  return new Vps(name, {
    ...environment.server,
    ...sizeOf(server),
    source: server.source,
    cloud: cloud.technicia,
    displayName: `technicia-${environment.name}${suffix}`,
    publicKey: ssh.publicKey,
    protect: protectData,
  });
}

function createEdgeFirewall(
  { environment, cloud }: TechniciaArgs,
  { vps, named }: Rented,
  others: readonly Rented[],
): EdgeFirewall {
  const peers = others.map((other) => other.vps.ipv4);
  return new EdgeFirewall(named("edge-firewall"), {
    cloud: cloud.technicia,
    ip: vps.ipv4,
    sshPorts: sshPorts(environment.ssh),
    adminCidrs: environment.ssh.adminCidrs.v4,
    addressService: environment.ssh.addressService,
    tunnel: peers.length === 0 ? undefined : { port: environment.wireguard.port, peers },
  });
}

export function createDns(args: TechniciaArgs, rented: readonly Rented[]): Dns {
  const { environment, secrets, cloud } = args;
  const [first, ...others] = gatewaysAmong(environment, rented);
  const { ttlSeconds } = environment.dns;
  const dns = new Dns("dns", {
    vendor: cloud.dns,
    cloud: cloud.technicia,
    zoneRecords: openDnsZone({ environment, secrets: secrets.inClear() }),
    ovh: cloud.ovh,
    zone: environment.dns.zone,
    names: publicNames(environment),
    ipv4: first.vps.ipv4,
    others: others.map(({ server, vps }) => ({ name: server.name, ipv4: vps.ipv4 })),
    ttlSeconds: areSeveral(environment) ? Math.min(ttlSeconds, SHORT_TTL_SECONDS) : ttlSeconds,
    caaIssuers: environment.dns.caaIssuers,
  });
  if (pulumi.runtime.isDryRun()) {
    void pulumi.log.info(
      "visitors come over IPv4 only: no AAAA record is published and the server's firewall admits no web traffic over IPv6, because Docker would give all such visitors one address",
      dns,
    );
  }
  return dns;
}

/** The servers in whose names visitors arrive; the first one orders the certificate. */
function gatewaysAmong<One extends Rented>(
  environment: TechniciaArgs["environment"],
  rented: readonly One[],
): readonly [One, ...One[]] {
  const found = gatewaysOf(environment).map(({ name }) => rented.find(({ server }) => server.name === name)!);
  return found as unknown as readonly [One, ...One[]];
}

/** Makes all servers ready, and their Swarm. */
export function createHosts(args: TechniciaArgs, rented: readonly [Rented, ...Rented[]]): Servers {
  const members = areSeveral(args.environment) ? membersOf(args) : [];
  const all = rented.map((one): Machine => {
    const others = rented.filter((other) => other !== one);
    const edgeFirewall = createEdgeFirewall(args, one, others);
    return { ...one, edgeFirewall, host: createHost(args, one, { rented, members, edgeFirewall }) };
  });
  const home = all.find(({ server }) => server.name === homeOf(args.environment).name)!;
  const [first] = all as unknown as [Machine, ...Machine[]];
  const gateways = gatewaysAmong(args.environment, all);
  const parts = { all: all as unknown as Servers["all"], home, gateways };
  if (members.length === 0) return { ...parts, swarm: first.host.swarm!, ready: [first.host.swarm!] };
  return { ...parts, ...createCluster(parts, members) };
}

/** The servers as the Swarm knows them, in the order of the settings. */
function membersOf({ environment, secrets }: TechniciaArgs): Member[] {
  const seed = secrets.value("wireguardKey");
  return environment.servers.map(({ name, role, labels }) => ({
    ...{ name, role, labels },
    address: tunnelAddress(environment.wireguard, name),
    proof: seed.apply((key) => joinProof(key, name)),
  }));
}

interface Around {
  readonly rented: readonly Rented[];
  readonly edgeFirewall: EdgeFirewall;

  /** Empty where there is one server. */
  readonly members: readonly Member[];
}

function createHost(args: TechniciaArgs, machine: Rented, around: Around): Host {
  const { environment, cloud } = args;
  const { vps, server, named } = machine;
  const { edgeFirewall } = around;
  const isFirst = around.rented[0] === machine;
  const tunnel = around.members.length === 0 ? undefined : tunnelOf(args, machine, around);
  return new Host(named("host"), {
    cloud: cloud.technicia,
    edgeFirewall,
    address: vps.ipv4,
    ...(environment.server.ipv6 ? { ipv6: { address: vps.ipv6, gateway: vps.ipv6Gateway } } : {}),
    serverId: vps.serverId,
    ssh: {
      ...environment.ssh,
      user: environment.server.loginUser,
      // Each server has a key of its own.
      hostKey: isFirst ? environment.ssh.hostKey : undefined,
    },
    dockerSource: environment.host.dockerSource,
    swapGib: environment.host.swapGib,
    timeZone: environment.locale.timeZone,
    isMonitored: environment.monitoring.enabled,
    hasDockerConnection: isFirst || server.labels.includes("n8n"),
    ...(tunnel === undefined ? {} : { tunnel }),
  });
}

function tunnelOf(
  { environment, secrets }: TechniciaArgs,
  { server }: Rented,
  { rented, members }: Omit<Around, "edgeFirewall">,
): NonNullable<HostArgs["tunnel"]> {
  const seed = secrets.value("wireguardKey");
  const keyOf = (name: string) => seed.apply((key) => wireguardPrivateKey(key, name));
  const { cidr, port } = environment.wireguard;
  return {
    address: tunnelAddress({ cidr }, server.name),
    prefix: Number(cidr.split("/")[1]),
    port,
    privateKey: keyOf(server.name),
    ...(environment.monitoring.enabled && server.name === homeOf(environment).name
      ? { publishedPort: INTAKE_PORTS.tunnel }
      : {}),
    peers: members.flatMap(({ name, address }, index) =>
      name === server.name
        ? []
        : [
            {
              ...{ name, address },
              endpoint: rented[index]!.vps.ipv4,
              publicKey: pulumi.unsecret(keyOf(name).apply(wireguardPublicKey)),
            },
          ],
    ),
  };
}

/** The first server begins the Swarm once every server is there; the others join it, and a manager notes what each is for. */
function createCluster(
  { all: machines, gateways }: Pick<Servers, "all" | "gateways">,
  members: readonly Member[],
): Pick<Servers, "swarm" | "ready"> {
  const before = machines.flatMap(({ host }) => host.ready);
  const doors = machines.flatMap((machine, index): pulumi.Resource[] => {
    const { host, named } = machine;
    const { address, role } = members[index]!;
    const others = members.filter((_member, other) => other !== index);
    const options = { parent: host, dependsOn: [...host.ready] };
    const givesCertificate = gateways.length > 1 && machine === gateways[0];
    if (!votes(role) && !givesCertificate) return [];
    const args = { host: host.connection, address, members: others, givesCertificate };
    return [createDoor(named("host-door"), args, options)];
  });
  const heard = machines.map(({ host }) => host.wireguard!.createProof(before));
  const join = (index: number, dependsOn: readonly pulumi.Resource[]) => {
    const { host, named } = machines[index]!;
    return createMembership(
      named("host-swarm"),
      {
        host: host.connection,
        member: members[index]!,
        doors: members.filter(({ role }, other) => other !== index && votes(role)),
        isFirst: index === 0,
      },
      { parent: host, dependsOn: [...dependsOn] },
    );
  };
  const swarm = join(0, [...before, ...doors, ...heard]);
  const joined = machines.slice(1).map((_machine, index) => join(index + 1, [swarm]));
  const manager = machines[0].host;
  const nodes = machines.map(({ host, named }, index) =>
    createNode(
      named("host-node"),
      { manager: manager.connection, member: members[index]! },
      { parent: host, dependsOn: [swarm, ...joined] },
    ),
  );
  return { swarm, ready: [swarm, ...joined, ...nodes] };
}

export function createHostExtras({ environment }: TechniciaArgs, { all, ready }: Servers): void {
  const { server, wireguard } = environment;
  const ssh = { ...environment.ssh, ports: sshPorts(environment.ssh), user: server.loginUser };
  const isSeveral = areSeveral(environment);
  const files = [
    ...DECLARED.files,
    ...DECLARED.written,
    ...(environment.host.dockerSource === "docker" ? DECLARED.writtenForDockerSource : []),
    ...(isSeveral ? [...DECLARED.filesOfSeveral, ...DECLARED.writtenOfSeveral] : []),
    ...server.files,
  ];
  const containers = [...DECLARED.passingContainers, ...DECLARED.containers];
  const services = [...DECLARED.services, ...DECLARED.passingServices];
  const networks = isSeveral ? DECLARED.networksOfSeveral : DECLARED.networks;
  for (const { host, named } of all) {
    new HostExtras(
      named("extra"),
      {
        ...{ host: host.connection, ssh },
        ...DECLARED,
        ...{ containers, files, networks, services },
        ...(isSeveral ? { tunnelPort: wireguard.port } : {}),
      },
      { dependsOn: isSeveral ? [host, ...ready] : [host] },
    );
  }
}
