/** Parts of the long tests, each at most an hour: name → beginnings of the paths of its files. CI runs each as a job of its own. */
export const LONG_PARTS: Readonly<Record<string, readonly string[]>> = {
  drift: ["test/e2e/drift-matrix"],
  absorbed: ["test/e2e/drift-absorbed", "test/e2e/drift-storage"],
  deployments: [
    "test/e2e/deploy-failures",
    "test/e2e/updates",
    "test/e2e/bad-input",
    "test/e2e/odd-paths",
    "test/e2e/report",
    "test/e2e/data-versions",
  ],
  interruptions: ["test/e2e/interrupted", "test/e2e/environments", "test/e2e/runbook"],
  releases: ["test/e2e/releases"],
  variants: ["test/e2e/variants"],
  distance: ["test/e2e/distance"],
  maintenance: ["test/e2e/maintenance"],
  images: ["test/rehearsal/"],
  backups: ["test/components/"],
  recovery: ["test/e2e/recover", "test/e2e/restore", "test/e2e/stolen-key"],
  server: [
    "test/contributing",
    "test/odd-checkout",
    "test/infra/",
    "test/ops/",
    "test/provider/",
    "test/workflows/",
  ],
};
