/** What to log in with: a private key file, or an ssh agent. */
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import ssh2, { type AnyAuthMethod, type ParsedKey } from "ssh2";
import { shellWord } from "../../common/shell-quote.ts";
import { UserError } from "../../common/user-error.ts";
import { expandHome } from "./expand-home.ts";
import { fingerprint, readPublicKey } from "./keys.ts";

export interface Credentials {
  readonly methods: AnyAuthMethod[];
  /** For the message when the host refuses them: `the key /home/me/.ssh/id_ed25519 (SHA256:…)`. */
  readonly description: string;
  /** The public half; undefined when the agent chooses. */
  readonly publicKey: Buffer | undefined;
}

export async function readCredentials(
  user: string,
  privateKeyFile: string | undefined,
): Promise<Credentials> {
  const socket = process.env["SSH_AUTH_SOCK"];
  if (privateKeyFile === undefined) {
    if (socket === undefined || socket === "") {
      throw new UserError(
        "hostPrivateKeyFile: not set, and no ssh agent runs; set it to a private key file, or start an agent",
      );
    }
    return {
      methods: [{ type: "agent", username: user, agent: socket }],
      description: "the keys of the ssh agent",
      publicKey: undefined,
    };
  }

  const path = expandHome(privateKeyFile);
  const text = await readFile(path).catch((error: NodeJS.ErrnoException) => error);
  if (text instanceof Error) {
    // A key that only the agent holds is named by its public half.
    const publicKey = text.code === "ENOENT" ? await readCompanion(path) : undefined;
    if (publicKey !== undefined && socket)
      return throughAgent({ user, path, publicKey, socket, isThere: false });
    throw new UserError(
      `hostPrivateKeyFile: expected a readable private key, got ${path} (${text.code ?? text.message})`,
    );
  }
  const key = firstKey(ssh2.utils.parseKey(text));
  if (key instanceof Error) {
    if (/encrypted/i.test(key.message)) {
      const publicKey = await readPublicPart(path, text);
      return throughAgent({ user, path, publicKey, socket, isThere: true });
    }
    throw new UserError(
      `hostPrivateKeyFile: expected a private key, got ${path} (${key.message}); name another file, or, if OpenSSH can read it, ` +
        `convert it with: ssh-keygen -p -f ${shellWord(path)}`,
    );
  }
  if (!key.isPrivateKey()) {
    throw new UserError(
      `hostPrivateKeyFile: expected a private key, got the public key ${path}; name the file without .pub`,
    );
  }
  return {
    methods: [{ type: "publickey", username: user, key }],
    description: `the key ${path} (${fingerprint(key.getPublicSSH())})`,
    publicKey: key.getPublicSSH(),
  };
}

interface AgentKey {
  readonly user: string;
  readonly path: string;
  readonly publicKey: Buffer | undefined;
  readonly socket: string | undefined;
  /** Whether the file is there, with a passphrase. */
  readonly isThere: boolean;
}

async function throughAgent({ user, path, publicKey, socket, isThere }: AgentKey): Promise<Credentials> {
  const advice = `add it with: ssh-add ${shellWord(path)}`;
  if (socket === undefined || socket === "") {
    throw new UserError(
      `hostPrivateKeyFile: ${path} has a passphrase, and no ssh agent runs (SSH_AUTH_SOCK is not set); start one and ${advice}`,
    );
  }
  if (publicKey === undefined) {
    throw new UserError(
      `hostPrivateKeyFile: ${path} has a passphrase, and ${path}.pub, which identifies it in the ssh agent, cannot be read; create it with: ssh-keygen -y -f ${shellWord(path)} > ${shellWord(`${path}.pub`)}`,
    );
  }
  const agent = ssh2.createAgent(socket);
  const held = await promisify(agent.getIdentities.bind(agent))().catch((error: Error) => {
    throw new UserError(
      `SSH_AUTH_SOCK: expected a running ssh agent, got none at ${socket} (${error.message})`,
    );
  });
  const match = (held ?? [])
    .map(firstKey)
    .filter((key): key is ParsedKey => !(key instanceof Error))
    .find((key) => key.getPublicSSH().equals(publicKey));
  if (match === undefined) {
    throw new UserError(
      `hostPrivateKeyFile: ${path} ${isThere ? "has a passphrase" : "is not there"}, and the ssh agent does not hold it; ${advice}`,
    );
  }
  // sshd allows six attempts; an agent that offers all its keys may use them up before the right one.
  agent.getIdentities = (callback) => callback(undefined, [match]);
  return {
    methods: [{ type: "agent", username: user, agent }],
    description: `the key ${path} (${fingerprint(publicKey)}) through the ssh agent`,
    publicKey,
  };
}

async function readPublicPart(path: string, text: Buffer): Promise<Buffer | undefined> {
  const armoured = /-----BEGIN OPENSSH PRIVATE KEY-----([^-]+)-----END/.exec(text.toString("latin1"))?.[1];
  if (armoured !== undefined) return publicBlobOf(Buffer.from(armoured, "base64"));
  return readCompanion(path);
}

async function readCompanion(path: string): Promise<Buffer | undefined> {
  const companion = await readFile(`${path}.pub`, "utf8").catch(() => undefined);
  return companion === undefined ? undefined : readPublicKey(companion).blob;
}

// The public key is not encrypted. Before it come: magic, cipher, kdf, kdf options, number of keys.
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
  if (key instanceof Error) return key;
  return key === undefined ? new Error("no key in it") : (key as ParsedKey);
}
