import { afterEach, describe, expect, it } from "vitest";

import {
  automatedTestsProbe,
  checkEarlierPerformance,
  configurationProbe,
  encryptionProbe,
} from "../../../ops/checks/general-items.ts";
import {
  answeringServer,
  contextWith,
  type FakeApi,
  unaborted,
  outputsOf,
  startFakeApi,
  secretsWithout,
  effectsWith,
} from "./fixtures.ts";
import { environmentWith } from "../../support/fixtures.ts";

describe("configurationProbe", () => {
  const look = (parts: Parameters<typeof contextWith>[0]) =>
    configurationProbe(contextWith(parts)).find(unaborted);
  const secrets = secretsWithout();

  it("is ok when every needed secret is set and strong", () => {
    expect(look({ secrets })).toMatchObject({ outcome: "ok" });
  });

  it("fails for missing and weak secrets and for another environment's settings, and hides the values", async () => {
    const rest = secretsWithout("voyageApiKey");
    const weak = "Password12345";
    const found = await look({ stack: "prod", secrets: { ...rest, n8nJwtSecret: weak } });

    expect(found.outcome).toBe("failed");
    expect(found.detail).toContain("secret voyageApiKey absent (VoyageAI)");
    expect(found.detail).toContain("secret n8nJwtSecret faible");
    expect(found.detail).toContain("réglages de test pour la pile prod");
    expect(found.detail).not.toContain(weak);
  });

  it("fails when the stack runs another environment", async () => {
    const environment = environmentWith();
    const outputs = outputsOf(environment);
    const other = { ...outputs, deploymentStatus: { ...outputs.deploymentStatus, environment: "prod" } };

    expect((await look({ secrets, outputs: other })).detail).toContain("ce qui tourne est prod, pas test");
  });
});

describe("encryptionProbe", () => {
  const look = (settings: unknown) =>
    encryptionProbe(contextWith({ pulumi: () => Promise.resolve(JSON.stringify(settings)) })).find(unaborted);
  const domain = { "technicia:domain": { value: "technicia.exemple.fr", secret: false } };

  it("is ok with encrypted secrets, fails with one in clear, and is not checked without any", async () => {
    const sealed = {
      ...domain,
      "technicia:voyageApiKey": { secret: true },
      "technicia:qdrantApiKey": { value: "", secret: false },
    };
    expect(await look(sealed)).toMatchObject({
      outcome: "ok",
      detail: "1 secrets chiffrés dans Pulumi.test.yaml, aucun en clair",
    });

    const open = { ...sealed, "technicia:anthropicApiKey": { value: "sk-canary", secret: false } };
    expect(await look(open)).toEqual({
      outcome: "failed",
      detail: "en clair dans Pulumi.test.yaml : technicia:anthropicApiKey",
    });

    expect(await look(domain)).toMatchObject({ outcome: "not-checked" });
  });
});

describe("automatedTestsProbe", () => {
  let api: FakeApi | undefined;
  afterEach(async () => {
    await api?.close();
    api = undefined;
  });

  const variables = {
    GITHUB_REPOSITORY: "acme/technicia",
    GITHUB_SHA: "0123456789abcdef",
    GITHUB_TOKEN: "ghs_canary",
  };
  const look = async (
    runs: readonly { run_number: number; status: string; conclusion: string | null }[],
    stack = "test",
  ) => {
    api = await startFakeApi(() => ({
      status: 200,
      body: { total_count: runs.length, workflow_runs: runs },
    }));
    const inJob = { ...variables, GITHUB_API_URL: api.origin };
    return automatedTestsProbe(stack, { fetch, variables: inJob }).find(unaborted);
  };
  const done = (run_number: number, conclusion: string) => ({ run_number, status: "completed", conclusion });

  it("follows the newest run for this commit", async () => {
    expect(await look([done(1, "failure"), done(2, "success")])).toMatchObject({
      outcome: "ok",
      detail: "ci.yml a réussi pour 0123456",
    });
    expect(api!.requests[0]).toMatchObject({
      url: "/repos/acme/technicia/actions/workflows/ci.yml/runs?head_sha=0123456789abcdef",
      headers: { authorization: "token ghs_canary" },
    });
    await api!.close();
    expect(await look([done(1, "success"), done(2, "failure")])).toMatchObject({ outcome: "failed" });
  });

  it.each([
    ["no run", []],
    ["an unfinished run", [{ run_number: 1, status: "in_progress", conclusion: null }]],
  ])("is not checked in the test environment with %s, and fails in the others", async (_, runs) => {
    expect(await look(runs)).toMatchObject({ outcome: "not-checked" });
    for (const stack of ["staging", "prod"]) {
      await api!.close();
      expect(await look(runs, stack)).toMatchObject({ outcome: "failed" });
    }
  });

  it("is not checked outside of GitHub's CI", async () => {
    expect(await automatedTestsProbe("prod", effectsWith()).find(unaborted)).toMatchObject({
      outcome: "not-checked",
    });
  });
});

describe("checkEarlierPerformance", () => {
  const record = (outcome: "ok" | "failed" | "not-checked") => ({
    number: 7,
    stack: "test",
    kind: "deploy",
    revision: "abc",
    images: {},
    settingsHash: "0",
    who: "ada",
    reason: "",
    emergency: false,
    startedAt: "2026-11-01T09:00:00Z",
    finishedAt: "2026-11-01T09:10:00Z",
    outcome: "succeeded",
    preflight: [],
    verify: [{ id: "performance-health", title: "Tests de performance", outcome, detail: "p95 12 ms" }],
    seconds: {},
  });
  const listed = (value: unknown) =>
    answeringServer(`000007.end.json ${Buffer.from(JSON.stringify(value)).toString("base64")}\n`);

  it.each(["ok", "failed", "not-checked"] as const)(
    "repeats the outcome of the last measured release: %s",
    async (outcome) => {
      expect(await checkEarlierPerformance(listed(record(outcome)))).toEqual({
        outcome,
        detail: "livraison 7 du 2026-11-01 : p95 12 ms",
      });
    },
  );

  it("judges the restored release, not the release that failed", async () => {
    const [load] = record("ok").verify;
    const rolledBack = { ...record("failed"), outcome: "rolled-back", restored: 6, restoredVerify: [load] };

    expect(await checkEarlierPerformance(listed(rolledBack))).toMatchObject({ outcome: "ok" });
  });

  it("is not checked before the first release", async () => {
    expect(await checkEarlierPerformance(answeringServer(""))).toMatchObject({ outcome: "not-checked" });
  });
});
