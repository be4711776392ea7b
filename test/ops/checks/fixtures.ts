import { spawn } from "node:child_process";
import {
  createServer,
  type IncomingMessage,
  type Server as HttpServer,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { Check } from "../../../common/check.ts";
import { type CheckContext, type CheckEffects, realEffects } from "../../../ops/checks/context.ts";
import type { Pulumi } from "../../../ops/engine/cli.ts";
import type { Server } from "../../../ops/server/connection.ts";
import { UserError } from "../../../common/user-error.ts";
import { describeAccess, describeStatus, type StackOutputs } from "../../../stacks/deployment-status.ts";
import type { Environment } from "../../../stacks/environment.ts";
import { tryRun } from "../../../common/run.ts";
import { deploymentFacts, environmentWith, strongSecrets } from "../../support/fixtures.ts";

export function outputsOf(environment: Environment, versions: Record<string, string> = {}): StackOutputs {
  const facts = deploymentFacts();
  const { ipv4, ipv6 } = facts.server;
  return {
    deploymentStatus: describeStatus(environment, {
      ...facts,
      images: { qdrant: environment.images.qdrant, ...facts.images, ...versions },
    }),
    url: `https://${environment.domain}`,
    ipv4,
    ipv6,
    ...describeAccess(environment, ipv4, "ssh-ed25519 AAAA"),
  };
}

export const noPulumi: Pulumi = () => Promise.reject(new UserError("pulumi: this test has no engine"));

/** A stack before its first deployment, with the given parts. */
export function contextWith(parts: Partial<CheckContext> = {}): CheckContext {
  return {
    stack: "test",
    environment: environmentWith(),
    outputs: undefined,
    server: undefined,
    pulumi: noPulumi,
    secrets: {},
    signal: new AbortController().signal,
    ...parts,
  };
}

/** Effects that reach nothing, except the given parts. */
export function effectsWith(parts: Partial<CheckEffects> = {}): CheckEffects {
  return {
    ...realEffects(),
    fetch: () => Promise.reject(new TypeError("fetch failed", { cause: coded("ENETUNREACH") })),
    resolver: {
      resolve4: () => Promise.reject(coded("ECONNREFUSED")),
      resolve6: () => Promise.reject(coded("ECONNREFUSED")),
    } as CheckEffects["resolver"],
    variables: {},
    readScan: () => Promise.resolve(undefined),
    ...parts,
  };
}

export function coded(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(code), { code });
}

/** A signal that is never aborted. */
export const unaborted = new AbortController().signal;

export function byId(checks: readonly Check[], id: string): Check {
  const found = checks.find((check) => check.id === id);
  if (!found) throw new Error(`expected a check ${id}, got ${checks.map((check) => check.id).join(", ")}`);
  return found;
}

export const strong = strongSecrets();

/** The strong secrets without the named ones. OVH has its three keys only, and no service account. */
export function secretsWithout(...names: readonly string[]): Record<string, string> {
  const left = ["ovhClientId", "ovhClientSecret", ...names];
  return Object.fromEntries(Object.entries(strong).filter(([name]) => !left.includes(name)));
}

