import { describe, expect, it } from "vitest";

import { readAsked, takeStack } from "../../rehearsal/arguments.ts";

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

describe("readAsked", () => {
  it.each([
    [[], {}],
    [["--image", "Debian 13"], { system: "Debian 13" }],
    [["--image=Debian 11"], { system: "Debian 11" }],
    [
      ["--variant", "swap", "--image", "Debian 13", "--variant=chrony"],
      { system: "Debian 13", variants: ["swap", "chrony"] },
    ],
    [["--neighbour"], { hasNeighbour: true }],
    [["--servers", "3"], { servers: "3" }],
    [["--servers=2+1"], { servers: "2+1" }],
    [
      ["--variant", "swap", "--neighbour", "--image=Debian 11"],
      { system: "Debian 11", variants: ["swap"], hasNeighbour: true },
    ],
  ])("reads %j", (args, asked) => {
    expect(readAsked(args)).toEqual(asked);
  });

  it("refuses a system that the rehearsal has no image of", () => {
    expect(() => readAsked(["--image", "Ubuntu 24.04"])).toThrow(
      '--image: expected Debian 12, Debian 11, Debian 13, got "Ubuntu 24.04"; say for example --image "Debian 12"',
    );
  });

  it("refuses a variant that there is not", () => {
    expect(() => readAsked(["--variant", "ntp"])).toThrow(
      /^--variant: expected chrony, .*, got "ntp"; say for example --variant chrony$/,
    );
  });

  it("refuses what npm start does not know", () => {
    expect(() => readAsked(["--imgae", "Debian 13"])).toThrow(
      'npm start: expected --stack, --image, --servers, --variant or --neighbour, got "--imgae"; see docs/rehearsal.md',
    );
  });
});
