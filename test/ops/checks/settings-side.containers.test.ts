import { afterEach, describe, expect, it } from "vitest";

import { automatedTestsProbe } from "../../../ops/checks/automated-tests.ts";
import { configurationProbe, encryptionProbe } from "../../../ops/checks/configuration.ts";
import {
  contextWith,
  type Double,
  environmentWith,
  never,
  outputsOf,
  startDouble,
  strongBut,
  worldWith,
} from "./support.ts";

describe("configurationProbe", () => {
  const look = (parts: Parameters<typeof contextWith>[0]) =>
    configurationProbe(contextWith(parts)).find(never);
  const secrets = strongBut();

  it("is ok with every needed secret there and strong", () => {
    expect(look({ secrets })).toMatchObject({ outcome: "ok" });
  });

  it("fails for missing and weak secrets, and another environment's settings, without a value", async () => {
    const rest = strongBut("voyageApiKey");
    const weak = "Password12345";
    const found = await look({ stack: "prod", secrets: { ...rest, n8nJwtSecret: weak } });

    expect(found.outcome).toBe("failed");
    expect(found.detail).toContain("secret voyageApiKey absent (VoyageAI)");
    expect(found.detail).toContain("secret n8nJwtSecret faible");
    expect(found.detail).toContain("réglages de test pour la pile prod");
    expect(found.detail).not.toContain(weak);
  });

  it("fails when another environment runs there", async () => {
    const environment = environmentWith();
    const outputs = outputsOf(environment);
    const other = { ...outputs, deploymentStatus: { ...outputs.deploymentStatus, environment: "prod" } };

    expect((await look({ secrets, outputs: other })).detail).toContain("ce qui tourne est prod, pas test");
  });
});

describe("encryptionProbe", () => {
  const look = (settings: unknown) =>
    encryptionProbe(contextWith({ pulumi: () => Promise.resolve(JSON.stringify(settings)) })).find(never);
  const domain = { "technicia:domain": { value: "technicia.exemple.fr", secret: false } };

  it("tells encrypted secrets, one in clear, and none", async () => {
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
  let double: Double | undefined;
  afterEach(async () => {
    await double?.close();
    double = undefined;
  });

  const variables = {
    GITHUB_REPOSITORY: "acme/technicia",
    GITHUB_SHA: "0123456789abcdef",
    GITHUB_TOKEN: "ghs_canary",
  };
  const look = async (runs: readonly { run_number: number; status: string; conclusion: string | null }[]) => {
    double = await startDouble(() => ({
      status: 200,
      body: { total_count: runs.length, workflow_runs: runs },
    }));
    const world = worldWith({ fetch, variables: { ...variables, GITHUB_API_URL: double.origin } });
    return automatedTestsProbe(world).find(never);
  };
  const done = (run_number: number, conclusion: string) => ({ run_number, status: "completed", conclusion });

  it("takes the word of the newest run for this commit", async () => {
    expect(await look([done(1, "failure"), done(2, "success")])).toMatchObject({
      outcome: "ok",
      detail: "ci.yml a réussi pour 0123456",
    });
    expect(double!.asked[0]).toMatchObject({
      url: "/repos/acme/technicia/actions/workflows/ci.yml/runs?head_sha=0123456789abcdef",
      headers: { authorization: "token ghs_canary" },
    });
    await double!.close();
    expect(await look([done(1, "success"), done(2, "failure")])).toMatchObject({ outcome: "failed" });
  });

  it.each([
    ["no run", []],
    ["a run that goes on", [{ run_number: 1, status: "in_progress", conclusion: null }]],
  ])("is not checked with %s", async (_, runs) => {
    expect(await look(runs)).toMatchObject({ outcome: "not-checked" });
  });

  it("is not checked outside of GitHub's CI", async () => {
    expect(await automatedTestsProbe(worldWith()).find(never)).toMatchObject({ outcome: "not-checked" });
  });
});
