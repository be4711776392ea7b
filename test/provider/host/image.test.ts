import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { afterAll, beforeAll, expect, it } from "vitest";

import { Plugin } from "../plugin-process.ts";

const IMAGE = "technicia:host:Image";
const DIGEST = `sha256:${"a".repeat(64)}`;
const BASIC = `Basic ${Buffer.from("robot:hush-hush").toString("base64")}`;

let registry: Server;
let host: string;
let plugin: Plugin;

beforeAll(async () => {
  registry = createServer((request, response) => {
    if (request.headers.authorization !== BASIC)
      return void response.writeHead(401, { "www-authenticate": 'Basic realm="registry"' }).end("{}");
    if (!request.url?.startsWith("/v2/team/a/")) return void response.writeHead(404).end("{}");
    response.writeHead(200, { "docker-content-digest": DIGEST }).end('{"layers":[]}');
  });
  await new Promise<void>((resolve) => registry.listen(0, "127.0.0.1", resolve));
  host = `127.0.0.1:${(registry.address() as AddressInfo).port}`;
  plugin = await Plugin.start({});
});
afterAll(async () => {
  await plugin.stop();
  await new Promise((resolve) => registry.close(resolve));
});

const preview = (name: string, password = "hush-hush") =>
  plugin.create(
    IMAGE,
    "image-a",
    { name: `${host}/${name}`, login: { host, username: "robot", password } },
    { preview: true },
  );

it("shows the digest that a registry has behind a login, before there is a host to ask", async () => {
  expect((await preview("team/a:1.0.0")).state).toMatchObject({
    reference: `${host}/team/a:1.0.0@${DIGEST}`,
  });
});

it.each(["team/gone:1.0.0", `team/gone:1.0.0@sha256:${"b".repeat(64)}`])(
  "fails the preview for %s, which is not there, with the command that builds it",
  async (name) => {
    await expect(preview(name)).rejects.toThrow(
      /got ".*404.*"; build it with npm run images -- build test if/,
    );
  },
);

it("fails the preview for an account that the registry does not know, without its password", async () => {
  const failure = (await preview("team/a:1.0.0", "another-one").catch((error: unknown) => error)) as Error;

  expect(failure.message).toContain("(401)");
  expect(failure.message).not.toContain("another-one");
});

it("leaves the digest open when the registry does not answer", async () => {
  const name = "127.0.0.1:1/team/a:1.0.0";
  const shown = await plugin.create(IMAGE, "image-a", { name }, { preview: true });

  expect(shown.state["reference"]).not.toBe(name);
});
