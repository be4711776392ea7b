import { randomBytes } from "node:crypto";

import { run, tryRun } from "../../common/run.ts";

const REPOSITORY = "technicia-rehearsal";
const LABEL = "technicia.rehearsal=1";

/** Runs Docker's client and gives its answer; fails when it fails. */
export async function docker(...args: readonly string[]): Promise<string> {
  return (await run(["docker", ...args])).trim();
}

/** The newest image of this name that the rehearsal has built. */
export async function imageOf(name: string): Promise<string> {
  const images = await docker("images", `${REPOSITORY}/${name}`, "--format", "{{.Repository}}:{{.Tag}}");
  const [newest = ""] = images.split("\n");
  if (newest === "") throw new Error(`expected an image ${REPOSITORY}/${name}, got none; npm test builds it`);
  return newest;
}

/** A network for one test file; everything on it goes with it. */
export interface TestNetwork {
  readonly name: string;

  /** In CIDR notation. Requests from this machine come from within it. */
  readonly subnet: string;

  /** Starts a container and gives its address. */
  readonly start: (role: string, args: readonly string[]) => Promise<string>;
  readonly stop: (role: string) => Promise<string>;

  /** Docker's word for how a container's health check goes. */
  readonly health: (role: string) => Promise<string>;

  /** Removes a container, so that another one may have its role. */
  readonly discard: (role: string) => Promise<unknown>;

  /** What a container has printed. */
  readonly logs: (role: string) => Promise<string>;
  readonly remove: () => Promise<void>;
}

export async function createNetwork(): Promise<TestNetwork> {
  const name = `technicia-test-${randomBytes(4).toString("hex")}`;
  const started: string[] = [];
  await docker("network", "create", "--label", LABEL, name);
  const format = "{{range .IPAM.Config}}{{.Subnet}} {{end}}";
  const [subnet = ""] = (await docker("network", "inspect", "--format", format, name)).split(" ");
  return {
    name,
    subnet,
    start: async (role, args) => {
      const container = `${name}-${role}`;
      started.push(container);
      await docker("run", "--detach", "--label", LABEL, "--name", container, "--network", name, ...args);
      const format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
      const address = await docker("inspect", "--format", format, container);
      if (address === "") throw new Error(`${role}: expected it to run, got ${await logsOf(container)}`);
      return address;
    },
    discard: async (role) => {
      const container = `${name}-${role}`;
      await docker("rm", "--force", "--volumes", container);
      started.splice(started.indexOf(container), 1);
    },
    stop: (role) => docker("stop", "--time", "1", `${name}-${role}`),
    health: (role) => docker("inspect", "--format", "{{.State.Health.Status}}", `${name}-${role}`),
    logs: (role) => logsOf(`${name}-${role}`),
    remove: async () => {
      if (started.length > 0) await docker("rm", "--force", "--volumes", ...started);
      await docker("network", "rm", name);
    },
  };
}

async function logsOf(container: string): Promise<string> {
  const { stdout, stderr } = await tryRun(["docker", "logs", container]);
  return stdout + stderr;
}
