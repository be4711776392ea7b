/** Runs nginx as the gateway and the tunnel run it: what a component registers, as arguments of `docker run`. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";

import { tryRun } from "../../common/run.ts";
import { createNetwork, imageOf, type TestNetwork } from "../support/containers.ts";

/** Answers for every service behind the gateway, with its port and what it was asked. */
const ECHO = `events {}
http {
  access_log off;
  client_max_body_size 0;
  server {
    listen 5678; listen 8000; listen 80;
    location / {
      default_type text/plain;
      return 200 '$server_port $request_method $request_uri';
    }
    location ~ ^/(webhook/)?refused$ {
      default_type application/json;
      return 503 '{"own":true}';
    }
    location /webhook/headers {
      default_type text/plain;
      return 200 '$http_host|$http_x_forwarded_host|$http_x_forwarded_proto|$http_x_forwarded_for|$http_upgrade';
    }
  }
}
`;

/** A folder of the host, with nginx's files in it, and a network with the services behind. */
export interface Stage {
  readonly folder: string;
  readonly network: TestNetwork;
  readonly write: (name: string, text: string) => Promise<void>;
  readonly remove: () => Promise<void>;
}

/** `services` are the containers behind, each with the names that it answers to. */
export async function createStage(services: Readonly<Record<string, readonly string[]>>): Promise<Stage> {
  const folder = await mkdtemp(join(tmpdir(), "technicia-nginx-"));
  const network = await createNetwork();
  const write = (name: string, text: string) => writeFile(join(folder, name), text);
  for (const name of ["tls", "acme", "tunnel", "echo", "routes"]) await mkdir(join(folder, name));
  await write("echo/nginx.conf", ECHO);
  for (const [role, names] of Object.entries(services)) {
    await network.start(role, [
      ...names.flatMap((name) => ["--network-alias", name]),
      ...["--volume", `${join(folder, "echo")}:/echo:ro`, await imageOf("nginx")],
      ...["nginx", "-c", "/echo/nginx.conf", "-g", "daemon off;"],
    ]);
  }
  return {
    folder,
    network,
    write,
    remove: async () => {
      await network.remove();
      await rm(folder, { recursive: true });
    },
  };
}

/** Waits until nginx has opened its ports, which it does before it starts its workers. */
export async function untilServing(ask: () => Promise<unknown>): Promise<void> {
  const deadline = Date.now() + 20_000;
  for (;;) {
    try {
      await ask();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
  }
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: string;
  readonly names: string;
}

export interface Question {
  readonly path: string;
  readonly name: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

/** Asks over HTTPS, whoever signed the certificate. */
export function ask(
  address: string,
  { path, name, method = "GET", headers = {}, body }: Question,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = {
      host: address,
      servername: name,
      path,
      method,
      headers: { host: name, ...headers },
      rejectUnauthorized: false,
      agent: false,
    };
    const sent = request(options, (response) => {
      const names = (response.socket as TLSSocket).getPeerCertificate().subjectaltname ?? "";
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        sent.destroy();
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString(),
          names,
        });
      });
    });
    sent.on("error", reject);
    // A body that is announced and not sent is what a refusal by size has to come before.
    if (headers["content-length"] === undefined || body !== undefined) sent.end(body);
    else sent.flushHeaders();
  });
}

/** Makes the placeholder certificate with the gateway's own script. */
export async function makeCertificate(script: string, folder: string, domain: string): Promise<void> {
  const env = { TLS: join(folder, "tls"), DOMAIN: domain };
  const { code, stderr } = await tryRun(["bash", "-s"], { input: script, environment: env });
  if (code !== 0) throw new Error(`placeholder certificate: expected exit code 0, got ${code}; ${stderr}`);
}
