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
    "/etc/systemd/system/technicia-backup-drill.service",
    "/etc/systemd/system/technicia-backup-drill.timer",
    "/etc/systemd/system/technicia-backup.service",
    "/etc/systemd/system/technicia-backup.timer",
    "/etc/systemd/system/technicia-certificate.service",
    "/etc/systemd/system/technicia-certificate.timer",
    "/etc/systemd/system/docker.service.d/10-technicia.conf",
    "/etc/systemd/system/nftables.service",
    "/etc/systemd/system/technicia-firewall-fallback.service",
    "/etc/systemd/system/technicia-firewall.service",
    "/etc/systemd/system/technicia-tunnel.service",
    "/etc/technicia/backup.json",
    "/etc/technicia/backup/password",
    "/etc/technicia/backup/qdrant-key",
    "/etc/technicia/backup/reader",
    "/etc/technicia/backup/writer",
    "/etc/technicia/certificate.env",
    "/etc/technicia/firewall.nft",
    "/opt/technicia/backup/base.py",
    "/opt/technicia/backup/containers.py",
    "/opt/technicia/backup/drill.py",
    "/opt/technicia/backup/exchange.py",
    "/opt/technicia/backup/main.py",
    "/opt/technicia/backup/n8n.py",
    "/opt/technicia/backup/postgres.py",
    "/opt/technicia/backup/qdrant.py",
    "/opt/technicia/backup/records.py",
    "/opt/technicia/backup/restore.py",
    "/opt/technicia/backup/s3.py",
    "/opt/technicia/backup/sets.py",
    "/opt/technicia/backup/storage.py",
    "/opt/technicia/backup/upgrade.py",
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
  /** Of backups and their rehearsals: they run for minutes, and go by themselves. */
  passingContainers: [
    "technicia-backup",
    "technicia-drill-n8n",
    "technicia-drill-postgres",
    "technicia-drill-qdrant",
  ],
  services: serviceNames.map(swarmName).sort(),
  volumes: [
    "technicia-n8n-data",
    "technicia-postgres-data",
    "technicia-qdrant-snapshots",
    "technicia-qdrant-storage",
  ],
  networks: ["technicia-app", "technicia-data", "technicia-edge", "technicia-runners"],
} as const;
