import * as pulumi from "@pulumi/pulumi";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { Secrets } from "../../secrets/resolve.ts";
import { checkFirstPreview } from "../../stacks/first-preview.ts";
import { environmentWith } from "../support/fixtures.ts";

const digest = `sha256:${"a".repeat(64)}`;
const image = { layers: [{ size: 1 }] };

/** Repositories that no registry has. */
let absent: Set<string>;
let asked: Map<string, string>;

function registries(url: string, init?: RequestInit): Promise<Response> {
  const { host, pathname } = new URL(url);
  const authorization = new Headers(init?.headers).get("authorization") ?? "";
  asked.set(`${host}${pathname}`, authorization);
  if (host === "unreachable.exemple.fr") return Promise.reject(new TypeError("fetch failed"));
  const repository = pathname.split("/").slice(2, -2).join("/");
  if (absent.has(repository)) return Promise.resolve(new Response("{}", { status: 404 }));
  if (host === "registry.exemple.fr" && authorization === "") {
    const headers = { "www-authenticate": 'Basic realm="registry"' };
    return Promise.resolve(new Response("{}", { status: 401, headers }));
  }
  return Promise.resolve(Response.json(image, { headers: { "docker-content-digest": digest } }));
}

const secrets: Secrets = {
  configured: new Set(["registryPassword"] as const),
  has: (name) => name === "registryPassword",
  inClear: () => ({}),
  value: () => pulumi.secret("hush-hush"),
  accepted: () => [pulumi.secret("hush-hush")],
};

async function start(preview: boolean): Promise<void> {
  const mocks = { call: () => ({}), newResource: ({ name }: { name: string }) => ({ id: name, state: {} }) };
  await pulumi.runtime.setMocks(mocks, "technicia", "test", preview);
}

/** An output of a server that does not exist yet. */
const unknown = (): pulumi.Output<unknown> => pulumi.output(pulumi.unknown as unknown);
const check = (changes: Readonly<Record<string, unknown>> = {}, ssh = unknown()) =>
  checkFirstPreview({ environment: environmentWith(changes), secrets }, { ssh });

beforeEach(async () => {
  absent = new Set();
  asked = new Map();
  vi.stubGlobal("fetch", registries);
  await start(true);
});
afterEach(() => {
  vi.unstubAllGlobals();
});

describe("the preview of a first deployment", () => {
  it("passes when every image can be had", async () => {
    await check();

    expect([...asked.keys()]).toContain("registry-1.docker.io/v2/library/nginx/manifests/1.30.4-alpine");
  });

  it("fails with every image that cannot, and the command that provides it", async () => {
    absent = new Set(["technicia/vector-store", "technicia/frontend", "n8nio/n8n"]);

    const failure = (await check().catch((error: unknown) => error)) as Error;

    expect(failure.message.split("\n")).toEqual([
      expect.stringMatching(
        /^technicia:images\.vectorStore: expected technicia\/vector-store:1\.0\.0 in its registry, .*; build it with npm run images -- build test$/,
      ) as string,
      expect.stringMatching(
        /^technicia:images\.n8n: .*; check its name with npm run images -- pin test$/,
      ) as string,
      expect.stringMatching(
        /^technicia:images\.frontend: .*; build it with npm run images -- build test$/,
      ) as string,
    ]);
  });

  it("uses the account where the registry wants one", async () => {
    const images = {
      "images.registry": "registry.exemple.fr/technicia",
      "images.registryUser": "robot",
      "images.vectorStore": `registry.exemple.fr/technicia/vector-store:abc@${digest}`,
    };
    await check(images);

    expect(asked.get(`registry.exemple.fr/v2/technicia/vector-store/manifests/${digest}`)).toMatch(/^Basic /);
    await expect(check({ ...images, "images.registryUser": undefined })).rejects.toThrow(
      "npm run images -- build test",
    );
  });

  it("passes when a registry cannot be reached from here, because the server may reach it", async () => {
    await check({ "images.qdrant": "unreachable.exemple.fr/qdrant/qdrant:v1.19.0" });
  });
});

describe("any other run", () => {
  it("asks nobody once there is a server", async () => {
    await check({}, pulumi.output("known"));

    expect(asked.size).toBe(0);
  });

  it("asks nobody during the update itself", async () => {
    await start(false);
    await check();

    expect(asked.size).toBe(0);
  });
});
