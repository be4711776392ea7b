import { connect, type Socket } from "node:net";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";

import ssh, { type Client } from "ssh2";

/** How to reach a remote machine, in the words of the official plugin. */
export interface Connection {
  readonly host: string;
  readonly port?: number;
  readonly user?: string;
  readonly password?: string;
  readonly privateKey?: string;
  readonly privateKeyPassword?: string;
  readonly agentSocketPath?: string;
  readonly hostKey?: string;
  readonly dialErrorLimit?: number;
  readonly perDialTimeout?: number;
}

const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 5_000;

/**
 * Logs in. Every failure is tried again, a wrong host key as well as a refused connection: the limit counts failures
 * that are tolerated, so there is one attempt more; -1 means no limit.
 */
export async function dial(connection: Connection, signal: AbortSignal): Promise<Client> {
  const agent = connection.agentSocketPath ?? process.env.SSH_AUTH_SOCK;
  if (agent !== undefined && agent !== "") {
    await requireAgent(agent);
  }
  if (connection.privateKey !== undefined) {
    requireKey(connection.privateKey, connection.privateKeyPassword);
  }

  const limit = connection.dialErrorLimit ?? 10;
  for (
    let failures = 1, wait = FIRST_WAIT_MS;
    ;
    failures += 1, wait = Math.min(wait * 1.5, LONGEST_WAIT_MS)
  ) {
    try {
      return await logIn(connection, agent);
    } catch (error) {
      signal.throwIfAborted();
      if (limit >= 0 && failures > limit) {
        throw new Error(`after ${failures} failed attempts: ${(error as Error).message}`, { cause: error });
      }
      await delay(wait, undefined, { signal });
    }
  }
}

async function logIn(connection: Connection, agent: string | undefined): Promise<Client> {
  const { user = "root", password, privateKey, privateKeyPassword } = connection;
  const expected = connection.hostKey === undefined ? undefined : parseHostKey(connection.hostKey);
  const socket = await open(connection);
  const client = new ssh.Client();
  let isOtherKey = false;

  return new Promise((resolve, reject) => {
    client.once("ready", () => {
      // From here on whoever uses the connection hears of its failures; without a listener they would end the process.
      client.on("error", () => undefined);
      resolve(client);
    });
    client.once("error", (error) => {
      socket.destroy();
      const reason = isOtherKey ? "ssh: host key mismatch" : `ssh: ${error.message}`;
      reject(new Error(`ssh: handshake failed: ${reason}`));
    });

    client.connect({
      sock: socket,
      username: user,
      // A handshake that hangs is waited for: the time limit is for the connection alone.
      readyTimeout: 0,
      ...(password === undefined ? {} : { password, tryKeyboard: true }),
      ...(privateKey === undefined ? {} : { privateKey }),
      ...(privateKeyPassword === undefined ? {} : { passphrase: privateKeyPassword }),
      ...(agent === undefined || agent === "" ? {} : { agent }),
      ...(expected === undefined
        ? {}
        : {
            algorithms: { serverHostKey: [expected.type as "ssh-ed25519"] },
            hostVerifier: (key: Buffer) => {
              isOtherKey = !key.equals(expected.data);
              return !isOtherKey;
            },
          }),
    });
    client.on("keyboard-interactive", (_name, _instructions, _language, prompts, finish) => {
      finish(prompts.map(() => password ?? ""));
    });
  });
}

function open({ host, port = 22, perDialTimeout = 15 }: Connection): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    const timer =
      perDialTimeout > 0
        ? setTimeout(() => {
            socket.destroy(new Error(`dial tcp ${host}:${port}: i/o timeout`));
          }, perDialTimeout * 1000)
        : undefined;

    socket.once("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.removeAllListeners("error");
      resolve(socket);
    });
  });
}

function requireKey(privateKey: string, passphrase: string | undefined): void {
  const key = ssh.utils.parseKey(privateKey, passphrase);
  if (key instanceof Error) {
    throw new Error(`ssh: ${key.message}`);
  }
}

function parseHostKey(line: string): { type: string; data: Buffer } {
  const [type = "", data = ""] = line.trim().split(/\s+/);
  if (data === "") {
    throw new Error(`ssh: expected a host key such as "ssh-ed25519 AAAA…", got ${JSON.stringify(line)}`);
  }
  return { type, data: Buffer.from(data, "base64") };
}

function requireAgent(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    socket.once("error", (error) => {
      reject(new Error(`dial unix ${path}: ${error.message}`));
    });
    socket.once("connect", () => {
      socket.destroy();
      resolve();
    });
  });
}
