/** How often a command logs in to the rehearsed server, begun as on another morning. */
import { docker } from "./docker.ts";
import { run } from "../common/run.ts";
import { DATACENTRE } from "./addresses.ts";
import { SERVER } from "./world.ts";

/** Logins that the server's sshd has accepted; undefined while there is no server. */
export async function countLogins(): Promise<number | undefined> {
  const count = "journalctl --unit ssh --quiet --no-pager | grep -c 'Accepted publickey' || true";
  const printed = await docker(["exec", SERVER, "bash", "-c", count]).catch(() => undefined);
  return printed === undefined ? undefined : Number(printed);
}

/** Ends the connection that Docker's plugin leaves open for two minutes: the next command would seem to need no login of its own. */
export async function hangUp(): Promise<void> {
  const master = ["-o", "ControlPath=~/.technicia-%C", "-l", "debian", "-p", "22"];
  // It fails where there is none.
  await run(["ssh", ...master, "-O", "exit", DATACENTRE.server]).catch(() => undefined);
}
