import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serverRunArgs } from "../../rehearsal/images/server/run.ts";
import { imageOf } from "./containers.ts";
import { until } from "./until.ts";

// Not the rehearsal's own value: whoever ends a rehearsal takes away all that bears it.
const LABEL = "technicia.rehearsal=test";
const ATTEMPTS_AT_A_FREE_SUBNET = 50;

export interface Execution {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

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
  tryExec(script: string): Promise<Execution>;
  stop(): Promise<void>;
}

/** Starts a server on a network of its own and returns once sshd answers. */
export async function startHost(): Promise<TestHost> {
  const id = randomBytes(4).toString("hex");
  const name = `technicia-test-${id}`;
  const folder = await mkdtemp(join(tmpdir(), "technicia-host-"));
  const privateKeyFile = join(folder, "key");
  await command("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", privateKeyFile]);
  const subnet = await createNetwork(name);
  const address = `${subnet.v4}.10`;

  const stop = async (): Promise<void> => {
    await command("docker", ["rm", "--force", "--volumes", name]);
    await command("docker", ["volume", "rm", "--force", name]);
    await command("docker", ["network", "rm", name]);
    await rm(folder, { recursive: true });
  };
  const tryExec = (script: string): Promise<Execution> =>
    run("docker", ["exec", "-i", name, "bash", "-euo", "pipefail", "-s"], script);

  try {
    const authorizedKey = (await readFile(`${privateKeyFile}.pub`, "utf8")).trim();
    await command("docker", ["volume", "create", "--label", LABEL, name]);
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
    await command("docker", args.toSpliced(-1, 0, "--label", LABEL));
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
    exec: async (script) => {
      const { code, stdout, stderr } = await tryExec(script);
      if (code !== 0) {
        throw new Error(`on ${name}: exit code ${code}\n${script}\n${stderr}`);
      }
      return stdout;
    },
  };
}

interface Subnet {
  readonly v4: string;
  readonly v6: string;
}

// Test files run side by side, and Docker refuses a subnet that is taken.
async function createNetwork(name: string): Promise<Subnet> {
  for (let attempt = 1; ; attempt++) {
    const [a = 0, b = 0] = randomBytes(2);
    const subnet = {
      v4: `10.${200 + (a % 50)}.${b}`,
      v6: `fd00:${randomBytes(2).toString("hex")}:${randomBytes(2).toString("hex")}`,
    };
    const addresses = ["--subnet", `${subnet.v4}.0/24`, "--ipv6", "--subnet", `${subnet.v6}::/64`];
    const { code, stderr } = await run("docker", ["network", "create", "--label", LABEL, ...addresses, name]);
    if (code === 0) {
      return subnet;
    }
    if (!/overlap/i.test(stderr) || attempt === ATTEMPTS_AT_A_FREE_SUBNET) {
      throw new Error(`docker network create failed: ${stderr}`);
    }
  }
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

async function command(program: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(program, args);
  if (code !== 0) {
    throw new Error(`${program} ${args.slice(0, 3).join(" ")}: exit code ${code}\n${stderr}`);
  }
  return stdout;
}

function run(program: string, args: readonly string[], stdin?: string): Promise<Execution> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: "pipe" });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.once("error", reject);
    child.once("close", (code) => resolve({ code: code ?? 255, stdout, stderr }));
    // A program that ends without reading its input is judged by its exit code.
    child.stdin.on("error", () => undefined);
    child.stdin.end(stdin);
  });
}
