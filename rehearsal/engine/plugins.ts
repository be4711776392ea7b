import { access, constants, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

/** A program that the engine starts beside itself. */
export interface Part {
  readonly kind: "language" | "resource";
  readonly name: string;

  /** Version under which the engine looks for it. */
  readonly version: string;

  /** The executable. */
  readonly file: string;
}

/** Which plugin serves which of the program's packages. */
export interface PluginNeed {
  readonly name: string;
  readonly version: string;

  /** Where to download the official one, when that is not Pulumi's own place. */
  readonly server?: string;
}

const CHECKOUT = fileURLToPath(new URL("../../", import.meta.url));
const SDKS = ["@pulumi/command", "@pulumi/docker", "@pulumi/cloudflare", "@ovhcloud/pulumi-ovh"];

/** Where npm puts the programs of the packages: among them the Node that everything of ours runs on. */
export const NPM_PROGRAMS = fileURLToPath(new URL("../../node_modules/.bin", import.meta.url));

/** The plugins that the program's SDKs ask for. The engine takes a plugin of exactly the SDK's version. */
export function readPluginNeeds(): Promise<PluginNeed[]> {
  return Promise.all(
    SDKS.map(async (sdk) => {
      const manifest = JSON.parse(await readFile(`${CHECKOUT}node_modules/${sdk}/package.json`, "utf8")) as {
        pulumi: PluginNeed;
      };
      const { name, version, server } = manifest.pulumi;
      return server === undefined ? { name, version } : { name, version, server };
    }),
  );
}

/** Whether `file` is there and may be run. */
export async function isExecutable(file: string): Promise<boolean> {
  return access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}
