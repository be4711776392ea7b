/** Opens a connection: waits for the host, checks its key, logs in, and reports what went wrong. */
import type { Client, ClientErrorExtensions, ConnectConfig, ServerHostKeyAlgorithm } from "ssh2";
import { until } from "../../common/until.ts";
import { UserError } from "../../common/user-error.ts";
import type { Credentials } from "./credentials.ts";
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

/** How to wait for a host that may still be booting. */
export interface WaitOptions {
  readonly deadlineSeconds: number;
  readonly signal: AbortSignal;
  /** Called after each failed attempt. */
  readonly onWaiting?: ((reason: string) => void) | undefined;
  /** Called once a host with the pinned key answers; it may still refuse the login. */
  readonly onAnswer?: (() => void) | undefined;
}

/** The host answers with another key than the pinned one: it is another host, another installation, or an attacker. */
export class HostKeyChanged extends UserError {
  constructor(endpoint: Endpoint, { expected, got }: { readonly expected: Buffer; readonly got: Buffer }) {
    super(
      `ssh ${where(endpoint)}: expected the host key ${fingerprint(expected)}, got ${fingerprint(got)}; another machine answers there, the host ` +
        `was reinstalled, or its keys were replaced. After a reinstallation at OVH: npm run resume -- <stack> --reinstalled. If a colleague ` +
        `replaced only the keys, accept the new one: pulumi up --replace <URN of the HostKey, from pulumi stack --show-urns>`,
    );
  }
}

/** Nobody answered as sshd within the deadline. */
export class NoAnswer extends UserError {
  override readonly name = "NoAnswer";

  /** Whether a machine is there that refuses the connection, so it is not down. */
  readonly isRefused: boolean;

  constructor(message: string, fault: NodeJS.ErrnoException | undefined) {
    super(message, { cause: fault });
    this.isRefused = fault?.code === "ECONNREFUSED";
  }
}

const HANDSHAKE_SECONDS = 20;
const PAUSE_MILLISECONDS = 500;

// Without this, a command on a host whose network is gone would wait for its own limit.
const KEEPALIVE_MILLISECONDS = 5_000;
const KEEPALIVES_MISSED = 3;

/** Faults that go away by themselves while a host boots or its network comes up. */
const TRANSIENT = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "EHOSTDOWN",
  "EPIPE",
  "EAI_AGAIN",
]);

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ENOTFOUND: "no such host name",
  ETIMEDOUT: "no answer",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "no route to the host",
};

export function where({ address, port }: Endpoint): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Waits for the host and logs in; gives up with `HostKeyChanged` when it has another key than the pinned one. */
export async function connect(target: Target, options: WaitOptions): Promise<Client> {
  // Loaded here, like ssh2 below, because a preview that asks no host does not need them.
  const { readCredentials } = await import("./credentials.ts");
  const credentials = await readCredentials(target.user, target.privateKeyFile);
  return retryUntilAnswered(() => logIn(target, { ...options, credentials }), {
    ...options,
    endpoint: target,
  });
}

/**
 * The key that a host answers with; does not log in.
 *
 * A host has one for each kind: with a fingerprint it is the one that has it, and the preferred one where none has.
 */
