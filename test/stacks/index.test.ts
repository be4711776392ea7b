import * as pulumi from "@pulumi/pulumi";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { secretNames } from "../../secrets/catalog.ts";
import { validSettings } from "../support/fixtures.ts";
import { secretsOf, usual } from "../support/technicia.ts";

/** What the program throws when the engine starts it with these settings and secrets. */
async function failure(values: Readonly<Record<string, unknown>>): Promise<unknown> {
  const texts = Object.entries(values).map(([key, value]) => [
    `technicia:${key}`,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  pulumi.runtime.setAllConfig(
    Object.fromEntries(texts) as Record<string, string>,
    secretNames.map((name) => `technicia:${name}`),
  );
  return import("../../stacks/index.ts").then(
    () => undefined,
    (error: unknown) => error,
  );
}

beforeEach(async () => {
  vi.resetModules();
  await pulumi.runtime.setMocks(
    { call: () => ({}), newResource: ({ name }) => ({ id: name, state: {} }) },
    "technicia",
    "test",
  );
});
afterEach(() => {
  vi.doUnmock("../../stacks/cloud.ts");
  pulumi.runtime.setAllConfig({});
});

describe("stacks/index.ts", () => {
  it("fails without a stack trace and with every problem when settings are wrong", async () => {
    const error = await failure({ domain: "no domain", adminEmail: "nobody" });

    expect(pulumi.RunError.isInstance(error)).toBe(true);
    expect((error as Error).message).toContain("technicia:domain: expected");
    expect((error as Error).message).toContain("technicia:adminEmail: expected");
  });

  it("fails without a stack trace and with every problem when secrets are missing", async () => {
    const error = await failure(validSettings());

    expect(pulumi.RunError.isInstance(error)).toBe(true);
    expect((error as Error).message).toContain("technicia:voyageApiKey: expected a value, got nothing");
    expect((error as Error).message).toContain("technicia:n8nJwtSecret: expected a value, got nothing");
  });

  it("keeps the stack trace of an error that is none of the user's", async () => {
    const bug = new TypeError("a bug");
    vi.doMock("../../stacks/cloud.ts", () => ({
      createCloud: () => {
        throw bug;
      },
    }));
    const secrets = Object.fromEntries(secretsOf(usual));

    expect(await failure({ ...validSettings(), ...secrets })).toBe(bug);
  });
});
