import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { builtServices } from "../../common/services.ts";
import { ensureServicesRepository } from "../../rehearsal/services-repository.ts";
import { missingBuilds } from "../../rehearsal/stack-settings.ts";
import { environmentWith } from "../support/fixtures.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "services-"));
});
afterEach(() => rm(folder, { recursive: true }));

const BASES = { PYTHON: "technicia-rehearsal/python:1", NGINX: "technicia-rehearsal/nginx:1" };
const make = (bases: Readonly<Record<string, string>> = BASES) => ensureServicesRepository(bases, folder);

describe("the repository of TechnicIA's services", () => {
  it("has a folder with a Dockerfile for each, which needs no arguments", async () => {
    const sources = await make();

    for (const service of builtServices) {
      const { folder: inside, commit } = sources[service];
      const file = execFileSync("git", ["show", `${commit}:${inside}/Dockerfile`], {
        cwd: folder,
        encoding: "utf8",
      });
      expect(file).toMatch(/^ARG (PYTHON|NGINX)=technicia-rehearsal\/(python|nginx):1$/m);
      expect(file).toMatch(/^ARG VERSION=1\.0\.0$/m);
    }
    expect(await readFile(join(folder, "services/vector-store/main.py"), "utf8")).toContain("FastAPI");
  });

  it("has the same commit for the same contents, and another for others", async () => {
    const [first, second] = [await make(), await make()];
    const other = await make({ ...BASES, PYTHON: "technicia-rehearsal/python:2" });

    expect(second).toEqual(first);
    expect(other.vectorStore.commit).not.toBe(first.vectorStore.commit);
  });

  it("is a source that the settings accept", async () => {
    const sources = await make();
    const settings = { "images.registry": "198.51.100.6/technicia", "images.sources": sources };

    expect(environmentWith(settings).builds.sources).toEqual(sources);
  });
});

describe("missingBuilds", () => {
  it("names the services whose image is not the one of the commit", async () => {
    const sources = await make();
    const commit = sources.vectorStore.commit.slice(0, 12);
    const pinned = (service: string) =>
      `198.51.100.6/technicia/${service}:${commit}@sha256:${"a".repeat(64)}`;
    const settings = {
      config: {
        "technicia:images": {
          vectorStore: pinned("vector-store"),
          frontend: "technicia/frontend:1.0.0",
          documentProcessor: pinned("document-processor").replace(commit, "f".repeat(12)),
          visionClassifier: pinned("vision-classifier"),
        },
      },
    };

    expect(missingBuilds(settings, sources)).toEqual(["documentProcessor", "frontend"]);
    expect(missingBuilds(settings, undefined)).toEqual([]);
  });
});
