// What is imported by name is loaded before anything runs; this has to run before the rest is loaded.
import "../common/startup/lean-sdk.ts";
import { setImmediate } from "node:timers/promises";

const { resolveSecrets } = await import("../secrets/resolve.ts");
const { createCloud } = await import("./cloud.ts");
const { readConfiguration } = await import("./configuration.ts");

const environment = readConfiguration();
const secrets = resolveSecrets(environment);
const cloud = createCloud(environment, secrets);

// The engine starts the plugins of the clouds while the rest is loaded: what was asked for has to leave first.
await setImmediate();
const { defineTechnicia } = await import("./technicia.ts");
const deployment = defineTechnicia({ environment, secrets, cloud });

export const { deploymentStatus, url, ipv4, ipv6, sshCommand, ssh, tunnels } = deployment;
