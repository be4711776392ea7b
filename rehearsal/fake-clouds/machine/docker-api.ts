import { request } from "node:http";
import type { Duplex } from "node:stream";

const API = "/v1.41";

/** What a command inside a container gave back. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Docker's Engine API, as far as a server needs it. */
export class DockerApi {
  readonly #socketPath: string;

  constructor(socketPath = "/var/run/docker.sock") {
    this.#socketPath = socketPath;
  }

  /** Answers the body; refuses any status that is not in `expected`. */
  async call(
    method: string,
    path: string,
    body?: unknown,
    expected: readonly number[] = [200, 201, 204, 304],
  ): Promise<unknown> {
    const text = body === undefined ? "" : JSON.stringify(body);
    const answer = await this.#send(method, path, text);
    if (!expected.includes(answer.status)) {
      throw new Error(
        `docker ${method} ${path}: expected ${expected.join(" or ")}, got ${answer.status} ${answer.text}`,
      );
    }
    return answer.text.startsWith("{") || answer.text.startsWith("[")
      ? (JSON.parse(answer.text) as unknown)
      : undefined;
  }

  /** Runs a command in a container, with `stdin` as its input, and waits for its end. */
  async exec(container: string, command: readonly string[], stdin = ""): Promise<Outcome> {
    const created = (await this.call("POST", `/containers/${container}/exec`, {
      AttachStdin: true,
      AttachStdout: true,
      AttachStderr: true,
      Cmd: command,
    })) as { Id: string };
    const stream = await this.#hijack(`/exec/${created.Id}/start`, { Detach: false, Tty: false });
    const output = readFrames(stream);
    stream.end(stdin);
    const { stdout, stderr } = await output;
    const { ExitCode } = (await this.call("GET", `/exec/${created.Id}/json`)) as { ExitCode: number };
    return { code: ExitCode, stdout, stderr };
  }

  #send(method: string, path: string, text: string): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const sent = request(
        {
          socketPath: this.#socketPath,
          method,
          path: `${API}${path}`,
          headers: { "content-type": "application/json", "content-length": Buffer.byteLength(text) },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("end", () =>
            resolve({
              status: response.statusCode ?? 0,
              text: Buffer.concat(chunks).toString("utf8").trim(),
            }),
          );
          response.on("error", reject);
        },
      );
      sent.on("error", reject);
      sent.end(text);
    });
  }

  #hijack(path: string, body: unknown): Promise<Duplex> {
    const text = JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const sent = request({
        socketPath: this.#socketPath,
        method: "POST",
        path: `${API}${path}`,
        headers: {
          "content-type": "application/json",
          "content-length": Buffer.byteLength(text),
          connection: "Upgrade",
          upgrade: "tcp",
        },
      });
      sent.on("upgrade", (_, socket, head) => {
        if (head.length > 0) socket.unshift(head);
        resolve(socket);
      });
      sent.on("response", (response) => {
        response.resume();
        reject(new Error(`docker POST ${path}: expected a stream, got ${response.statusCode ?? 0}`));
      });
      sent.on("error", reject);
      sent.end(text);
    });
  }
}

// Docker sends both outputs over one connection, each piece with its kind (1 or 2) and length before it.
async function readFrames(stream: Duplex): Promise<{ stdout: string; stderr: string }> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  const all = Buffer.concat(chunks);
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
