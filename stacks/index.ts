import { resolveSecrets } from "../secrets/resolve.ts";
import { readSettings } from "./settings.ts";
import { defineTechnicia } from "./technicia.ts";

const environment = readSettings();
const secrets = resolveSecrets(environment);

export const { deploymentStatus, url, ipv4, ipv6, sshCommand, ssh, tunnels } = defineTechnicia(
  environment,
  secrets,
);
