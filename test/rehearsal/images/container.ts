import { randomBytes } from "node:crypto";

import { docker } from "../../../rehearsal/docker.ts";
import { type Images, prepareImages } from "../../../rehearsal/images/build.ts";
import { until } from "../../support/until.ts";

const LABEL = "technicia.rehearsal=1";

let prepared: Promise<Images> | undefined;

/** The images, built if they are missing; once per test file. */
export function images(): Promise<Images> {
  prepared ??= prepareImages({ progress: () => undefined });
  return prepared;
}

/** The local tag of what the rehearsal's registry offers under a name. */
export async function published(name: string): Promise<string> {
  const tag = (await images()).published[name];
  if (tag === undefined) throw new Error(`${name}: expected to be among the published images`);
  return tag;
}

/** A name that no other test uses. */
export function uniqueName(role: string): string {
  return `technicia-test-${role}-${randomBytes(4).toString("hex")}`;
}

/** Containers, networks and volumes of one test; `remove` takes all of them away. */
export class Bench {
  readonly #taken: string[][] = [];

  /** Runs a container in the background. Ports in `args` belong on the loopback. */
  async start(
    image: string,
    args: readonly string[] = [],
    command: readonly string[] = [],
  ): Promise<Container> {
    const name = uniqueName("container");
    this.#taken.push(["rm", "--force", "--volumes", name]);
    await docker(["run", "--detach", "--name", name, "--label", LABEL, ...args, image, ...command]);
    return new Container(name);
  }

  /** Takes over something that was started by other words. */
  adopt(name: string): Container {
    this.#taken.push(["rm", "--force", "--volumes", name]);
    return new Container(name);
  }

  async network(...args: readonly string[]): Promise<string> {
    const name = uniqueName("network");
    this.#taken.unshift(["network", "rm", name]);
    await docker(["network", "create", "--label", LABEL, ...args, name]);
    return name;
  }

  async volume(): Promise<string> {
    const name = uniqueName("volume");
    this.#taken.unshift(["volume", "rm", name]);
    await docker(["volume", "create", "--label", LABEL, name]);
    return name;
  }

  async remove(): Promise<void> {
    for (const args of this.#taken.splice(0).reverse()) await docker(args);
  }
}

export class Container {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  exec(command: readonly string[], input = ""): Promise<string> {
    return docker(["exec", "--interactive", this.name, ...command], { input });
  }

  shell(script: string): Promise<string> {
    return this.exec(["sh", "-c", script]);
  }

  async inspect(format: string): Promise<string> {
    return (await docker(["inspect", "--format", format, this.name])).trim();
  }

  logs(): Promise<string> {
    return docker(["logs", this.name]);
  }

  /** Where a port published on the loopback answers. */
  async address(port: number): Promise<string> {
    return (await docker(["port", this.name, `${port}/tcp`])).trim().split("\n")[0] ?? "";
  }

  /** Waits for a 200 and returns the base URL of the port. */
  async ready(port: number, path: string, seconds = 30): Promise<string> {
    const url = `http://${await this.address(port)}`;
    await until(
      `${this.name} answers at ${path}`,
      async () => {
        const answer = await fetch(`${url}${path}`).catch(() => undefined);
        await answer?.arrayBuffer();
        return answer?.ok === true;
      },
      seconds * 1000,
    );
    return url;
  }

  /** Stops it as Docker does, and returns its exit code and how long it took. */
  async stop(graceSeconds = 30): Promise<{ exitCode: number; seconds: number }> {
    const began = Date.now();
    await docker(["stop", "--time", `${graceSeconds}`, this.name]);
    const seconds = (Date.now() - began) / 1000;
    return { exitCode: Number(await this.inspect("{{.State.ExitCode}}")), seconds };
  }

  /** Waits for its own end and returns the exit code. */
  async end(): Promise<number> {
    return Number((await docker(["wait", this.name])).trim());
  }
}

/** Sends JSON and returns status and body. */
export async function call(
  method: string,
  url: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ status: number; body: unknown }> {
  const answer = await fetch(url, {
    method,
    headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status, body: readBody(text) };
}

function readBody(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
