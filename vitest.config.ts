import { basename } from "node:path";

import { defineConfig } from "vitest/config";
import { BaseSequencer } from "vitest/node";

// The first file deploys from nothing and the last destroys; those between leave the deployment as they found it.
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

/**
 * A test file says in its name what it needs: `.containers.test.ts` runs its subject in a container; `.long.test.ts` takes minutes and runs
 * every night (`npm test -- long`); test/e2e/ shares one rehearsal.
 */
const LONG = "test/**/*.long.test.ts";
const IN_CONTAINERS = "test/**/*.containers.test.ts";
const REHEARSED = "test/e2e/**/*.test.ts";

const shared = {
  testTimeout: 120_000,
  hookTimeout: 240_000,
  // A condition that is waited for may take long on a busy machine; the default is one second.
  expect: { poll: { timeout: 30_000 } },
  retry: 0,
  unstubEnvs: true,
};

const parts = (name: string, include: string[], exclude: string[]) => ({
  test: { ...shared, name, include, exclude, maxWorkers: 2 },
});

// One rehearsal at a time: its addresses are fixed.
const rehearsed = (name: string, include: string[], exclude: string[]) => ({
  test: {
    ...shared,
    name,
    include,
    exclude,
    fileParallelism: false,
    testTimeout: 600_000,
    hookTimeout: 1_500_000,
  },
});

export default defineConfig({
  test: {
    sequence: { sequencer: FirstAndLast },
    projects: [
      parts("parts", ["test/**/*.test.ts"], [REHEARSED, IN_CONTAINERS, LONG]),
      parts("containers", [IN_CONTAINERS], []),
      rehearsed("end-to-end", [REHEARSED], [LONG]),
      rehearsed("long", [LONG], []),
    ],
  },
});
