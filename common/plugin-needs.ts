import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

/** Which plugin serves which of the program's packages. */
export interface PluginNeed {
  readonly name: string;
  readonly version: string;

  /** Where to download the official one, when that is not Pulumi's own place. */
  readonly server?: string;
}

const PACKAGES = fileURLToPath(new URL("../node_modules/", import.meta.url));
const SDKS = ["@pulumi/command", "@pulumi/docker", "@pulumi/cloudflare", "@ovhcloud/pulumi-ovh"];

/** The plugins that the program's SDKs ask for. The engine takes a plugin of exactly the SDK's version. */
export function readPluginNeeds(): Promise<PluginNeed[]> {
  return Promise.all(
    SDKS.map(async (sdk) => {
      const { pulumi } = await readManifest<{ pulumi: PluginNeed }>(sdk);
      const { name, version, server } = pulumi;
      return server === undefined ? { name, version } : { name, version, server };
    }),
  );
}

/** Version of the engine's SDK, which the CLI should have as well. */
export async function readSdkVersion(): Promise<string> {
  return (await readManifest<{ version: string }>("@pulumi/pulumi")).version;
}

async function readManifest<T>(sdk: string): Promise<T> {
  return JSON.parse(await readFile(`${PACKAGES}${sdk}/package.json`, "utf8")) as T;
}
