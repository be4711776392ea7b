/** What somebody changes at OVHcloud about the place of the backups: found by the check; the key of every day may not repair it. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { driftReport, type DriftReport } from "../../ops/drift/report.ts";
import { npm, useOvhKey } from "./deployments.ts";
import { ensureStarted, expectQuiet, management, operator, startAgain } from "./rehearsal.ts";

interface Project {
  readonly buckets: readonly { readonly name: string }[];
  readonly users: readonly {
    readonly id: number;
    readonly description: string;
    readonly keys: readonly object[];
  }[];
}

beforeAll(ensureStarted);
// Rewrites the settings, which puts the key of every day back.
afterAll(startAgain);

async function atOvh() {
  const { ovh } = await management<{ ovh: { projects: readonly Project[] } }>("state");
  const [project] = ovh.projects.filter(({ buckets }) => buckets.length > 0);
  const bucket = project?.buckets.find(({ name }) => name.startsWith("technicia-backup-test-"))?.name ?? "";
  const users = project?.users ?? [];
  const userOf = (name: string) =>
    users.find(({ description }) => description === `backup-storage-${name} test`)!;
  return { bucket, writer: userOf("writer"), reader: userOf("reader") };
}

async function drift(...args: string[]): Promise<{ readonly report: DriftReport; readonly stderr: string }> {
  const { code, stdout, stderr } = await npm("drift", "--", "test", "--json", ...args);
  if (!stdout.startsWith("{")) throw new Error(`npm run drift ended with ${code}\n${stdout}\n${stderr}`);
  return { report: driftReport.parse(JSON.parse(stdout)), stderr };
}

describe("the backups' storage", () => {
  it("is found changed: versions, lock, lifecycle and who may do what", async () => {
    const { bucket, writer } = await atOvh();
    await management(`ovh/bucket/${bucket}`, "PATCH", {
      objectLock: { status: "enabled", rule: { mode: "governance", period: "P1D" } },
      lifecycle: [],
    });
    await management(`ovh/storage-user/${writer.id}`, "PATCH", {
      policy: JSON.stringify({ Statement: [{ Effect: "Allow", Action: ["s3:*"], Resource: ["*"] }] }),
    });

    const { report } = await drift();

    expect(report.outcome).toBe("drift");
    expect(report.gaps).toEqual([]);
    expect([...new Set(report.findings.map(({ resource }) => resource))].sort()).toEqual([
      "backup-storage-bucket",
      "backup-storage-lifecycle",
      "backup-storage-writer-policy",
    ]);
  });

  it("is not repaired with the key of every day, which says what right it lacks, and is with that of the set-up", async () => {
    const { report, stderr } = await drift("--repair", "--yes");
    expect(report.outcome).toBe("drift");
    expect(stderr).toMatch(/give the key the right (PUT|POST) \/cloud\/project\//);

    await useOvhKey("ovhFirstConsumerKey");
    // Another key is a setting that is not deployed yet.
    const repaired = await drift("--repair", "--with-changes", "--yes");

    expect(repaired.report, repaired.stderr).toMatchObject({ outcome: "clean", findings: [], gaps: [] });
    await expectQuiet();
  });

  it("has another key after one was deleted, by the command that the check prints", async () => {
    const { writer } = await atOvh();
    await management(`ovh/storage-user/${writer.id}`, "PATCH", { keys: [] });

    const { report } = await drift();

    const command =
      /(npx pulumi up --replace '\S+' --stack test --policy-pack stacks\/policy) makes another one/.exec(
        report.gaps.map(({ reason }) => reason).join("\n"),
      )?.[1];
    expect(command, JSON.stringify(report, undefined, 2)).toBeDefined();
    const { code, stdout, stderr } = await operator(["bash", "-c", `${command} --yes`]);
    expect(code, `${stdout}\n${stderr}`).toBe(0);
    expect((await atOvh()).writer.keys).toHaveLength(1);
    await expectQuiet();
    const made = await npm("backup", "--", "test");
    expect(made.code, made.stderr).toBe(0);
  });
});
