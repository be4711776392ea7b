// Runs the rehearsal's command line under the Node.js that the project pins, after installing the packages if they are
// missing or differ from the lock file. Plain JavaScript: any Node.js from 18 on can run it.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { constants, homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
// From a path with a backslash Node.js does not even load this file.
if (root.includes(":")) {
  console.error(
    `${root}: expected a path without a colon, which separates folders in PATH; move this checkout`,
  );
  process.exit(1);
}

// npm resolves many names at the same time, and some name servers drop requests: the resolver retries sooner and more often.
const patient = { RES_OPTIONS: "timeout:2 attempts:5", ...process.env };
const marker = join(root, "node_modules", ".installed-from");
const wanted = createHash("sha256")
  .update(readFileSync(join(root, "package-lock.json")))
  .digest("hex");

if (!existsSync(marker) || readFileSync(marker, "utf8") !== wanted) {
  console.error("installing the npm packages …");
  const install = spawnSync("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    stdio: ["ignore", "ignore", "inherit"],
    env: patient,
  });
  if (install.status !== 0) {
    console.error("npm ci failed; fix what it printed above and run this again");
    process.exit(1);
  }
  writeFileSync(marker, wanted);
}

const binaries = join(root, "node_modules", ".bin");
// Stripping the types at every start of a program takes longer than most of what it then does.
const compiled = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "technicia/node");
const [script = "rehearsal/cli.ts", ...rest] = process.argv.slice(2);
const command = spawn(join(binaries, "node"), [join(root, script), ...rest], {
  cwd: root,
  stdio: "inherit",
  env: {
    NODE_COMPILE_CACHE: compiled,
    ...patient,
    PATH: `${binaries}:${process.env.PATH ?? ""}`,
  },
});
// The command decides how it ends, and this process waits for it. Ctrl-C reaches the command by itself: a terminal sends it to all of them,
// and a second one would end some programs at once.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => command.kill("SIGTERM"));
command.on("error", (error) => {
  console.error(error.message);
  process.exit(1);
});
command.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal ?? "SIGKILL"]));
