/** The program that sends a gateway's access log to the store on another server. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, describe, expect, it } from "vitest";

import { run } from "../../common/run.ts";
import { until } from "../support/until.ts";

const SCRIPTS = new URL("../../components/scripts/", import.meta.url);

/** What systemd does: the program gets a socket that outlives it as its third file. */
const AS_SYSTEMD = `
import os, socket, sys
path, program = sys.argv[1:]
kept = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
kept.bind(path)
os.dup2(kept.fileno(), 3)
os.set_inheritable(3, True)
os.execv(sys.executable, ["python3", "-B", program])
`;

const SEND = `
import socket, sys
path, *lines = sys.argv[1:]
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nginx:
    for line in lines:
        nginx.sendto(line.encode(), path)
`;

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Stored {
  readonly _time: string;
  readonly app_name: string;
  readonly _msg: string;
}

async function begin() {
  const folder = await mkdtemp(join(tmpdir(), "access-"));
  closing.push(() => rm(folder, { recursive: true }));
  for (const scripts of ["monitoring", "monitoring-access"])
    await cp(new URL(scripts, SCRIPTS), folder, { recursive: true });
  const world = { isStoreUp: true, stored: [] as Stored[], paths: new Set<string>() };
  const store: Server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (part: string) => (body += part));
    request.on("end", () => {
      world.paths.add(`${request.method} ${request.url}`);
      if (world.isStoreUp)
        world.stored.push(
          ...body
            .trim()
            .split("\n")
            .map((line) => JSON.parse(line) as Stored),
        );
      response.writeHead(world.isStoreUp ? 200 : 503).end();
    });
  });
  await new Promise<void>((resolve) => store.listen(0, "127.0.0.1", resolve));
  closing.push(() => new Promise((resolve) => store.close(resolve)));
  const path = join(folder, "access.sock");
  const child: ChildProcess = spawn("python3", ["-c", AS_SYSTEMD, path, join(folder, "access_lines.py")], {
    env: { PATH: process.env["PATH"], STORE: `127.0.0.1:${(store.address() as AddressInfo).port}` },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr!.setEncoding("utf8").on("data", (text: string) => (said += text));
  closing.push(async () => {
    if (child.exitCode !== null) return;
    const ended = new Promise((resolve) => child.once("close", resolve));
    child.kill("SIGTERM");
    await ended;
  });
  await until("the socket is there", () => existsSync(path));
  const write = (...lines: string[]) => run(["python3", "-c", SEND, path, ...lines]);
  return { world, write, said: () => said };
}

const line = (message: string) => `<190>Nov  8 12:00:00 gateway: ${message}`;

describe("the program that sends the access log", () => {
  it("sends each line as the store has those of its own gateway, with its time", async () => {
    const { world, write } = await begin();
    await write(line('{"uri":"/","status":200}'), line('{"uri":"/api/question é","status":502}'));
    await until("both lines are stored", () => world.stored.length === 2);

    expect(world.stored.map(({ app_name, _msg }) => [app_name, _msg])).toEqual([
      ["gateway", '{"uri":"/","status":200}'],
      ["gateway", '{"uri":"/api/question é","status":502}'],
    ]);
    for (const { _time } of world.stored)
      expect(Math.abs(Date.parse(_time) - Date.now())).toBeLessThan(60_000);
    expect([...world.paths]).toEqual(["POST /insert/jsonline"]);
  });

  it("keeps lines while the store is away, in their order, and says so once", async () => {
    const { world, write, said } = await begin();
    world.isStoreUp = false;
    await write(line("one"), line("two"));
    await until("the store is missed", () => said().includes("store: Failure"));
    await write(line("three"));
    world.isStoreUp = true;
    await until("all lines are stored", () => world.stored.length === 3);

    expect(world.stored.map(({ _msg }) => _msg)).toEqual(["one", "two", "three"]);
    await until("it says that the store is back", () => said().includes("store: answers again"));
    expect(said().match(/Failure/g)).toHaveLength(1);
  });

  it("takes a line without a head that it knows as it is", async () => {
    const { world, write } = await begin();
    await write("something else");
    await until("it is stored", () => world.stored.length === 1);

    expect(world.stored[0]).toMatchObject({ app_name: "gateway", _msg: "something else" });
  });
});
