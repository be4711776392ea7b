import { setImmediate } from "node:timers/promises";

import { resolveSecrets } from "../secrets/resolve.ts";
import { createCloud } from "./cloud.ts";
import { readConfiguration } from "./configuration.ts";

// The engine's runtime maps every line of every stack trace back to a source; Node runs these sources as they are, and the maps cost a second.
Reflect.deleteProperty(Error, "prepareStackTrace");

const environment = readConfiguration();
const secrets = resolveSecrets(environment);
const cloud = createCloud(environment, secrets);

// The engine starts the plugins of the clouds while the rest is loaded: what was asked for has to leave first.
await setImmediate();
const { defineTechnicia } = await import("./technicia.ts");
const deployment = defineTechnicia(environment, secrets, cloud);

export const { deploymentStatus, url, ipv4, ipv6, sshCommand, ssh, tunnels } = deployment;
