import { afterEach, describe, expect, it } from "vitest";

import { dockerConfig, findImage, ImageMissing, registryOf } from "../../common/registry.ts";
import { type FakeApi, redirectedFetch, startFakeApi, unaborted } from "../ops/checks/fixtures.ts";

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

  it.each([307, 308])(
    "follows a registry that leads elsewhere with %d, without its login",
    async (status) => {
      const digest = `sha256:${"b".repeat(64)}`;
      const elsewhere = await startFakeApi(() => ({
        status: 200,
        headers: { "docker-content-digest": digest },
        body: { layers: [{ size: 10 }] },
      }));
      api = await startFakeApi(({ headers, url }) =>
        headers.authorization === undefined
          ? { status: 401, headers: { "www-authenticate": "Basic" } }
          : { status, headers: { location: `${elsewhere.origin}${url}` } },
      );
      const fetch = redirectedFetch({ "https://registry.exemple.fr:5000": api.origin });
      const login = { host: "registry.exemple.fr:5000", username: "ada", password: "secret-of-ada" };

      try {
        expect(
          await findImage("registry.exemple.fr:5000/a/b:1.0.0", { fetch, login, signal: unaborted }),
        ).toEqual({ digest, downloadBytes: 10 });
        expect(elsewhere.requests.map(({ url, headers }) => [url, headers.authorization])).toEqual([
          ["/v2/a/b/manifests/1.0.0", undefined],
        ]);
      } finally {
        await elsewhere.close();
      }
    },
  );

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

  const login = { host: "registry.exemple.fr", username: "robot", password: "hush" };
  const basic = `Basic ${Buffer.from("robot:hush").toString("base64")}`;
  const found = {
    status: 200,
    headers: { "docker-content-digest": `sha256:${"b".repeat(64)}` },
    body: { layers: [{ size: 1 }] },
  };

  it("logs in to a registry of its own where that wants an account", async () => {
    api = await startFakeApi(({ headers }) =>
      headers.authorization === basic
        ? found
        : { status: 401, headers: { "www-authenticate": 'Basic realm="registry"' } },
    );
    const fetch = redirectedFetch({ "https://registry.exemple.fr": api.origin });
    const look = (account?: typeof login) =>
      findImage("registry.exemple.fr/technicia/a:1", { fetch, signal: unaborted, login: account });

    expect(await look(login)).toMatchObject({ downloadBytes: 1 });
    await expect(look()).rejects.toThrow(ImageMissing);
    await expect(look({ ...login, password: "other" })).rejects.toThrow(ImageMissing);
  });

  it("asks for a token with the account", async () => {
    api = await startFakeApi(({ url, headers }) => {
      if (url.startsWith("/token")) return { status: 200, body: { token: headers.authorization ?? "none" } };
      if (headers.authorization === `Bearer ${basic}`) return found;
      const challenge = 'Bearer realm="https://registry.exemple.fr/token",service="s",scope="t"';
      return { status: 401, headers: { "www-authenticate": challenge } };
    });
    const fetch = redirectedFetch({ "https://registry.exemple.fr": api.origin });

    expect(
      await findImage("registry.exemple.fr/technicia/a:1", { fetch, signal: unaborted, login }),
    ).toMatchObject({ downloadBytes: 1 });
  });

  it.each([
    ["another registry", "nginx:1.30.4-alpine", 'Basic realm="hub"'],
    [
      "a place without TLS",
      "registry.exemple.fr/technicia/a:1",
      'Bearer realm="http://elsewhere.example/token",service="s"',
    ],
  ])("sends the account to no %s", async (_, name, challenge) => {
    api = await startFakeApi(() => ({ status: 401, headers: { "www-authenticate": challenge } }));
    const fetch = redirectedFetch({
      "https://registry-1.docker.io": api.origin,
      "https://registry.exemple.fr": api.origin,
      "http://elsewhere.example": api.origin,
    });

    await expect(findImage(name, { fetch, signal: unaborted, login })).rejects.toThrow(ImageMissing);
    expect(api.requests.filter(({ headers }) => headers.authorization !== undefined)).toEqual([]);
  });
});

describe("dockerConfig", () => {
  it.each([
    ["registry.exemple.fr:5000/technicia/a", "registry.exemple.fr:5000"],
    ["docker.io/technicia/a", "https://index.docker.io/v1/"],
    ["technicia/a:1.0.0", "https://index.docker.io/v1/"],
  ])("names the registry of %s as Docker's client does", (image, key) => {
    const config = dockerConfig({ host: registryOf(image), username: "robot", password: "hush" });

    expect(JSON.parse(config)).toEqual({ auths: { [key]: { auth: "cm9ib3Q6aHVzaA==" } } });
  });
});
