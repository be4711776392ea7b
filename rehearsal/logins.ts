/** How often a command logs in to the rehearsed server when no connection is open yet. */
import { tryRun } from "../common/run.ts";
import { CONTROL_PATH } from "../provider/ssh/control-folder.ts";
import { DATACENTRE } from "./addresses.ts";
import { SERVER } from "./world.ts";

/** Logins that the server's sshd has accepted; undefined while there is no server. */
export async function countLogins(): Promise<number | undefined> {
  const count = "journalctl --unit ssh --quiet --no-pager | grep -c 'Accepted publickey' || true";
  const { code, stdout } = await tryRun(["docker", "exec", SERVER, "bash", "-c", count]);
  return code === 0 ? Number(stdout) : undefined;
}

/** Closes the connection that Docker's plugin keeps open for two minutes: with it the next command would seem to need no login. */
export async function closeConnections(): Promise<void> {
  const master = ["-o", `ControlPath=${CONTROL_PATH}`, "-l", "debian", "-p", "22"];
  // Fails where no connection is open.
  await tryRun(["ssh", ...master, "-O", "exit", DATACENTRE.server]);
}
