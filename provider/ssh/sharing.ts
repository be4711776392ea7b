/**
 * One login for several processes: who is logged in to a host lends channels of that login to the processes that it starts, as OpenSSH does
 * with a master connection. Between them they speak ssh again, over a Unix socket in a folder that only this user may enter.
 */
import { createHash, generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createConnection, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Client, ClientChannel, ServerChannel } from "ssh2";
import { openConnection, where, type Target } from "./connect.ts";
import { readPublicKey } from "./keys.ts";

/** Variable that names the folder of the sockets to the processes that may join. */
const FOLDER = "TECHNICIA_SSH_SHARED";

export interface Sharing {
  close(): void;
}

/** Lends what `open` opens on the host to the processes that are started from now on. */
export function shareLogin(target: Target, open: () => Promise<ClientChannel>): Sharing {
  const sockets = new Set<Socket>();
  const listener = createServer((socket) => {
    sockets.add(socket);
    // Whoever joined may have been killed.
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
    void serve(socket, open);
  });
  // Without a socket, or beside one that leads to the same host already, each logs in by itself.
  listener.on("error", () => undefined);
  listener.listen(socketOf(ownFolder(), target)).unref();
  return {
    close() {
      listener.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** A connection over the login of the process that started this one; undefined when it has none to this host. */
export async function joinLogin(target: Target, signal: AbortSignal): Promise<Client | undefined> {
  const folder = process.env[FOLDER];
  if (folder === undefined) return undefined;
  const socket = createConnection(socketOf(folder, target));
  try {
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return await openConnection({ sock: socket, username: target.user, authHandler: ["none"] }, { signal });
  } catch {
    socket.destroy();
    return undefined;
  }
}

let own: string | undefined;

function ownFolder(): string {
  if (own !== undefined) return own;
  const made = mkdtempSync(join(tmpdir(), "technicia-ssh-"));
  process.on("exit", () => rmSync(made, { recursive: true, force: true }));
  return (own = process.env[FOLDER] = made);
}

/** Another key is another host; a path to a socket has little room. */
function socketOf(folder: string, target: Target): string {
  const key = target.hostKey === undefined ? "" : readPublicKey(target.hostKey).blob.toString("base64");
  const name = createHash("sha256")
    .update(`${target.user}@${where(target)} ${key}`)
    .digest("hex");
  return join(folder, name.slice(0, 16));
}

async function serve(socket: Socket, open: () => Promise<ClientChannel>): Promise<void> {
  const { default: ssh2 } = await import("ssh2");
  const { privateKey } = generateKeyPairSync("ec", {
    namedCurve: "prime256v1",
    privateKeyEncoding: { type: "sec1", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  const server = new ssh2.Server({ hostKeys: [privateKey] }, (client) => {
    client.on("error", () => undefined);
    // Who may enter the folder may read the key that we log in with, too.
    client.on("authentication", (context) => context.accept());
    client.on("session", (accept, reject) => {
      open().then(
        (lent) => accept().once("exec", (acceptExec) => splice(acceptExec(), lent)),
        () => reject(),
      );
    });
  });
  server.injectSocket(socket);
}

/** Whatever is run, `lent` is the shell that both ends mean. */
function splice(channel: ServerChannel, lent: ClientChannel): void {
  channel.pipe(lent).pipe(channel);
  lent.stderr.pipe(channel.stderr);
  channel.on("error", () => undefined).on("close", () => lent.destroy());
  lent.on("error", () => undefined).on("close", () => channel.destroy());
}
