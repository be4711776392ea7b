import { resolveSecrets } from "../secrets/resolve.ts";
import { readConfiguration } from "./configuration.ts";
import { defineTechnicia } from "./technicia.ts";

// The engine's runtime maps every line of every stack trace back to a source; Node runs these sources as they are, and the maps cost a second.
Reflect.deleteProperty(Error, "prepareStackTrace");

const environment = readConfiguration();
const secrets = resolveSecrets(environment);

export const { deploymentStatus, url, ipv4, ipv6, sshCommand, ssh, tunnels } = defineTechnicia(
  environment,
  secrets,
);
