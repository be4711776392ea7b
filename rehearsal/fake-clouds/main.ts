import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { startClouds } from "./clouds.ts";
import type { Configuration } from "./configuration.ts";

const { positionals, values } = parseArgs({ allowPositionals: true, options: { state: { type: "string" } } });
const [path] = positionals;
if (path === undefined) throw new Error("usage: node main.ts <configuration.json> [--state <file>]");

const configuration = JSON.parse(readFileSync(path, "utf8")) as Configuration;
const clouds = await startClouds(configuration, values.state);

let isStopping = false;
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => {
    if (isStopping) return;
    isStopping = true;
    void clouds.close().then(() => process.exit(0));
  });
}
// Whoever waits for this line may stop it right after.
console.log(
  `OVH ${clouds.ovh.url}, Cloudflare ${clouds.cloudflare.url}, management ${clouds.management.url}`,
);
