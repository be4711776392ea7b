import { randomBytes } from "node:crypto";

import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { findImages, imagesInUse } from "../../../ops/checks/images.ts";
import { findImage } from "../../../ops/vendors/registry.ts";
import { tryRun } from "../../../common/run.ts";
import { docker, imageOf } from "../../support/containers.ts";
import { until } from "../../support/until.ts";
import { environmentWith, never, rewritten, startDouble, worldWith, type Double } from "./support.ts";

const NAME = `technicia-test-${randomBytes(4).toString("hex")}-registry`;
let address: string;
let digest: string;

beforeAll(async () => {
  await docker(
    ...["run", "--detach", "--rm", "--label", "technicia.rehearsal=1", "--name", NAME],
    ...["--publish", "127.0.0.1::5000", await imageOf("registry")],
  );
  address = (await docker("port", NAME, "5000/tcp")).split("\n")[0]!;
  await until(
    "the registry answers",
    async () => (await fetch(`http://${address}/v2/`).catch(() => undefined))?.ok === true,
  );
  const built = await tryRun(
    ["docker", "build", "--quiet", "--label", `made=${NAME}`, "--tag", `${address}/outil:1.2.3`, "-"],
    {
      input: "FROM scratch\nLABEL essai=1\nWORKDIR /vide\n",
    },
  );
  expect(built.code).toBe(0);
  await docker("push", "--quiet", `${address}/outil:1.2.3`);
  digest = (await docker("inspect", "--format", "{{index .RepoDigests 0}}", `${address}/outil:1.2.3`)).split(
    "@",
  )[1]!;
});
afterAll(async () => {
  await docker("rm", "--force", NAME);
  await docker("rmi", "--force", `${address}/outil:1.2.3`);
});

let double: Double | undefined;
afterEach(async () => {
  await double?.close();
  double = undefined;
});

describe("findImage", () => {
  it("gives an image's digest and size, from a real registry", async () => {
    const world = worldWith({ fetch });

    const found = await findImage(world, `${address}/outil:1.2.3`, never);
    expect(found.digest).toBe(digest);
    expect(found.downloadBytes).toBeGreaterThan(0);
    expect(await findImage(world, `${address}/outil@${digest}`, never)).toEqual(found);
  });

  it("fails for a tag that is not there", async () => {
    await expect(findImage(worldWith({ fetch }), `${address}/outil:9.9.9`, never)).rejects.toThrow(
      `${address}/outil:9.9.9 : absente du registre, ou privée (404)`,
    );
  });

  it("gets a token where Docker Hub asks for one, and takes the variant for the server's processor", async () => {
    const own = `sha256:${"a".repeat(64)}`;
    double = await startDouble(({ url, headers }) => {
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
    const world = worldWith({
      fetch: rewritten({
        "https://registry-1.docker.io": double.origin,
        "https://auth.docker.io": double.origin,
      }),
    });

    expect(await findImage(world, "nginx:1.30.4-alpine", never)).toEqual({
      digest: `sha256:${"b".repeat(64)}`,
      downloadBytes: 30,
    });
    expect(double.asked.map(({ url }) => url)).toEqual([
      "/v2/library/nginx/manifests/1.30.4-alpine",
      "/token?service=registry.docker.io&scope=repository%3Alibrary%2Fnginx%3Apull",
      "/v2/library/nginx/manifests/1.30.4-alpine",
      `/v2/library/nginx/manifests/${own}`,
    ]);
  });

  it("fails for an image that the server's processor cannot run", async () => {
    double = await startDouble(() => ({
      status: 200,
      headers: { "docker-content-digest": `sha256:${"b".repeat(64)}` },
      body: { manifests: [{ digest: "sha256:c", platform: { os: "linux", architecture: "arm64" } }] },
    }));
    const world = worldWith({ fetch: rewritten({ "https://registry-1.docker.io": double.origin }) });

    await expect(findImage(world, "nginx:1.30.4-alpine", never)).rejects.toThrow(
      "pas de variante linux/amd64",
    );
  });
});

describe("findImages", () => {
  const only = (image: string) =>
    environmentWith({
      ...Object.fromEntries(
        ["qdrant", "vectorStore", "n8n", "gateway", "certbot"].map((name) => [`images.${name}`, image]),
      ),
      ...Object.fromEntries(
        ["n8nRunners", "documentProcessor", "visionClassifier", "frontend"].map((name) => [
          `services.${name}.enabled`,
          false,
        ]),
      ),
    });

  it("looks at the images of services that are on, and only at them", () => {
    expect(
      imagesInUse(only("nginx:1.30.4"))
        .map(({ service }) => service)
        .sort(),
    ).toEqual(["certbot", "gateway", "n8n", "qdrant", "vectorStore"]);
    expect(imagesInUse(environmentWith({ "services.n8n.database": "postgres" }))).toHaveLength(10);
  });

  it("is ok when all are there, failed when one is not, and not checked when nobody answers", async () => {
    const world = worldWith({ fetch });

    const there = await findImages(world, only(`${address}/outil:1.2.3`), never);
    expect(there.finding).toMatchObject({ outcome: "ok", measures: { images: 5 } });
    expect(there.finding.detail).toContain(`qdrant ${digest.slice(0, 19)}`);
    expect(there.images).toHaveLength(5);
    expect((await findImages(world, only(`${address}/outil:9.9.9`), never)).finding.outcome).toBe("failed");
    expect((await findImages(worldWith(), only("nginx:1.30.4"), never)).finding).toEqual({
      outcome: "not-checked",
      detail: "registry-1.docker.io est injoignable d'ici (ENETUNREACH)",
      measures: { images: 0, downloadMib: 0 },
    });
  });
});
