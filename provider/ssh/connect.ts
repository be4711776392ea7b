/** Opening a connection: who answers, whether it is the right host, whether it lets us in, and what to say when not. */
import type { Client, ClientErrorExtensions, ConnectConfig, ServerHostKeyAlgorithm } from "ssh2";
import { UserError } from "../../common/user-error.ts";
import { fingerprint, readPublicKey, signatureAlgorithms } from "./keys.ts";

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

export interface Target extends Endpoint {
  readonly user: string;
  readonly privateKeyFile: string | undefined;
  readonly hostKey: string | undefined;
}

/** Waiting for a host that may still boot. */
export interface Patience {
  readonly deadlineSeconds: number;
  readonly signal: AbortSignal;
  /** Told after each attempt in vain. */
  readonly onWaiting: (reason: string) => void;
  /** Told once a host with the pinned key answers; whether it lets us in is not known yet. */
  readonly onAnswer?: (() => void) | undefined;
}

/** Another key than the pinned one: another host, another installation, or somebody in between. */
export class HostKeyChanged extends UserError {}

const HANDSHAKE_SECONDS = 20;
const PAUSE_MILLISECONDS = 500;

// A host whose network is gone answers nothing at all; without this a command would wait for its own limit.
const KEEPALIVE_MILLISECONDS = 5_000;
const KEEPALIVES_MISSED = 3;

/** Faults that pass by themselves while a host boots or its network comes up. */
const PASSING = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EHOSTDOWN",
  "EPIPE",
  "EAI_AGAIN",
]);

export function where({ address, port }: Endpoint): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** A connection that has logged in. */
export async function connect(target: Target, patience: Patience): Promise<Client> {
  // Like ssh2 below: a preview that asks no host does not wait for what would.
  const { readLogin } = await import("./login.ts");
  const login = await readLogin(target.user, target.privateKeyFile);
  const pinned = target.hostKey === undefined ? undefined : readPublicKey(target.hostKey);

  return persist(target, patience, async () => {
    const seen: { key?: Buffer } = {};
    const config: ConnectConfig = {
      ...transport(target),
      username: target.user,
      authHandler: login.methods,
      algorithms: { serverHostKey: pinned === undefined ? KEY_PREFERENCE : signatureAlgorithms(pinned.type) },
      hostVerifier: (key: Buffer) => {
        seen.key = key;
        return pinned === undefined || key.equals(pinned.blob);
      },
    };
    try {
      return await openConnection(config, patience);
    } catch (error) {
      const fault = error as ClientErrorExtensions & Error;
      if (fault.level === "client-authentication") {
        throw new UserError(
          `ssh ${target.user}@${where(target)}: login refused with ${login.description}; ` +
            `put that key into ~${target.user}/.ssh/authorized_keys on the host (which nobody else may write to), or set hostUser or hostPrivateKeyFile to what it accepts`,
        );
      }
      const otherKey = seen.key !== undefined && pinned !== undefined && !seen.key.equals(pinned.blob);
      if (pinned !== undefined && (otherKey || /no matching host key/i.test(fault.message))) {
        const answered = otherKey && seen.key !== undefined ? seen.key : await knock(target, patience.signal);
        throw new HostKeyChanged(hostKeyChanged(target, pinned.blob, answered));
      }
      throw error;
    }
  });
}

/** The key a host answers with; nobody logs in. */
export function fetchHostKey(endpoint: Endpoint, patience: Patience): Promise<Buffer> {
  return persist(endpoint, patience, () => knock(endpoint, patience.signal));
}

export function hostKeyChanged(endpoint: Endpoint, expected: Buffer, got: Buffer): string {
  return (
    `ssh ${where(endpoint)}: expected the host key ${fingerprint(expected)}, got ${fingerprint(got)}; another machine answers there, or the host ` +
    `was installed anew, or its keys were. After an installation at OVH: npm run resume -- <stack> --reinstalled. If somebody whom you know ` +
    `changed the keys alone, accept the new one: pulumi up --replace <URN of the HostKey, from pulumi stack --show-urns>`
  );
}

const KEY_PREFERENCE: ServerHostKeyAlgorithm[] = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "rsa-sha2-512",
  "rsa-sha2-256",
];

