import { describe, expect, it } from "vitest";

import { takeStack } from "../../rehearsal/arguments.ts";

const ofPulumi = (...args: string[]) => takeStack(args, { onlyBefore: false });
const ofCommand = (...args: string[]) => takeStack(args, { onlyBefore: true });

describe("takeStack", () => {
  it.each([
    [["up", "--stack", "staging", "--yes"], "staging", ["up", "--yes"]],
    [["-s", "prod", "preview"], "prod", ["preview"]],
    [["preview", "--stack=prod"], "prod", ["preview"]],
    [["preview"], "test", ["preview"]],
  ])("takes the stack out of %s", (args, stack, rest) => {
    expect(ofPulumi(...args)).toEqual({ stack, rest });
  });

  it("leaves everything from the first word of another command on to that command", () => {
    expect(ofCommand("npm", "run", "-s", "drift", "--", "test")).toEqual({
      stack: "test",
      rest: ["npm", "run", "-s", "drift", "--", "test"],
    });
    expect(ofCommand("npx", "pulumi", "preview", "--stack", "no-such")).toEqual({
      stack: "test",
      rest: ["npx", "pulumi", "preview", "--stack", "no-such"],
    });
  });

  it("takes the stack in front of another command", () => {
    expect(ofCommand("--stack", "staging", "git", "log", "-s")).toEqual({
      stack: "staging",
      rest: ["git", "log", "-s"],
    });
    expect(ofCommand("--stack=prod", "env").stack).toBe("prod");
  });

  it("refuses another stack", () => {
    expect(() => ofPulumi("--stack", "drift")).toThrow(
      '--stack: expected test, staging, prod, got "drift"; say for example --stack test',
    );
    expect(() => ofPulumi("--stack")).toThrow('got ""');
  });
});
