import { basename } from "node:path";

import { defineConfig } from "vitest/config";
import { BaseSequencer } from "vitest/node";

// From nothing at first, to nothing at last; what is between leaves a deployment as it found it, and the README tells of its history.
const RANKS: Readonly<Record<string, number>> = {
  "deployment.test.ts": 0,
  "readme.test.ts": 2,
  "destroy.test.ts": 3,
};
const rank = (file: string) => RANKS[basename(file)] ?? 1;

class FirstAndLast extends BaseSequencer {
  override async sort(files: Parameters<BaseSequencer["sort"]>[0]) {
    return (await super.sort(files)).sort((a, b) => rank(a.moduleId) - rank(b.moduleId));
  }
}

/** What takes a minute and more by itself, beside what it tests. */
const LONG = "test/**/*.long.test.ts";

/** Parts whose subject runs in a container; the others need no image and go first, while images are built. */
const IN_CONTAINERS = [
  "test/components/{gateway-routes,tunnel-start}.test.ts",
  "test/infra/nft.test.ts",
  "test/ops/checks/*.test.ts",
  "test/ops/{deploy/host,drift/since}.test.ts",
  "test/provider/{connection,server}.test.ts",
  "test/provider/host/*.test.ts",
  "test/rehearsal/doubles/{clouds,docker-machine}.test.ts",
  "test/rehearsal/images/{catalog,docker}.test.ts",
  "test/stacks/technicia-rules.test.ts",
];

const shared = { testTimeout: 120_000, hookTimeout: 240_000, retry: 0, unstubEnvs: true };

const parts = (name: string, include: string[], exclude: string[]) => ({
  test: { ...shared, name, include, exclude: [...exclude, LONG], maxWorkers: 2 },
});

// One rehearsal at a time: its addresses are fixed.
const rehearsed = (name: string, include: string[]) => ({
  test: {
    ...shared,
    name,
    include,
    fileParallelism: false,
    testTimeout: 600_000,
    hookTimeout: 1_500_000,
  },
});

export default defineConfig({
  test: {
    sequence: { sequencer: FirstAndLast },
    projects: [
      parts("parts", ["test/**/*.test.ts"], ["test/e2e/**", "test/long/**", ...IN_CONTAINERS]),
      parts("containers", IN_CONTAINERS, []),
      rehearsed("end-to-end", ["test/e2e/**/*.test.ts"]),
      rehearsed("long", ["test/long/**/*.test.ts", LONG]),
    ],
  },
});
