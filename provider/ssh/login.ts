/** The key that we log in with: a file, or an agent that holds it. */
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import ssh2, { type AgentAuthMethod, type AnyAuthMethod, type ParsedKey } from "ssh2";
import { UserError } from "../../common/user-error.ts";
import { fingerprint, readPublicKey } from "./keys.ts";

/** What to log in with, and how to call it when it is refused. */
export interface Login {
  readonly methods: AnyAuthMethod[];
  readonly description: string;
}

export async function readLogin(user: string, privateKeyFile: string | undefined): Promise<Login> {
  const socket = process.env["SSH_AUTH_SOCK"];
  if (privateKeyFile === undefined) {
    if (socket === undefined || socket === "") {
      throw new UserError(
        "hostPrivateKeyFile: expected a private key file or a running ssh agent, got neither; set one of them",
      );
    }
    return {
      methods: [{ type: "agent", username: user, agent: socket }],
      description: "the keys of the ssh agent",
    };
  }

  const path = expand(privateKeyFile);
  const text = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(
      `hostPrivateKeyFile: expected a readable private key, got ${path} (${error.code ?? error.message})`,
    );
  });
  const key = firstKey(ssh2.utils.parseKey(text));
  if (key instanceof Error) {
    if (/encrypted/i.test(key.message)) {
      return throughAgent({ user, path, publicKey: await publicPart(path, text), socket });
    }
    throw new UserError(`hostPrivateKeyFile: expected a private key, got ${path} (${key.message})`);
  }
  if (!key.isPrivateKey()) {
    throw new UserError(
      `hostPrivateKeyFile: expected a private key, got the public key ${path}; name the file without .pub`,
    );
  }
  return {
    methods: [{ type: "publickey", username: user, key }],
    description: `the key ${path} (${fingerprint(key.getPublicSSH())})`,
  };
}

function expand(path: string): string {
  return path === "~" || path.startsWith("~/") ? join(homedir(), path.slice(1)) : resolve(path);
}

interface AgentKey {
  readonly user: string;
  readonly path: string;
  readonly publicKey: Buffer | undefined;
  readonly socket: string | undefined;
}

async function throughAgent({ user, path, publicKey, socket }: AgentKey): Promise<Login> {
  const advice = `add it with: ssh-add ${path}`;
  if (socket === undefined || socket === "") {
    throw new UserError(
      `hostPrivateKeyFile: ${path} has a passphrase, and no ssh agent runs (SSH_AUTH_SOCK is not set); start one and ${advice}`,
    );
  }
  if (publicKey === undefined) {
    throw new UserError(
      `hostPrivateKeyFile: ${path} has a passphrase, and ${path}.pub, which tells which key of the ssh agent it is, cannot be read`,
    );
  }
  const agent = ssh2.createAgent(socket);
  const held = await identities(agent, socket);
  const match = held.find((key) => key.getPublicSSH().equals(publicKey));
  if (match === undefined) {
    throw new UserError(
      `hostPrivateKeyFile: ${path} has a passphrase, and the ssh agent does not hold it; ${advice}`,
    );
  }
  const method: AgentAuthMethod = { type: "agent", username: user, agent: new OneKeyAgent(agent, match) };
  return {
    methods: [method],
    description: `the key ${path} (${fingerprint(publicKey)}) through the ssh agent`,
  };
}

function identities(agent: ssh2.BaseAgent, socket: string): Promise<ParsedKey[]> {
  return new Promise((resolvePromise, reject) => {
    agent.getIdentities((error, keys) => {
      if (error) {
        reject(
          new UserError(
            `SSH_AUTH_SOCK: expected a running ssh agent, got none at ${socket} (${error.message})`,
          ),
        );
      } else {
        resolvePromise((keys ?? []).map(firstKey).filter((key): key is ParsedKey => !(key instanceof Error)));
      }
    });
  });
}

// Offering every key of the agent would use up the attempts that sshd allows.
class OneKeyAgent extends ssh2.BaseAgent {
  readonly #agent: ssh2.BaseAgent;
  readonly #key: ParsedKey;

  constructor(agent: ssh2.BaseAgent, key: ParsedKey) {
    super();
    this.#agent = agent;
    this.#key = key;
  }

  override getIdentities(callback: ssh2.IdentityCallback): void {
    callback(undefined, [this.#key]);
  }

  override sign(
    key: AgentPublicKey,
    data: Buffer,
    options: ssh2.SigningRequestOptions | ssh2.SignCallback,
    callback?: ssh2.SignCallback,
  ): void {
    if (typeof options === "function") {
      this.#agent.sign(key, data, options);
    } else {
      this.#agent.sign(key, data, options, callback);
    }
  }
}

type AgentPublicKey = string | Buffer | ParsedKey;

async function publicPart(path: string, text: Buffer): Promise<Buffer | undefined> {
  const armoured = /-----BEGIN OPENSSH PRIVATE KEY-----([^-]+)-----END/.exec(text.toString("latin1"))?.[1];
  if (armoured !== undefined) {
    return publicBlobOf(Buffer.from(armoured, "base64"));
  }
  const beside = await readFile(`${path}.pub`, "utf8").catch(() => undefined);
  return beside === undefined ? undefined : readPublicKey(beside).blob;
}

// The public half stands in clear before the encrypted one: magic, cipher, kdf, kdf options, number of keys, public key.
function publicBlobOf(file: Buffer): Buffer {
  let offset = "openssh-key-v1\0".length;
  for (let skipped = 0; skipped < 3; skipped++) {
    offset += 4 + file.readUInt32BE(offset);
  }
  offset += 4;
  return file.subarray(offset + 4, offset + 4 + file.readUInt32BE(offset));
}

function firstKey(parsed: unknown): ParsedKey | Error {
  const key: unknown = Array.isArray(parsed) ? parsed[0] : parsed;
  if (key instanceof Error) {
    return key;
  }
  return key === undefined ? new Error("no key in it") : (key as ParsedKey);
}
