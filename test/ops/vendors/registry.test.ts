import { afterEach, describe, expect, it } from "vitest";

import { findImage } from "../../../ops/vendors/registry.ts";
import { type FakeApi, redirectedFetch, startFakeApi, unaborted } from "../checks/fixtures.ts";

let api: FakeApi | undefined;
afterEach(async () => {
  await api?.close();
  api = undefined;
});

describe("findImage", () => {
  it("gets a token where the registry wants one, and reads the variant for the server's processor", async () => {
    const own = `sha256:${"a".repeat(64)}`;
    api = await startFakeApi(({ url, headers }) => {
      if (url.startsWith("/token")) return { status: 200, body: { token: `for ${url}` } };
      if (headers.authorization === undefined) {
        const challenge = `Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull"`;
        return { status: 401, headers: { "www-authenticate": challenge } };
      }
      if (url.endsWith(own)) return { status: 200, body: { layers: [{ size: 10 }, { size: 20 }] } };
      return {
        status: 200,
        headers: { "docker-content-digest": `sha256:${"b".repeat(64)}` },
        body: {
          manifests: [
            { digest: `sha256:${"c".repeat(64)}`, platform: { os: "linux", architecture: "arm64" } },
            { digest: own, platform: { os: "linux", architecture: "amd64" } },
          ],
        },
      };
    });
    const fetch = redirectedFetch({
      "https://registry-1.docker.io": api.origin,
      "https://auth.docker.io": api.origin,
    });

    expect(await findImage("nginx:1.30.4-alpine", { fetch, signal: unaborted })).toEqual({
      digest: `sha256:${"b".repeat(64)}`,
      downloadBytes: 30,
    });
    expect(api.requests.map(({ url }) => url)).toEqual([
      "/v2/library/nginx/manifests/1.30.4-alpine",
      "/token?service=registry.docker.io&scope=repository%3Alibrary%2Fnginx%3Apull",
      "/v2/library/nginx/manifests/1.30.4-alpine",
      `/v2/library/nginx/manifests/${own}`,
    ]);
  });

  it("fails for an image without a variant for the server's processor", async () => {
    api = await startFakeApi(() => ({
      status: 200,
      headers: { "docker-content-digest": `sha256:${"b".repeat(64)}` },
      body: { manifests: [{ digest: "sha256:c", platform: { os: "linux", architecture: "arm64" } }] },
    }));
    const fetch = redirectedFetch({ "https://registry-1.docker.io": api.origin });

    await expect(findImage("nginx:1.30.4-alpine", { fetch, signal: unaborted })).rejects.toThrow(
      "pas de variante linux/amd64",
    );
  });
});