export async function fetchHostKey(
  endpoint: Endpoint,
  { wanted, ...options }: WaitOptions & { readonly wanted?: string | undefined },
): Promise<Buffer> {
  const { signal } = options;
  const key = await retryUntilAnswered(() => probeHostKey(endpoint, { signal }), { ...options, endpoint });
  if (wanted === undefined || fingerprint(key) === wanted) return key;
  for (const algorithm of KEY_PREFERENCE) {
    const other = await probeHostKey(endpoint, { signal, algorithms: [algorithm] }).catch(() => undefined);
    signal.throwIfAborted();
    if (other !== undefined && fingerprint(other) === wanted) return other;
  }
  return key;
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

async function logIn(
  target: Target,
  { credentials, ...options }: WaitOptions & { readonly credentials: Credentials },
): Promise<Client> {
  const pinned = target.hostKey === undefined ? undefined : readPublicKey(target.hostKey);
  let answered: Buffer | undefined;
  try {
    return await openConnection(
      {
        ...transport(target),
        username: target.user,
        authHandler: credentials.methods,
        algorithms: {
          serverHostKey: pinned === undefined ? KEY_PREFERENCE : signatureAlgorithms(pinned.type),
        },
        hostVerifier: (key: Buffer) => {
          answered = key;
          return pinned === undefined || key.equals(pinned.blob);
        },
      },
      options,
    );
  } catch (error) {
    const { level, message } = error as ClientErrorExtensions & Error;
    if (level === "client-authentication") {
      throw new UserError(
        `ssh ${target.user}@${where(target)}: the host refused ${credentials.description}; put that key into ` +
          `~${target.user}/.ssh/authorized_keys on the host (only its owner may write to that file), or set hostUser or hostPrivateKeyFile ` +
          `to what the host accepts`,
      );
    }
    if (pinned !== undefined && answered !== undefined && !answered.equals(pinned.blob)) {
      throw new HostKeyChanged(target, { expected: pinned.blob, got: answered });
    }
    if (pinned !== undefined && /no matching host key/i.test(message)) {
      const other = await probeHostKey(target, { signal: options.signal });
      throw new HostKeyChanged(target, { expected: pinned.blob, got: other });
    }
    throw error;
  }
}

/** Starts a handshake, notes the key, and refuses it. */
async function probeHostKey(
  endpoint: Endpoint,
  {
    signal,
    algorithms = KEY_PREFERENCE,
  }: { readonly signal: AbortSignal; readonly algorithms?: ServerHostKeyAlgorithm[] },
): Promise<Buffer> {
  let answered: Buffer | undefined;
  const config: ConnectConfig = {
    ...transport(endpoint),
    username: "nobody",
    algorithms: { serverHostKey: algorithms },
    hostVerifier: (key: Buffer) => {
      answered = key;
      return false;
    },
  };
  try {
    (await openConnection(config, { signal })).end();
  } catch (error) {
    if (answered === undefined) throw error;
  }
  if (answered === undefined) {
    throw new UserError(`ssh ${where(endpoint)}: the server sent no host key; check that sshd listens there`);
  }
  return answered;
}

/** One attempt; fails with the library's own error. */
export async function openConnection(
  config: ConnectConfig,
  { signal, onAnswer }: Pick<WaitOptions, "signal" | "onAnswer">,
): Promise<Client> {
  const { default: ssh2 } = await import("ssh2");
  return new Promise((resolve, reject) => {
    const client = new ssh2.Client();
    const stopListening = (): void => {
      signal.removeEventListener("abort", onAbort);
      client.removeAllListeners();
    };
    const fail = (error: Error): void => {
      stopListening();
      // An error that this connection still emits must not end the process.
      client.on("error", () => undefined);
      client.destroy();
      reject(error);
    };
    const onAbort = (): void => {
      fail(signal.reason instanceof Error ? signal.reason : new Error("cancelled"));
    };
    signal.addEventListener("abort", onAbort);
    if (onAnswer !== undefined) client.once("handshake", onAnswer);
    client.once("ready", () => {
      stopListening();
      resolve(client);
    });
    client.once("error", fail);
    // sshd closes without an error while the host boots (nologin) and when too many connect at the same time.
    client.once("close", () => {
      fail(Object.assign(new Error("closed the connection before login"), { code: "ECONNRESET" }));
    });
    signal.throwIfAborted();
    // A command is a few small packets. With Nagle's algorithm each would wait 40 ms for the acknowledgement of the previous one.
    client.connect(config).setNoDelay(true);
  });
}

async function retryUntilAnswered<T extends object>(
  attempt: () => Promise<T>,
  { endpoint, deadlineSeconds, signal, onWaiting }: WaitOptions & { readonly endpoint: Endpoint },
): Promise<T> {
  let fault: Error | undefined;
  const unreachable = (waited: string): UserError =>
    new NoAnswer(
      `ssh ${where(endpoint)}: expected sshd to answer, got: ${fault && reasonOf(fault)}${waited}; ` +
        `check that the host runs, that hostAddress and hostPort are right, and that no firewall blocks the way ` +
        "(docs/runbook.md, Accès perdu, if your address is another than before)",
      fault,
    );
  const tryOnce = async (): Promise<T | undefined> => {
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof UserError) throw error;
      fault = error as Error;
      if (!isTransient(fault)) throw unreachable("");
      onWaiting?.(`waiting for ssh on ${where(endpoint)}: ${reasonOf(fault)}`);
      return undefined;
    }
  };
  const late = (): UserError => unreachable(` (tried for ${deadlineSeconds} s)`);
  // No attempt begins after the deadline: the caller has its own limit, whose message says less.
  const limit = deadlineSeconds * 1000 - PAUSE_MILLISECONDS;
  try {
    return await until(tryOnce, { limit, every: PAUSE_MILLISECONDS, signal, late });
  } catch (error) {
    // A pause that is aborted fails with an error that says nothing.
    signal.throwIfAborted();
    throw error;
  }
}

function isTransient(error: NodeJS.ErrnoException & { readonly level?: string }): boolean {
  return (
    TRANSIENT.has(error.code ?? "") ||
    error.level === "client-timeout" ||
    /before handshake|keepalive timeout/i.test(error.message)
  );
}

function reasonOf({ code = "", message }: NodeJS.ErrnoException): string {
  return REASONS[code] ?? message;
}
