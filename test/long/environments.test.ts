/** The settings of another environment, which protects its data. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { ensureStarted, npm, onServer, operator } from "../e2e/rehearsal.ts";

beforeAll(async () => {
  await npm("run", "rehearsal:stop");
});
afterAll(async () => {
  await npm("run", "rehearsal:stop");
  await ensureStarted();
});

describe("the rehearsal of prod", () => {
  it("deploys with that environment's settings and nothing else changed", async () => {
    const { code, stdout, stderr } = await npm("start", "--", "--stack", "prod");

    expect(code, `${stdout}\n${stderr}`).toBe(0);
    expect(stdout).toContain("https://prod.technicia.example");
    const { code: quiet, stdout: shown } = await operator(
      ["pulumi", "preview", "--refresh", "--expect-no-changes", "--stack", "prod", "--non-interactive"],
      { stack: "prod" },
    );
    expect(quiet, shown).toBe(0);
  });

  it("keeps its data when it is destroyed", async () => {
    const destroy = (...args: string[]) =>
      operator(["sh", "-c", `npx pulumi destroy ${args.join(" ")} --stack prod`], {
        stack: "prod",
        environment: { PULUMI_SKIP_CONFIRMATIONS: "true" },
      });
    const refused = await destroy();
    expect(refused.code).not.toBe(0);
    expect(`${refused.stdout}${refused.stderr}`).toContain("protected");

    const { code, stdout, stderr } = await destroy("--exclude-protected");
    expect(code, `${stdout}\n${stderr}`).toBe(0);
    const volumes = await onServer("docker volume ls --format '{{.Name}}' | sort");
    expect(volumes.trim().split("\n")).toEqual([
      "technicia-n8n-data",
      "technicia-qdrant-snapshots",
      "technicia-qdrant-storage",
    ]);
    expect(await onServer("docker service ls --quiet")).toBe("");
  });
});
