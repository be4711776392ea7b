/**
 * One login for several processes. A process that is logged in to a host lends channels of its login to the processes that it starts, as
 * OpenSSH does with a control master. They speak ssh over a Unix socket in a folder that only this user may enter.
 */
import { createHash, generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createConnection, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Client, ClientChannel, ServerChannel } from "ssh2";
import { openConnection, where, type Target } from "./connect.ts";
import { readPublicKey } from "./keys.ts";

/** Environment variable that passes the folder of the sockets to child processes. */
const FOLDER = "TECHNICIA_SSH_SHARED";

export interface Sharing {
  close(): void;
}

/** Lends root shells, opened by `openShell`, to the processes that are started afterwards. */
export function shareLogin(target: Target, openShell: () => Promise<ClientChannel>): Sharing {
  const sockets = new Set<Socket>();
  const listener = createServer((socket) => {
    sockets.add(socket);
    // A process that joined may have been killed.
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    void serve(socket, openShell);
  });
  // Without a socket, or when one for the same host exists already, each process logs in by itself.
  listener.on("error", () => undefined);
  listener.listen(socketOf(socketFolder(), target)).unref();
  return {
    close() {
      listener.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** A connection over the login of the process that started this one; undefined when that process has none to this host. */
export async function joinLogin(target: Target, signal: AbortSignal): Promise<Client | undefined> {
  const inherited = process.env[FOLDER];
  if (inherited === undefined) return undefined;
  const socket = createConnection(socketOf(inherited, target));
  try {
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return await openConnection({ sock: socket, username: target.user, authHandler: ["none"] }, { signal });
  } catch {
    socket.destroy();
    return undefined;
  }
}

let folder: string | undefined;

function socketFolder(): string {
  if (folder !== undefined) return folder;
  const created = mkdtempSync(join(tmpdir(), "technicia-ssh-"));
  process.on("exit", () => rmSync(created, { recursive: true, force: true }));
  return (folder = process.env[FOLDER] = created);
}

/** Includes the host key, because another key is another host; hashed, because the path of a socket is limited to some 100 bytes. */
function socketOf(parent: string, target: Target): string {
  const key = target.hostKey === undefined ? "" : readPublicKey(target.hostKey).blob.toString("base64");
  const name = createHash("sha256")
    .update(`${target.user}@${where(target)} ${key}`)
    .digest("hex");
  return join(parent, name.slice(0, 16));
}

async function serve(socket: Socket, openShell: () => Promise<ClientChannel>): Promise<void> {
  const { default: ssh2 } = await import("ssh2");
  const { privateKey } = generateKeyPairSync("ec", {
    namedCurve: "prime256v1",
    privateKeyEncoding: { type: "sec1", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  const server = new ssh2.Server({ hostKeys: [privateKey] }, (client) => {
    client.on("error", () => undefined);
    // Any process that can enter the folder can also read our private key, so a password would protect nothing.
    client.on("authentication", (context) => context.accept());
    client.on("session", (accept, reject) => {
      openShell().then(
        // The command is ignored: both sides only ever mean a root shell.
        (shell) => accept().once("exec", (acceptExec) => connectChannels(acceptExec(), shell)),
        () => reject(),
      );
    });
  });
  server.injectSocket(socket);
}

function connectChannels(borrower: ServerChannel, shell: ClientChannel): void {
  borrower.pipe(shell).pipe(borrower);
  shell.stderr.pipe(borrower.stderr);
  borrower.on("error", () => undefined).on("close", () => shell.destroy());
  shell.on("error", () => undefined).on("close", () => borrower.destroy());
}
