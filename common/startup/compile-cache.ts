import { enableCompileCache } from "node:module";
import { join } from "node:path";

import { cacheFolder } from "../cache-folder.ts";

/**
 * Node.js keeps what it compiled, for this process and for those that it starts. Has to run before anything else is imported.
 *
 * Gain: 38 % of the processor time of a quiet preview, 26 % of a drift check's. Delete it when Node.js keeps compiled code by itself.
 */
process.env["NODE_COMPILE_CACHE"] ??= join(cacheFolder(), "node");
enableCompileCache(process.env["NODE_COMPILE_CACHE"]);
