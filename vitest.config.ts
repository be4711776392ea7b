import { defineConfig } from "vitest/config";

const shared = { testTimeout: 60_000, hookTimeout: 180_000, retry: 0, unstubEnvs: true };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...shared,
          name: "parts",
          include: ["test/**/*.test.ts"],
          exclude: ["test/e2e/**"],
          maxWorkers: 2,
        },
      },
      {
        test: {
          ...shared,
          name: "end-to-end",
          include: ["test/e2e/**/*.test.ts"],
          // One rehearsal at a time: its addresses are fixed.
          fileParallelism: false,
          testTimeout: 600_000,
          hookTimeout: 1_500_000,
        },
      },
    ],
  },
});