/** Runs scripts on this machine, in the way of the real server; a script that fails is a UserError. */
export function localServer(variables: Readonly<Record<string, string>> = {}): Server {
  return {
    name: "root@localhost:22",
    close() {},
    logInForDocker: () => Promise.resolve(),
    run: (command) =>
      new Promise((resolve, reject) => {
        const quoted = Object.entries({ ...command.variables }).map(
          ([name, value]) => `${name}='${value.replaceAll("'", `'\\''`)}'`,
        );
        const program = ["set -euo pipefail", ...quoted, command.script].join("\n");
        const child = spawn("bash", ["-c", program], { env: { ...process.env, ...variables } });
        const printed = { stdout: "", stderr: "" };
        for (const stream of ["stdout", "stderr"] as const) {
          child[stream].setEncoding("utf8").on("data", (text: string) => (printed[stream] += text));
        }
        child.on("error", reject);
        child.on("close", (code) => {
          if (code === 0) resolve(printed);
          else
            reject(
              new UserError(
                `could not ${command.purpose}: exit code ${code}; it printed:\n  ${printed.stderr}`,
              ),
            );
        });
        // A script may end before it has read its input.
        child.stdin.on("error", () => undefined);
        child.stdin.end(command.stdin ?? "");
      }),
  };
}

/** Answers every script with the same text. */
export function answeringServer(stdout: string): Server {
  return {
    name: "root@server:22",
    close() {},
    logInForDocker: () => Promise.resolve(),
    run: () => Promise.resolve({ stdout, stderr: "" }),
  };
}

export const unreachableServer: Server = {
  name: "root@server:22",
  close() {},
  logInForDocker: () => Promise.resolve(),
  run: () => Promise.reject(new UserError("could not connect to root@server:22: no answer")),
};

export interface FakeApi {
  readonly origin: string;
  /** Oldest first. */
  readonly requests: { method: string; url: string; headers: IncomingMessage["headers"]; body: string }[];
  close(): Promise<void>;
}

export type Handler = (request: FakeApi["requests"][number]) => {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
};

/** An HTTP server on the loopback, for one API. */
export async function startFakeApi(answer: Handler): Promise<FakeApi> {
  const requests: FakeApi["requests"] = [];
  const server = createServer((request, response) => void respond(request, response));
  async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = "";
    for await (const chunk of request.setEncoding("utf8")) body += chunk as string;
    const { method = "", url = "", headers } = request;
    requests.push({ method, url, headers, body });
    const given = answer(requests.at(-1)!);
    response.writeHead(given.status, { "content-type": "application/json", ...given.headers });
    response.end(typeof given.body === "string" ? given.body : JSON.stringify(given.body ?? {}));
  }
  return { origin: await listen(server), requests, close: () => close(server) };
}

/** Sends requests for the named origins to other ones; every other request fails. */
export function redirectedFetch(origins: Readonly<Record<string, string>>): typeof fetch {
  return (input, init) => {
    const url = input instanceof Request ? input.url : String(input);
    const known = Object.keys(origins).find((origin) => url.startsWith(origin));
    if (known === undefined) return Promise.reject(new Error(`unexpected request: ${url}`));
    return fetch(origins[known]! + url.slice(known.length), init);
  };
}

export async function listen(server: HttpServer | import("node:https").Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

export function close(server: HttpServer | import("node:https").Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}

export interface Issued {
  readonly folder: string;
  readonly authority: string;
  readonly certificate: string;
  readonly key: string;
  remove(): Promise<void>;
}

/** Creates an authority, and a certificate of it for a name that is valid for so many days. */
export async function issue(name: string, days: number): Promise<Issued> {
  const folder = await mkdtemp(join(tmpdir(), "technicia-checks-"));
  const openssl = async (...args: string[]) => {
    const { code, stderr } = await tryRun(["openssl", ...args]);
    if (code !== 0) throw new Error(`openssl ${args[0]}: exit code ${code}; ${stderr}`);
  };
  const at = (file: string) => join(folder, file);
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  await openssl(
    ...["req", "-x509", ...newKey, "-subj", "/O=Essai/CN=Essai racine", "-days", "30"],
    ...["-keyout", at("ca.key"), "-out", at("ca.pem")],
  );
  await openssl(
    "req",
    ...newKey,
    "-subj",
    `/CN=${name}`,
    "-keyout",
    at("privkey.pem"),
    "-out",
    at("leaf.csr"),
  );
  await writeFile(at("names"), `subjectAltName=DNS:${name}\n`);
  await openssl(
    ...[
      "x509",
      "-req",
      "-in",
      at("leaf.csr"),
      "-CA",
      at("ca.pem"),
      "-CAkey",
      at("ca.key"),
      "-CAcreateserial",
    ],
    ...["-days", String(days), "-extfile", at("names"), "-out", at("fullchain.pem")],
  );
  const read = (file: string) => readFile(at(file), "utf8");
  return {
    folder,
    authority: await read("ca.pem"),
    certificate: await read("fullchain.pem"),
    key: await read("privkey.pem"),
    remove: () => rm(folder, { recursive: true }),
  };
}
