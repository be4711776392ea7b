import { randomBytes } from "node:crypto";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { findImages } from "../../../ops/checks/images.ts";
import { imagesInUse } from "../../../stacks/images.ts";
import { findImage } from "../../../common/registry.ts";
import { tryRun } from "../../../common/run.ts";
import { docker, imageOf } from "../../support/containers.ts";
import { until } from "../../support/until.ts";
import { effectsWith, unaborted } from "./fixtures.ts";
import { environmentWith } from "../../support/fixtures.ts";

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

describe("findImage", () => {
  it("reads digest and size from a real registry", async () => {
    const found = await findImage(`${address}/outil:1.2.3`, { fetch, signal: unaborted });
    expect(found.digest).toBe(digest);
    expect(found.downloadBytes).toBeGreaterThan(0);
    expect(await findImage(`${address}/outil@${digest}`, { fetch, signal: unaborted })).toEqual(found);
  });

  it("fails for an unknown tag", async () => {
    await expect(findImage(`${address}/outil:9.9.9`, { fetch, signal: unaborted })).rejects.toThrow(
      `${address}/outil:9.9.9 : absente du registre, ou privée (404)`,
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
      monitoring: { enabled: false },
    });

  it("lists the images of enabled services only", () => {
    expect(
      imagesInUse(only("nginx:1.30.4"))
        .map(({ service }) => service)
        .sort(),
    ).toEqual(["certbot", "gateway", "n8n", "qdrant", "vectorStore"]);
    expect(imagesInUse(environmentWith({ "services.n8n.database": "postgres" }))).toHaveLength(15);
  });

  it("is ok with every image, failed without one, and not checked without an answer", async () => {
    const request = { fetch, signal: unaborted };

    const there = await findImages(only(`${address}/outil:1.2.3`), request);
    expect(there.finding).toMatchObject({ outcome: "ok", measures: { images: 5 } });
    expect(there.finding.detail).toContain(`qdrant ${digest.slice(0, 19)}`);
    expect(there.images).toHaveLength(5);
    expect((await findImages(only(`${address}/outil:9.9.9`), request)).finding.outcome).toBe("failed");
    expect((await findImages(only("nginx:1.30.4"), { ...effectsWith(), signal: unaborted })).finding).toEqual(
      {
        outcome: "not-checked",
        detail: "registry-1.docker.io est injoignable d'ici (ENETUNREACH)",
        measures: { images: 0, downloadMib: 0 },
      },
    );
  });
});
