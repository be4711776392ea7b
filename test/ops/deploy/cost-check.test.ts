import { parse, stringify } from "yaml";
import { describe, expect, it } from "vitest";

import type { Amount, Cost } from "../../../common/cost.ts";
import { deploy } from "../../../ops/deploy/deploy.ts";
import type { DeployRequest } from "../../../ops/deploy/release-progress.ts";
import { TestStack } from "./test-stack.ts";

const REQUEST: DeployRequest = {
  ...{ stack: "test", only: undefined, plan: undefined, emergency: false, reason: "", yes: true },
};

async function openWith(ceiling: number | undefined, monthly: Amount): Promise<TestStack> {
  const stack = await TestStack.open();
  stack.deployed = true;
  const file = parse(stack.settings) as { config: { "technicia:operations": Record<string, unknown> } };
  if (ceiling !== undefined) file.config["technicia:operations"]["maxMonthlyEur"] = ceiling;
  stack.settings = stringify(file);
  const after: Cost = {
    lines: [
      { what: "server", name: "vps-2027-model2", monthly: { kind: "euros", euros: 7.99 }, source: "" },
      { what: "backups", name: "in RBX", monthly, source: "" },
      { what: "usage", name: "Anthropic", monthly: { kind: "not-estimated", why: "by use" }, source: "" },
    ],
    once: 0,
  };
  stack.cost = () => Promise.resolve({ before: undefined, after, ceiling });
  return stack;
}

const TWELVE: Amount = { kind: "euros", euros: 12 };
const UNKNOWN: Amount = { kind: "unknown", why: "not measured" };

describe("a deployment above the ceiling of the costs", () => {
  it("is refused before anything is planned, with the sum and how to allow it", async () => {
    await using stack = await openWith(15, TWELVE);
    const { text, exitCode } = await deploy(REQUEST, stack.operator);

    expect(exitCode).toBe(3);
    expect(text).toBe(
      "operations.maxMonthlyEur: expected at most €15.00 a month without VAT, got €19.99 (server vps-2027-model2 €7.99, backups in RBX €12.00); " +
        "allow it with pulumi config set --path technicia:operations.maxMonthlyEur 20 --stack test, or choose less",
    );
    expect(stack.parts).toEqual(["preflight"]);
    expect(await stack.history()).toEqual(["deploy: refusé : coût de 19.99 € par mois, plafond 15.00 €"]);
  });

  it("is refused where what is known is too much already", async () => {
    await using stack = await openWith(5, UNKNOWN);

    expect((await deploy(REQUEST, stack.operator)).text).toContain("got at least €7.99 (");
  });

  it("is not refused for what is asked of language models, which costs the same without it", async () => {
    await using stack = await openWith(15, { kind: "euros", euros: 1 });
    const without = stack.cost;
    const asked: Cost["lines"][number] = {
      ...{ what: "usage", name: "claude-a", source: "" },
      monthly: { kind: "euros", euros: 100 },
    };
    stack.cost = async (environment) => {
      const { after, ...change } = await without(environment);
      return { ...change, after: { ...after, lines: [...after.lines, asked] } };
    };

    expect((await deploy({ ...REQUEST, only: "plan" }, stack.operator)).exitCode).toBe(0);
  });

  it("goes on in an emergency, and says so", async () => {
    await using stack = await openWith(15, TWELVE);
    const request = { ...REQUEST, emergency: true, reason: "panne" };

    expect((await deploy({ ...request, only: "plan" }, stack.operator)).exitCode).toBe(0);
    expect(stack.printed.join("\n")).toMatch(/expected at most €15\.00 [^]*\ncontinuing \(--emergency\)/);
  });
});

describe("a deployment whose cost is at most the ceiling", () => {
  it.each([20, 19.99])("goes on with a ceiling of %d", async (ceiling) => {
    await using stack = await openWith(ceiling, TWELVE);

    expect((await deploy({ ...REQUEST, only: "plan" }, stack.operator)).exitCode).toBe(0);
    expect(stack.printed.join("\n")).not.toContain("the cost is");
  });

  it("goes on where it is unknown, and says what is not", async () => {
    await using stack = await openWith(20, UNKNOWN);

    expect((await deploy({ ...REQUEST, only: "plan" }, stack.operator)).exitCode).toBe(0);
    expect(stack.printed).toContain(
      "the cost is at least €7.99 a month, and not compared with the ceiling of €20.00, as that of backups in RBX is unknown: not measured",
    );
  });

  it("asks for no price without a ceiling", async () => {
    await using stack = await openWith(undefined, TWELVE);
    stack.cost = () => Promise.reject(new Error("asked"));

    expect((await deploy({ ...REQUEST, only: "plan" }, stack.operator)).exitCode).toBe(0);
  });
});
