/** The server: rented, named, protected and made ready. */
import * as pulumi from "@pulumi/pulumi";

import { Dns } from "../../infra/dns.ts";
import { EdgeFirewall } from "../../infra/edge-firewall.ts";
import { HostExtras } from "../../infra/host-extras.ts";
import { Host } from "../../infra/host.ts";
import { sshPorts } from "../../infra/login-guard.ts";
import { Vps } from "../../infra/vps.ts";
import { openDnsZone } from "../../provider/dns/records.ts";
import { DECLARED } from "../declared.ts";
import { publicNames } from "../environment.ts";
import type { TechniciaArgs } from "./site.ts";

export function createVps({ environment, cloud }: TechniciaArgs): Vps {
  const { server, ssh, protectData } = environment;
  return new Vps("vps", {
    ...server,
    cloud: cloud.technicia,
    displayName: `technicia-${environment.name}`,
    publicKey: ssh.publicKey,
    protect: protectData,
  });
}

export function createEdgeFirewall({ environment, cloud }: TechniciaArgs, vps: Vps): EdgeFirewall {
  return new EdgeFirewall("edge-firewall", {
    cloud: cloud.technicia,
    ip: vps.ipv4,
    sshPorts: sshPorts(environment.ssh),
    adminCidrs: environment.ssh.adminCidrs.v4,
    addressService: environment.ssh.addressService,
  });
}

export function createDns({ environment, secrets, cloud }: TechniciaArgs, vps: Vps): Dns {
  const dns = new Dns("dns", {
    vendor: cloud.dns,
    cloud: cloud.technicia,
    zoneRecords: openDnsZone({ environment, secrets: secrets.inClear() }),
    ovh: cloud.ovh,
    zone: environment.dns.zone,
    names: publicNames(environment),
    ipv4: vps.ipv4,
    ttlSeconds: environment.dns.ttlSeconds,
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

export function createHost(
  { environment, cloud }: TechniciaArgs,
  { vps, edgeFirewall }: { readonly vps: Vps; readonly edgeFirewall: EdgeFirewall },
): Host {
  return new Host("host", {
    cloud: cloud.technicia,
    edgeFirewall,
    address: vps.ipv4,
    ...(environment.server.ipv6 ? { ipv6: { address: vps.ipv6, gateway: vps.ipv6Gateway } } : {}),
    serverId: vps.serverId,
    ssh: { ...environment.ssh, user: environment.server.loginUser },
    dockerSource: environment.host.dockerSource,
    swapGib: environment.host.swapGib,
    timeZone: environment.locale.timeZone,
    isMonitored: environment.monitoring.enabled,
  });
}

export function createHostExtras({ environment }: TechniciaArgs, host: Host): void {
  const { server } = environment;
  const ssh = { ...environment.ssh, ports: sshPorts(environment.ssh), user: server.loginUser };
  const files = [
    ...DECLARED.files,
    ...DECLARED.written,
    ...(environment.host.dockerSource === "docker" ? DECLARED.writtenForDockerSource : []),
    ...server.files,
  ];
  const containers = [...DECLARED.passingContainers, ...DECLARED.containers];
  new HostExtras(
    "extra",
    { host: host.connection, ssh, ...DECLARED, containers, files },
    { dependsOn: [host] },
  );
}
