import { beforeAll, describe, expect, it } from "vitest";

import { deploy, lastRelease } from "./deployments.ts";
import { ensureStarted, expectQuiet, withFewLogins } from "./rehearsal.ts";

beforeAll(ensureStarted);

describe("a deployment", () => {
  it("goes through every gate, is recorded, and leaves a quiet preview", async () => {
    const { code, stdout, stderr } = await withFewLogins(deploy);

    expect(code, `${stdout}\n${stderr}`).toBe(0);
    const release = await lastRelease();
    expect(release).toMatchObject({ stack: "test", kind: "deploy", outcome: "succeeded" });
    expect(release.verify.filter(({ outcome }) => outcome === "failed")).toEqual([]);
    expect(release.verify.filter(({ outcome }) => outcome === "ok").length).toBeGreaterThan(15);
    expect(Object.keys(release.seconds)).toEqual(
      expect.arrayContaining(["preflight", "plan", "up", "verify"]),
    );
    await expectQuiet();
  });
});
