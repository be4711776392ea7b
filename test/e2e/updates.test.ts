import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { askHealth, ensureStarted, expectQuiet, onServer, operator, set, traffic, up } from "./rehearsal.ts";

beforeAll(ensureStarted);
// The settings are written anew, and what the tests changed goes back.
afterAll(ensureStarted);

const imageOf = (service: string) =>
  onServer(
    `docker service inspect technicia-${service} --format '{{.Spec.TaskTemplate.ContainerSpec.Image}}'`,
  );

describe("an update", () => {
  it("rolls a stateless service over without a failed request", async () => {
    await set("technicia:images.vectorStore", "technicia/vector-store:1.0.1");
    const asking = traffic(askHealth);
    await up();
    const { asked, failures } = await asking.stop();

    expect(failures).toEqual([]);
    expect(asked).toBeGreaterThan(20);
    expect(await imageOf("vector-store")).toMatch(/^technicia\/vector-store:1\.0\.1@sha256:/);
    await expectQuiet();
  });

  it("of a secret leaves the new one alone", async () => {
    const ids = async () =>
      (await onServer("docker secret ls --format '{{.ID}} {{.Name}}' | grep voyage")).trim();
    const before = await ids();
    const rotated = await operator(
      ["pulumi", "config", "set", "--secret", "technicia:voyageApiKey", "--stack", "test"],
      { stdin: "pa-rehearsal-rotated00000000000000000000" },
    );
    expect(rotated.code, rotated.stderr).toBe(0);
    const asking = traffic(askHealth);
    await up();
    const { failures } = await asking.stop();

    expect(failures).toEqual([]);
    const after = await ids();
    expect(after.split("\n")).toHaveLength(1);
    expect(after).not.toBe(before);
    await expectQuiet();
  });
});
