import { serviceNames, swarmName } from "../common/services.ts";

/**
 * Names of everything that may be on a server, whatever the settings; `HostExtras` removes all else.
 *
 * A service that a setting turns off stays in the list: the engine deletes it. A test compares the lists with the program.
 */
export const DECLARED = {
  files: [
    "/etc/sysctl.d/60-technicia.conf",
    "/etc/systemd/journald.conf.d/10-technicia.conf",
    "/etc/systemd/system/technicia-certificate.service",
    "/etc/systemd/system/technicia-certificate.timer",
    "/etc/systemd/system/docker.service.d/10-technicia.conf",
    "/etc/systemd/system/nftables.service",
    "/etc/systemd/system/technicia-firewall-fallback.service",
    "/etc/systemd/system/technicia-firewall.service",
  ],
  containers: ["technicia-tunnel"],
  services: serviceNames.map(swarmName).sort(),
  networks: ["technicia-app", "technicia-data", "technicia-edge", "technicia-runners"],
} as const;