function transport({ address, port }: Endpoint): ConnectConfig {
  return {
    host: address,
    port,
    readyTimeout: HANDSHAKE_SECONDS * 1000,
    keepaliveInterval: KEEPALIVE_MILLISECONDS,
    keepaliveCountMax: KEEPALIVES_MISSED,
  };
}

async function knock(endpoint: Endpoint, signal: AbortSignal): Promise<Buffer> {
  const seen: { key?: Buffer } = {};
  const config: ConnectConfig = {
    ...transport(endpoint),
    username: "nobody",
    algorithms: { serverHostKey: KEY_PREFERENCE },
    hostVerifier: (key: Buffer) => {
      seen.key = key;
      return false;
    },
  };
  const client = await openConnection(config, { signal }).catch((error: unknown) => {
    if (seen.key === undefined) {
      throw error;
    }
    return undefined;
  });
  client?.end();
  if (seen.key === undefined) {
    throw new UserError(`ssh ${where(endpoint)}: expected a host key, got none`);
  }
  return seen.key;
}

/** One attempt; whatever goes wrong is the library's own error. */
export async function openConnection(
  config: ConnectConfig,
  { signal, onAnswer }: Pick<Patience, "signal" | "onAnswer">,
): Promise<Client> {
  const { default: ssh2 } = await import("ssh2");
  return new Promise((resolve, reject) => {
    const client = new ssh2.Client();
    const settle = (finish: () => void): void => {
      signal.removeEventListener("abort", onAbort);
      client.removeAllListeners();
      finish();
    };
    const fail = (error: Error): void => {
      settle(() => {
        // What still comes from a connection we have given up must not end the process.
        client.on("error", () => undefined);
        client.destroy();
        reject(error);
      });
    };
    const onAbort = (): void => {
      fail(signal.reason instanceof Error ? signal.reason : new Error("cancelled"));
    };
    signal.addEventListener("abort", onAbort);
    if (onAnswer !== undefined) client.once("handshake", onAnswer);
    client.once("ready", () => {
      settle(() => {
        resolve(client);
      });
    });
    client.once("error", fail);
    // sshd closes without a word while the host boots (nologin) and when too many knock at once.
    client.once("close", () => {
      fail(Object.assign(new Error("closed the connection before login"), { code: "ECONNRESET" }));
    });
    signal.throwIfAborted();
    // A command is a few small packets: held back until the one before is acknowledged, each would take 40 ms longer.
    client.connect(config).setNoDelay(true);
  });
}

async function persist<T>(endpoint: Endpoint, patience: Patience, attempt: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + patience.deadlineSeconds * 1000;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      patience.signal.throwIfAborted();
      if (error instanceof UserError) {
        throw error;
      }
      const reason = reasonOf(error as Error);
      if (!isPassing(error as NodeJS.ErrnoException) || performance.now() + PAUSE_MILLISECONDS > deadline) {
        const waited = isPassing(error as NodeJS.ErrnoException)
          ? ` (tried for ${patience.deadlineSeconds} s)`
          : "";
        throw new UserError(
          `ssh ${where(endpoint)}: expected sshd to answer, got: ${reason}${waited}; ` +
            `check that the host runs, that hostAddress and hostPort are right, and that no firewall stands between`,
          { cause: error },
        );
      }
      patience.onWaiting(`waiting for ssh on ${where(endpoint)}: ${reason}`);
      await pause(patience.signal);
    }
  }
}

function isPassing(error: NodeJS.ErrnoException & { readonly level?: string }): boolean {
  return (
    PASSING.has(error.code ?? "") ||
    error.level === "client-timeout" ||
    /before handshake|keepalive timeout/i.test(error.message)
  );
}

function reasonOf(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case "ECONNREFUSED":
      return "connection refused";
    case "ENOTFOUND":
      return "no such host name";
    case "ETIMEDOUT":
      return "no answer";
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "no route to the host";
    default:
      return error.message;
  }
}

function pause(signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal.reason instanceof Error ? signal.reason : new Error("cancelled"));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    }, PAUSE_MILLISECONDS);
    signal.addEventListener("abort", onAbort, { once: true });
  });
}
