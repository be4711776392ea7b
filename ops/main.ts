/** The operator's commands: `npm run <name> -- …`. */
// Node.js keeps what it compiled, for the commands and for the program that the engine runs: half of every start.
import "../common/startup/compile-cache.ts";
import { UserError } from "../common/user-error.ts";
import type { Command, Commands } from "./command.ts";

/** Where each command is. Only the module of the command that is called is loaded, because some take long to load. */
const AREAS = [
  { names: ["preview"], load: () => import("./preview/commands.ts") },
  {
    names: ["deploy", "rollback", "upgrade", "promote", "images", "history", "unlock"],
    load: () => import("./deploy/commands.ts"),
  },
  { names: ["backup", "backups", "restore", "drill"], load: () => import("./backup/commands.ts") },
  { names: ["recover"], load: () => import("./recovery/commands.ts") },
  { names: ["status"], load: () => import("./status.ts") },
  { names: ["alerts", "logs", "metrics"], load: () => import("./monitoring/commands.ts") },
  { names: ["validate"], load: () => import("./validation/commands.ts") },
  { names: ["workflows"], load: () => import("./workflows/commands.ts") },
  { names: ["documents"], load: () => import("./uploads/commands.ts") },
  { names: ["tasks"], load: () => import("./tasks/commands.ts") },
  { names: ["servers", "failover"], load: () => import("./servers/commands.ts") },
  { names: ["maintain"], load: () => import("./maintenance/commands.ts") },
  { names: ["drift"], load: () => import("./drift/commands.ts") },
  { names: ["resume"], load: () => import("./engine/resume-command.ts") },
  { names: ["scan"], load: () => import("./scan/commands.ts") },
  { names: ["tools"], load: () => import("./tools/commands.ts") },
  { names: ["secrets"], load: () => import("./secrets.ts") },
  { names: ["report", "incident"], load: () => import("./documents/commands.ts") },
];

async function findCommand(name: string): Promise<Command> {
  const area = AREAS.find(({ names }) => names.includes(name));
  const command = (await area?.load())?.commands[name];
  if (command) return command;
  const { helpCommand, renderCommands } = await import("./command.ts");
  const areas = await Promise.all(AREAS.map(async ({ load }) => Object.entries((await load()).commands)));
  const all: Commands = Object.fromEntries(areas.flat());
  const help = helpCommand(all);
  if (name === "help") return help;
  throw new UserError(
    `expected one of these commands, got ${JSON.stringify(name)}:\n\n${renderCommands({ ...all, help })}`,
  );
}

try {
  const [name = "", ...args] = process.argv.slice(2);
  const command = await findCommand(name);
  const { text, exitCode } = await command.run(args);
  process.stdout.write(`${text}\n`);
  process.exitCode = exitCode;
} catch (error) {
  const isInternal = !(error instanceof UserError);
  process.stderr.write(`${isInternal ? ((error as Error).stack ?? String(error)) : error.message}\n`);
  process.exitCode = 1;
}
