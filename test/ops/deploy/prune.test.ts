import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import { describe, expect, it } from "vitest";

import type { Release } from "../../../common/release.ts";
import { deploy } from "../../../ops/deploy/deploy.ts";
import { unusedImages } from "../../../ops/deploy/prune.ts";
import { failing, ok, pulled, TestStack } from "./test-stack.ts";

const NOW = new Date("2026-11-24T10:00:00Z");

const image = (version: number) => pulled(`technicia/vector-store:1.0.${version}`);
const named = (version: number) => image(version).replace(/:1\.0\.\d+/, "");

function release(number: number, day: string, version: number, more: Partial<Release> = {}): Release {
  return {
    ...{ number, stack: "test", kind: "deploy", revision: "0", settingsHash: "0", who: "a", reason: "" },
    ...{ images: { vectorStore: image(version) }, settings: {}, emergency: false, outcome: "succeeded" },
    ...{ startedAt: `${day}T10:00:00Z`, preflight: [], verify: [ok], restoredVerify: [], seconds: {} },
    ...more,
  };
}

describe("unusedImages", () => {
  it("names images that the last release without them replaced more than 14 days ago", () => {
    const releases = [
      release(1, "2026-09-01", 1),
      release(2, "2026-10-01", 2),
      release(3, "2026-10-20", 3),
      release(4, "2026-11-01", 4),
    ];

    // 2 was replaced on 20 October; 3 is the way back of 4.
    expect(unusedImages(releases, NOW)).toEqual([named(1), named(2)]);
  });

  it("counts from the day on which an image was last used, not built or loaded", () => {
    const releases = [release(1, "2026-01-01", 1), release(2, "2026-11-15", 2), release(3, "2026-11-16", 3)];

    expect(unusedImages(releases, NOW)).toEqual([]);
  });

  it("keeps the images of the release that runs and of the last good one before it, however old", () => {
    const releases = [
      release(1, "2026-01-01", 1),
      release(2, "2026-02-01", 2),
      release(3, "2026-03-01", 3, { outcome: "failed", verify: [failing] }),
    ];

    expect(unusedImages(releases, NOW)).toEqual([]);
  });

  it("keeps an image that a later release uses again", () => {
    const releases = [release(1, "2026-01-01", 1), release(2, "2026-02-01", 2), release(3, "2026-03-01", 1)];

    expect(unusedImages([...releases, release(4, "2026-03-02", 4)], NOW)).toEqual([named(2)]);
  });

  it("ignores what is no image with a digest", () => {
    const odd = release(1, "2026-01-01", 1, { images: { n8n: "n8nio/n8n:2.41.3", qdrant: "$(rm -rf /)" } });

    expect(unusedImages([odd, release(2, "2026-02-01", 2), release(3, "2026-03-01", 3)], NOW)).toEqual([]);
  });
});

describe("a deployment", () => {
  it("removes them once it was verified, and goes on when Docker keeps one", async () => {
    await using stack = await TestStack.open();
    const bin = join(dirname(stack.server.folder), "bin");
    const asked = join(dirname(stack.server.folder), "asked");
    await mkdir(bin, { recursive: true });
    await writeFile(
      join(bin, "docker"),
      `#!/bin/sh\necho "$*" >> ${asked}\ncase "$*" in *qdrant*) exit 1;; esac\n`,
    );
    await writeFile(join(bin, "df"), "#!/bin/sh\nprintf 'Avail\\n5000\\n'\n");
    for (const name of ["docker", "df"]) await chmod(join(bin, name), 0o755);
    const versions = [1, 2, 3];
    for (const version of versions) {
      stack.setImage("vectorStore", `technicia/vector-store:1.0.${version}`);
      stack.setImage("qdrant", `qdrant/qdrant:v1.19.${version}`);
      await deploy(
        { stack: "test", only: undefined, plan: undefined, emergency: false, reason: "", yes: true },
        stack.operator,
      );
      // Three weeks later, on a day with an open window.
      stack.now = new Date(stack.now.getTime() + 21 * 86_400_000);
      stack.now.setUTCHours(10, 0, 0);
    }

    const qdrant = pulled("qdrant/qdrant:v1.19.1").replace(":v1.19.1", "");
    expect((await readFile(asked, "utf8")).split("\n").sort()).toEqual([
      "",
      `image rm ${qdrant}`,
      `image rm ${named(1)}`,
    ]);
    expect(stack.printed).toContain(
      "removed 1 images that no release has run for 14 days, which freed 0 MiB",
    );
  });
});
