/** Whether the operator's key file works, judged by OpenSSH, which Docker's plugin uses, and by our own client. */
import { readFile, stat } from "node:fs/promises";
import { tryRun } from "../../common/run.ts";
import { shellQuote, shellWord } from "../../common/shell-quote.ts";
import { UserError } from "../../common/user-error.ts";
import { expandHome } from "./expand-home.ts";
import { fingerprint, readPublicKey } from "./keys.ts";

export interface OperatorKey {
  readonly privateKeyFile: string;
  /** In one line, type first. */
  readonly publicKey: string;
  /** Socket of the ssh agent; empty or undefined without one. */
  readonly agentSocket: string | undefined;
}

export interface KeyProblem {
  /** Which of the two settings is wrong. */
  readonly setting: "privateKeyFile" | "publicKey";
  /** `expected …, got …; what to do`, or what else follows the setting's name. */
  readonly text: string;
  /** Whether this machine has no such key at all, as one that only makes previews. */
  readonly isAbsent?: boolean;
}

/** What would keep the operator out; undefined when both clients can log in with this key wherever `publicKey` is admitted. */
export async function findKeyProblem(key: OperatorKey): Promise<KeyProblem | undefined> {
  const path = expandHome(key.privateKeyFile);
  const found = await readKeyFile(path, key);
  if ("text" in found) return { setting: "privateKeyFile", ...found };
  const [wanted, got] = [readPublicKey(key.publicKey).blob, found.blob];
  if (!wanted.equals(got)) {
    return {
      setting: "publicKey",
      text:
        `expected the public half of ssh.privateKeyFile, ${fingerprint(got)}, got ${fingerprint(wanted)}; a server that admits only this one ` +
        `would keep you out: set it to what ssh-keygen -y -f ${shellWord(path)} prints, or name the file of the right key`,
    };
  }
  return undefined;
}

type Refusal = Omit<KeyProblem, "setting">;

async function readKeyFile(
  path: string,
  { agentSocket }: OperatorKey,
): Promise<Refusal | { readonly blob: Buffer }> {
  const problem = await problemOfFile(path);
  if (problem !== undefined && problem.isAbsent !== true) return problem;
  if (problem !== undefined) return (await throughAgent(path, agentSocket)) ?? problem;
  // An empty passphrase, so that it asks for none.
  const { code, stdout, stderr } = await tryRun(["ssh-keygen", "-y", "-P", "", "-f", path], {
    missing: "ssh-keygen: expected OpenSSH's client on PATH, got none; install openssh-client",
  });
  if (code === 0) return (await ownClientRefuses(path)) ?? { blob: readPublicKey(stdout).blob };
  if (/passphrase/i.test(stderr)) return await readThroughAgent(path);
  return await explain(path, stderr);
}

/** What is wrong before anybody reads it. */
async function problemOfFile(path: string): Promise<Refusal | undefined> {
  try {
    if ((await stat(path)).isFile()) return undefined;
    return { text: `expected a private key, got ${path}, which is no file; name the key in it` };
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    const isAbsent = code === "ENOENT" || code === "ENOTDIR";
    const got = isAbsent ? "no file there" : code;
    return {
      text: `expected a private key at ${path}, got ${got}; create one with ssh-keygen -t ed25519 -f ${shellWord(path)}, or name the one you have`,
      isAbsent,
    };
  }
}

/** A key that only the agent holds is named by its public half, which both clients look for beside the file. */
async function throughAgent(
  path: string,
  agentSocket: string | undefined,
): Promise<Refusal | { readonly blob: Buffer } | undefined> {
  if (agentSocket === undefined || agentSocket === "") return undefined;
  const companion = await readFile(`${path}.pub`, "utf8").catch(() => undefined);
  if (companion === undefined) return undefined;
  const found = await readThroughAgent(path);
  return "text" in found ? { ...found, isAbsent: true } : found;
}

async function readThroughAgent(path: string): Promise<Refusal | { readonly blob: Buffer }> {
  try {
    const { readCredentials } = await import("./credentials.ts");
    const { publicKey } = await readCredentials("", path);
    return { blob: publicKey! };
  } catch (error) {
    return refusalOf(error);
  }
}

/** OpenSSH's own format is known to work; only others are tried, because loading our client takes a while. */
async function ownClientRefuses(path: string): Promise<Refusal | undefined> {
  if ((await readFile(path, "latin1")).includes("-----BEGIN OPENSSH PRIVATE KEY-----")) return undefined;
  const { readCredentials } = await import("./credentials.ts");
  return await readCredentials("", path).then(() => undefined, refusalOf);
}

function refusalOf(error: unknown): Refusal {
  if (!(error instanceof UserError)) throw error;
  return { text: error.message.replace(/^hostPrivateKeyFile: /, "") };
}

/** What editors and copies do to a key, and what undoes it in sed's words. */
const KEY_FAULTS: readonly {
  readonly isThere: (text: string) => boolean;
  readonly words: string;
  readonly edit: string;
}[] = [
  {
    isThere: (text) => text.startsWith("\u00ef\u00bb\u00bf"),
    words: "with a byte order mark",
    edit: String.raw`1s/^\xef\xbb\xbf//`,
  },
  {
    isThere: (text) => text.includes("\r"),
    words: "with the line endings of Windows",
    edit: String.raw`s/\r$//`,
  },
  {
    isThere: (text) => text.includes("PRIVATE KEY-----") && !text.endsWith("\n"),
    words: "without an end of line at its end",
    edit: "$a\\",
  },
];

/** Says in words what OpenSSH could not read. */
async function explain(path: string, stderr: string): Promise<Refusal> {
  const name = shellWord(path);
  const mode = /Permissions (\d+) for/.exec(stderr)?.[1];
  if (mode !== undefined) {
    return {
      text: `expected a file that only you may read, got ${path} with the permissions ${mode}, which OpenSSH refuses; correct it with: chmod 600 ${name}`,
    };
  }
  const text = await readFile(path, "latin1").catch(() => "");
  const expected = `expected a private key that OpenSSH can read, got ${path}`;
  if (/^(ssh-|ecdsa-|sk-)\S+ AAAA/.test(text))
    return { text: `${expected}, a public key; name the file without .pub` };
  if (text.startsWith("PuTTY-User-Key-File")) {
    return {
      text: `${expected}, in PuTTY's format; convert it with: puttygen ${name} -O private-openssh -o ${name}.openssh`,
    };
  }
  if (text.startsWith("\u00ff\u00fe") || text.startsWith("\u00fe\u00ff")) {
    return {
      text: `${expected}, in UTF-16; convert it with: iconv -f UTF-16 -t UTF-8 ${name} > ${name}.new && chmod 600 ${name}.new && mv ${name}.new ${name}`,
    };
  }
  const faults = KEY_FAULTS.filter(({ isThere }) => isThere(text));
  if (faults.length > 0) {
    const edits = faults.map(({ edit }) => `-e ${shellQuote(edit)}`).join(" ");
    return {
      text: `${expected}, ${faults.map(({ words }) => words).join(" and ")}; correct it with: sed -i ${edits} ${name}`,
    };
  }
  const said =
    stderr
      .trim()
      .split("\n")
      .at(-1)
      ?.replace(/^Load key ".*": /, "") ?? "";
  return { text: `${expected} (${said}); name another file, or copy the key again` };
}
