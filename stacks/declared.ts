import { serviceNames, swarmName } from "../common/services.ts";

/**
 * Names of everything that may be on a server, whatever the settings; `HostExtras` removes all else.
 *
 * A service that a setting turns off stays in the list: the engine deletes it. A test compares the lists with the program.
 */
export const DECLARED = {
  files: [
    "/etc/apt/apt.conf.d/52technicia-upgrades",
    "/etc/docker/daemon.json",
    "/etc/sysctl.d/60-technicia.conf",
    "/etc/systemd/journald.conf.d/10-technicia.conf",
    "/etc/systemd/system/technicia-certificate.service",
    "/etc/systemd/system/technicia-certificate.timer",
    "/etc/systemd/system/docker.service.d/10-technicia.conf",
    "/etc/systemd/system/nftables.service",
    "/etc/systemd/system/technicia-firewall-fallback.service",
    "/etc/systemd/system/technicia-firewall.service",
    "/etc/systemd/system/technicia-tunnel.service",
    "/etc/technicia/certificate.env",
    "/etc/technicia/firewall.nft",
    "/opt/technicia/bin/certificate",
    "/opt/technicia/bin/gateway-reload",
    "/opt/technicia/gateway/nginx.conf",
    "/opt/technicia/gateway/routes/n8n.conf",
    "/opt/technicia/registry/config.json",
    "/opt/technicia/tunnel/nginx.conf",
  ],
  /** What our programs write; a slash at the end stands for everything below. */
  written: [
    "/etc/netplan/60-technicia-ipv6.yaml",
    "/etc/network/interfaces.d/60-technicia-ipv6",
    "/etc/network/interfaces.d/60-technicia-ipv6.cfg",
    "/opt/technicia/acme/",
    "/opt/technicia/gateway/tls/",
    "/opt/technicia/letsencrypt.log/",
    "/opt/technicia/letsencrypt/",
  ],
  /** The same, where packages of Docker's own are the source. */
  writtenForDockerSource: ["/etc/apt/keyrings/docker.asc", "/etc/apt/sources.list.d/docker.sources"],
  containers: ["technicia-tunnel"],
  services: serviceNames.map(swarmName).sort(),
  volumes: [
    "technicia-n8n-data",
    "technicia-postgres-data",
    "technicia-qdrant-snapshots",
    "technicia-qdrant-storage",
  ],
  networks: ["technicia-app", "technicia-data", "technicia-edge", "technicia-runners"],
} as const;
