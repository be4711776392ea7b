import type { Client, ClientChannel } from "ssh2";

import type { Failure, Properties } from "../plugin.ts";
import { UNKNOWN } from "../plugin.ts";
import type { Run } from "./command.ts";
import type { Connection } from "./dial.ts";

/** Judges the connection as far as it is known. */
export function checkConnection({ connection }: Properties): Failure[] {
  if (connection === UNKNOWN) {
    return [];
  }
  const { host, proxy } = (connection ?? {}) as Properties;
  const failures: Failure[] = [];
  if (typeof host !== "string") {
    failures.push({
      property: "connection.host",
      reason: "expected the address of the remote machine, got nothing",
    });
  }
  if (proxy !== undefined && proxy !== null) {
    failures.push({
      property: "connection.proxy",
      reason: "the rehearsal's command plugin connects directly only",
    });
  }
  return failures;
}

/** Runs a script on another machine, as the command of one ssh session. */
export async function runRemotely({ script, inputs, previousOutput, output, call }: Run): Promise<void> {
  // With it comes all of ssh, which a local command does not need.
  const { dial } = await import("./dial.ts");
  const client = await dial(inputs.connection as unknown as Connection, call.signal);
  // Left open for the life of this process: so does the official plugin, and a test of how many logins the host sees
  // must see as many.
  const environment: Record<string, string> = {};

  for (const [name, value] of Object.entries((inputs.environment ?? {}) as Record<string, string>)) {
    if (!(await isAccepted(client, name, value))) {
      throw new Error(`could not set environment variable "${name}": ssh: setenv failed`);
    }
    environment[name] = value;
  }
  for (const [name, value] of Object.entries(previousOutput)) {
    if (await isAccepted(client, name, value)) {
      environment[name] = value;
    } else {
      call.warn(
        `Unable to set '${name}'. This only works if your SSH server is configured to accept\n` +
          "these variables via AcceptEnv. Alternatively, if a Bash-like shell runs the command on the remote host, you could\n" +
          "prefix the command itself with the variables in the form 'VAR=value command'",
      );
    }
  }

  const stop = (): void => {
    client.destroy();
  };
  call.signal.addEventListener("abort", stop);
  try {
    await execute(client, {
      script,
      environment,
      stdin: inputs.stdin,
      add: (...part) => output.add(...part),
    });
  } finally {
    call.signal.removeEventListener("abort", stop);
  }
}

interface Execution {
  readonly script: string;
  readonly environment: Record<string, string>;
  readonly stdin: unknown;
  readonly add: (stream: "stdout" | "stderr", chunk: Buffer) => Error | undefined;
}

function execute(client: Client, { script, environment, stdin, add }: Execution): Promise<void> {
  return new Promise((resolve, reject) => {
    client.once("error", reject);
    client.once("close", () => {
      reject(new Error("ssh: the connection was closed"));
    });

    client.exec(script, { env: environment }, (error: Error | undefined, channel: ClientChannel) => {
      if (error !== undefined) {
        reject(error);
        return;
      }
      const record = (stream: "stdout" | "stderr") => (chunk: Buffer) => {
        const problem = add(stream, chunk);
        if (problem !== undefined) {
          channel.close();
          reject(problem);
        }
      };
      let ending: Error | undefined = new Error(
        "wait: remote command exited without exit status or exit signal",
      );

      channel.on("data", record("stdout"));
      channel.stderr.on("data", record("stderr"));
      channel.on("exit", (code: number | null, signal?: string) => {
        if (code === 0) {
          ending = undefined;
        } else {
          ending = new Error(
            code === null
              ? `Process exited from signal ${signal ?? "unknown"}`
              : `Process exited with status ${code}`,
          );
        }
      });
      channel.on("close", () => {
        if (ending === undefined) {
          resolve();
        } else {
          reject(ending);
        }
      });
      channel.end(typeof stdin === "string" ? stdin : "");
    });
  });
}

type SftpWithEnvironment = (
  environment: Record<string, string>,
  done: (error: Error | undefined, sftp: { end: () => void } | undefined) => void,
) => void;

/**
 * Whether the server takes a variable. Its `exec` sends variables without asking for an answer; opening a file
 * transfer session is the one call of ssh2 that asks.
 */
function isAccepted(client: Client, name: string, value: string): Promise<boolean> {
  return new Promise((resolve) => {
    const sftp = client.sftp.bind(client) as unknown as SftpWithEnvironment;
    sftp({ [name]: value }, (error, session) => {
      session?.end();
      resolve(error?.message !== "Unable to set environment");
    });
  });
}
