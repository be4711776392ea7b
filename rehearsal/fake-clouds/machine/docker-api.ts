import { request } from "node:http";

import type { Ended } from "../../../common/run.ts";

const API = "/v1.41";

interface CallOptions {
  readonly body?: unknown;

  /** Status that is no failure, besides those of success. */
  readonly alsoAccepted?: number;
}

/** Docker's Engine API, as far as a server needs it. The fake clouds run where there is no `docker` command. */
export class DockerApi {
  readonly #socketPath: string;

  constructor(socketPath = "/var/run/docker.sock") {
    this.#socketPath = socketPath;
  }

  /** Calls `METHOD /path` and returns the body of the answer; throws for a status of failure. */
  async call(endpoint: string, options: CallOptions = {}): Promise<unknown> {
    const text = (await this.#send(endpoint, options)).toString("utf8").trim();
    return /^[{[]/.test(text) ? (JSON.parse(text) as unknown) : undefined;
  }

  /** Runs a command in a container to its end. */
  async exec(container: string, command: readonly string[]): Promise<Ended> {
    const { Id } = (await this.call(`POST /containers/${container}/exec`, {
      body: { AttachStdout: true, AttachStderr: true, Cmd: command },
    })) as { Id: string };
    const output = await this.#send(`POST /exec/${Id}/start`, { body: { Detach: false, Tty: false } });
    const { ExitCode } = (await this.call(`GET /exec/${Id}/json`)) as { ExitCode: number };
    return { code: ExitCode, ...splitFrames(output) };
  }

  #send(endpoint: string, { body, alsoAccepted }: CallOptions): Promise<Buffer> {
    const [method, path] = endpoint.split(" ");
    const text = body === undefined ? "" : JSON.stringify(body);
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
    return new Promise((resolve, reject) => {
      const sent = request(
        { socketPath: this.#socketPath, method, path: `${API}${path}`, headers },
        (response) => {
          const status = response.statusCode ?? 0;
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("error", reject);
          response.on("end", () => {
            const answer = Buffer.concat(chunks);
            if (status < 400 || status === alsoAccepted) resolve(answer);
            else reject(new Error(`docker ${endpoint}: got status ${status} ${answer.toString("utf8")}`));
          });
        },
      );
      sent.on("error", reject);
      sent.end(text);
    });
  }
}

/** Docker sends both outputs over one connection, each piece with its kind (1 or 2) and its length before it. */
function splitFrames(all: Buffer): { stdout: string; stderr: string } {
  const parts: Record<"stdout" | "stderr", Buffer[]> = { stdout: [], stderr: [] };
  for (let at = 0; at + 8 <= all.length;) {
    const length = all.readUInt32BE(at + 4);
    parts[all[at] === 2 ? "stderr" : "stdout"].push(all.subarray(at + 8, at + 8 + length));
    at += 8 + length;
  }
  return {
    stdout: Buffer.concat(parts.stdout).toString("utf8"),
    stderr: Buffer.concat(parts.stderr).toString("utf8"),
  };
}
