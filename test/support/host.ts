import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Ended, run, tryRun } from "../../common/run.ts";
import { serverRunArgs } from "../../rehearsal/images/server/run.ts";
import { imageOf } from "./containers.ts";
import { createFreeNetwork } from "./free-network.ts";
import { until } from "./until.ts";

// Not the rehearsal's own value: rehearsal:stop removes everything with that label.
const LABEL = "technicia.rehearsal=test";

/** A server of our own, as it is right after its delivery. */
export interface TestHost {
  readonly address: string;
  readonly port: number;
  /** Sudoer without a password. */
  readonly user: string;
  readonly privateKeyFile: string;
  /** Runs bash as root on the host, past sshd; fails when it fails. */
  exec(script: string): Promise<string>;
  /** The same, whatever its exit code. */
  tryExec(script: string): Promise<Ended>;
  /** Gives an image of this machine to the host's Docker. */
  load(image: string): Promise<void>;
  stop(): Promise<void>;
}

/** Settings with which the plugin logs in. */
export function loginOf({ address, user, privateKeyFile }: TestHost) {
  return { hostAddress: address, hostUser: user, hostPrivateKeyFile: privateKeyFile };
}

/** Starts a server on a network of its own and returns once sshd answers. */
export async function startHost(): Promise<TestHost> {
  const id = randomBytes(4).toString("hex");
  const name = `technicia-test-${id}`;
  const folder = await mkdtemp(join(tmpdir(), "technicia-host-"));
  const privateKeyFile = join(folder, "key");
  await run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", privateKeyFile]);
  const subnet = await createFreeNetwork(name, LABEL);
  const address = `${subnet.v4}.10`;

  const stop = async (): Promise<void> => {
    await run(["docker", "rm", "--force", "--volumes", name]);
    await run(["docker", "volume", "rm", "--force", name]);
    await run(["docker", "network", "rm", name]);
    await rm(folder, { recursive: true });
  };
  const tryExec = (script: string): Promise<Ended> =>
    tryRun(["docker", "exec", "-i", name, "bash", "-euo", "pipefail", "-s"], { input: script });

  try {
    const authorizedKey = (await readFile(`${privateKeyFile}.pub`, "utf8")).trim();
    await run(["docker", "volume", "create", "--label", LABEL, name]);
    const args = serverRunArgs({
      name,
      image: await imageOf("server"),
      hostname: "server",
      network: name,
      ip: address,
      ip6: `${subnet.v6}::10`,
      volume: name,
      authorizedKey,
    });
    await run(["docker", ...args.toSpliced(-1, 0, "--label", LABEL)]);
    await until(`sshd of ${name} answers`, () => answers(address, 22));
    await until(
      `${name} has booted`,
      async () =>
        (await tryExec("test -e /var/lib/cloud/instance/boot-finished && ! test -e /run/nologin")).code === 0,
    );
  } catch (error) {
    await stop();
    throw error;
  }

  return {
    address,
    port: 22,
    user: "debian",
    privateKeyFile,
    tryExec,
    stop,
    load: async (image) => {
      const script = 'docker save "$1" | docker exec -i "$2" docker load --quiet';
      await run(["bash", "-euo", "pipefail", "-c", script, "load", image, name]);
    },
    exec: async (script) => {
      const { code, stdout, stderr } = await tryExec(script);
      if (code !== 0) {
        throw new Error(`on ${name}: exit code ${code}\n${script}\n${stderr}`);
      }
      return stdout;
    },
  };
}

function answers(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, timeout: 1_000 });
    const settle = (isUp: boolean): void => {
      socket.destroy();
      resolve(isUp);
    };
    socket.once("data", () => settle(true));
    socket.once("error", () => settle(false));
    socket.once("timeout", () => settle(false));
    socket.once("close", () => settle(false));
  });
}
