import { generateKeyPairSync } from "node:crypto";
import type { AddressInfo } from "node:net";

import ssh from "ssh2";

/** What a script run over ssh leaves behind. */
export interface Ran {
  readonly stdout?: string;
  readonly stderr?: string;
  readonly code?: number;
}

/** What the server saw of one script. */
export interface SeenScript {
  readonly script: string;
  readonly environment: Record<string, string>;
  readonly stdin: string;
}

export interface SshDouble extends AsyncDisposable {
  readonly port: number;

  /** As in `authorized_keys`, without a comment. */
  readonly hostKey: string;

  /** The one private key that may log in. */
  readonly privateKey: string;
  readonly scripts: SeenScript[];
  readonly connections: () => number;
}

function newKey(): { private: string; public: string } {
  // ssh2 writes a few in a thousand so that it cannot read them itself.
  for (;;) {
    const pair = ssh.utils.generateKeyPairSync("ed25519");
    const isReadable = [pair.private, pair.public].every(
      (key) => !(ssh.utils.parseKey(key) instanceof Error),
    );
    if (isReadable) return { private: pair.private, public: pair.public.trim() };
  }
}

/** Another key, for a host that is not the expected one. */
export function newHostKey(): string {
  return newKey().public;
}

/** An ssh server whose scripts do what `run` says, and which accepts the variables that a stock sshd accepts. */
export async function startSshDouble(run: (seen: SeenScript) => Ran): Promise<SshDouble> {
  const host = newKey();
  const user = newKey();
  const allowed = ssh.utils.parseKey(user.public);
  if (allowed instanceof Error) {
    throw allowed;
  }
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({
    type: "pkcs1",
    format: "pem",
  });
  const scripts: SeenScript[] = [];
  let connections = 0;

  const server = new ssh.Server({ hostKeys: [host.private, rsa] }, (client) => {
    connections += 1;
    client.on("error", () => undefined);
    client.on("authentication", (attempt) => {
      const isKey = attempt.method === "publickey" && attempt.key.data.equals(allowed.getPublicSSH());
      if (isKey && attempt.username === "operator") {
        attempt.accept();
      } else {
        attempt.reject(["publickey"]);
      }
    });
    client.on("session", (accept) => {
      const environment: Record<string, string> = {};
      const session = accept();
      session.on(
        "env",
        (acceptVariable: (() => void) | undefined, refuse: (() => void) | undefined, variable) => {
          if (/^(LANG|LC_.*)$/.test(variable.key)) {
            environment[variable.key] = variable.val;
            acceptVariable?.();
          } else {
            refuse?.();
          }
        },
      );
      session.on("sftp", (acceptSftp) => {
        const sftp = acceptSftp();
        sftp.on("error", () => undefined);
      });
      session.on("exec", (acceptExec, _refuse, { command }) => {
        const channel = acceptExec();
        let stdin = "";
        channel.on("data", (chunk: Buffer) => (stdin += chunk.toString()));
        channel.on("end", () => {
          const seen = { script: command, environment, stdin };
          scripts.push(seen);
          const { stdout = "", stderr = "", code = 0 } = run(seen);
          channel.write(stdout);
          channel.stderr.write(stderr);
          channel.exit(code);
          channel.end();
        });
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

  return {
    port: (server.address() as AddressInfo).port,
    hostKey: host.public,
    privateKey: user.private,
    scripts,
    connections: () => connections,
    [Symbol.asyncDispose]: () => {
      // Connections stay open by design; the server's own end is what closes them.
      server.close();
      return Promise.resolve();
    },
  };
}
