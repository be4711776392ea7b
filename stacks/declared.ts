import { serviceNames, swarmName } from "../common/services.ts";

/**
 * Names of all that may be on a server, whatever the settings: beside these nothing is left there.
 *
 * A name stays here when a setting turns its thing off, because the engine deletes that itself; a test compares these with what the
 * program makes.
 */
export const DECLARED = {
  files: [
    "/etc/sysctl.d/60-technicia.conf",
    "/etc/systemd/journald.conf.d/10-technicia.conf",
    "/etc/systemd/system/technicia-certificate.service",
    "/etc/systemd/system/technicia-certificate.timer",
    "/etc/systemd/system/technicia-firewall.service",
  ],
  containers: ["technicia-tunnel"],
  services: serviceNames.map(swarmName).sort(),
  networks: ["technicia-app", "technicia-data", "technicia-edge"],
} as const;
