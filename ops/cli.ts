/** The operator's commands: `npm run <name> -- …`. */

import type { Commands } from "./command.ts";
import { UserError } from "../common/user-error.ts";

/** Where each command is. Only the one that is called is loaded: a load generator or a calendar takes longer to load than a status to tell. */
const AREAS = [
  { names: ["secrets", "status", "resume"], load: () => import("./commands.ts") },
  {
    names: ["deploy", "rollback", "promote", "images", "history", "unlock"],
    load: () => import("./deploy/commands.ts"),
  },
  { names: ["report", "incident"], load: () => import("./documents/commands.ts") },
  { names: ["drift"], load: () => import("./drift/commands.ts") },
  { names: ["preview"], load: () => import("./preview/commands.ts") },
];

/** Gives the command of that name; without it, how each is written. */
async function findCommand(name: string) {
  const area = AREAS.find(({ names }) => names.includes(name));
  const command = (await area?.load())?.commands[name];
  if (command) return command;
  const areas = await Promise.all(AREAS.map(async ({ load }) => Object.entries((await load()).commands)));
  const all: Commands = Object.fromEntries(areas.flat());
  const usages = Object.values(all).map(({ usage }) => `  ${usage}`);
  throw new UserError(
    `expected one of ${Object.keys(all).join(", ")}, got ${JSON.stringify(name)}\nusage:\n${usages.join("\n")}`,
  );
}

try {
  const [name = "", ...args] = process.argv.slice(2);
  const command = await findCommand(name);
  const { text, exitCode } = await command.run(args);
  process.stdout.write(`${text}\n`);
  process.exitCode = exitCode;
} catch (error) {
  process.stderr.write(
    `${error instanceof UserError ? error.message : ((error as Error).stack ?? String(error))}\n`,
  );
  process.exitCode = 1;
}
