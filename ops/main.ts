/** Starts the operator's commands. Node.js keeps what it compiled, for them and for the program that the engine runs: half of every start. */
import "../common/startup/compile-cache.ts";
import "../common/startup/lean-zod.ts";

await import("./cli.ts");
