/** Starts the operator's commands. Node.js keeps what it compiled, for them and for the program that the engine runs: half of every start. */
import { enableCompileCache } from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";

import "../common/startup/lean-zod.ts";

process.env["NODE_COMPILE_CACHE"] ??= join(
  process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"),
  "technicia/node",
);
enableCompileCache(process.env["NODE_COMPILE_CACHE"]);
await import("./cli.ts");
