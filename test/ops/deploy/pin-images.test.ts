import { createHash } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";

import { pinImages } from "../../../ops/deploy/image-commands.ts";
import { TestStack } from "./test-stack.ts";

let registry: Server;
let host: string;
let stack: TestStack;
/** Repositories with tags, as the registry has them; it wants a token for each. */
let tags: Record<string, string[]>;

const digestOf = (name: string) => `sha256:${createHash("sha256").update(name).digest("hex")}`;

beforeEach(async () => {
  tags = {};
  registry = createServer((request, response) => {
    const url = new URL(request.url ?? "", `http://${host}`);
    const json = (status: number, body: unknown, headers: Record<string, string> = {}) =>
      response
        .writeHead(status, { "content-type": "application/json", ...headers })
        .end(JSON.stringify(body));
    if (url.pathname === "/token")
      return void json(200, { token: `for ${url.searchParams.get("scope") ?? ""}` });
    const [, repository = "", wanted = ""] = /^\/v2\/(.+)\/manifests\/(.+)$/.exec(url.pathname) ?? [];
    const scope = `repository:${repository}:pull`;
    if (request.headers.authorization !== `Bearer for ${scope}`) {
      const challenge = `Bearer realm="http://${host}/token",service="registry",scope="${scope}"`;
      return void json(401, { errors: [] }, { "www-authenticate": challenge });
    }
    if (tags[repository]?.includes(wanted) !== true) return void json(404, { errors: [] });
    return void json(200, { layers: [] }, { "docker-content-digest": digestOf(`${repository}:${wanted}`) });
  });
  await new Promise<void>((resolve) => registry.listen(0, "127.0.0.1", resolve));
  host = `127.0.0.1:${(registry.address() as AddressInfo).port}`;
  stack = await TestStack.open();
  const file = parse(stack.settings) as { config: { "technicia:images": Record<string, string> } };
  for (const [name, image] of Object.entries(file.config["technicia:images"])) {
    const [repository = "", tag = ""] = image.split(":");
    (tags[repository] ??= []).push(tag);
    file.config["technicia:images"][name] = `${host}/${image}`;
  }
  stack.settings = stringify(file);
});

afterEach(async () => {
  await stack[Symbol.asyncDispose]();
  await new Promise((resolve) => registry.close(resolve));
});

const pin = () => pinImages("test", stack.operator);
const images = () =>
  (parse(stack.settings) as { config: { "technicia:images": Record<string, string> } }).config[
    "technicia:images"
  ];

describe("images pin", () => {
  it("writes the digest behind every tag that the stack runs", async () => {
    const outcome = await pin();

    expect(outcome.exitCode).toBe(0);
    expect(outcome.text).toContain("look at it with git diff Pulumi.test.yaml");
    expect(images()).toMatchObject({
      n8n: `${host}/n8nio/n8n:2.41.3@${digestOf("n8nio/n8n:2.41.3")}`,
      gateway: `${host}/nginx:1.30.4-alpine@${digestOf("nginx:1.30.4-alpine")}`,
      // This stack's n8n keeps its data in SQLite.
      postgres: `${host}/postgres:17.9-bookworm`,
    });
  });

  it("leaves digests as they are", async () => {
    await pin();
    const before = stack.settings;
    tags = {};

    expect(await pin()).toEqual({
      text: "Pulumi.test.yaml already names every image by its digest",
      exitCode: 0,
    });
    expect(stack.settings).toBe(before);
  });

  it("fails with every image that the registry does not have, and writes nothing", async () => {
    const before = stack.settings;
    tags["n8nio/n8n"] = [];
    tags["nginx"] = [];

    await expect(pin()).rejects.toThrow(
      /technicia:images\.n8n: the registry gave no digest: .*\ntechnicia:images\.gateway: the/,
    );
    expect(stack.settings).toBe(before);
  });
});
