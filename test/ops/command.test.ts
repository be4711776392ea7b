import { describe, expect, it } from "vitest";

import { stackName } from "../../ops/command.ts";

describe("the name of a stack", () => {
  it.each([
    ["test", "test"],
    ["Pré-prod_2.x".replace("é", "e"), "Pre-prod_2.x"],
    ["organization/technicia/test", "test"],
    ["organization/test", "test"],
  ])("%s is %s", (given, name) => {
    expect(stackName(given)).toBe(name);
  });

  it.each([
    ["", '""'],
    ["te st", '"te st"'],
    ["tést", '"tést"'],
    ["test\u200b", '"test\\u{200b}"'],
    ["test/", '"test/"'],
    ["../test", '"../test"'],
    ["a/b/c/test", '"a/b/c/test"'],
    ["$(id)", '"$(id)"'],
    ["a".repeat(101), `"${"a".repeat(101)}"`],
  ])("is not %j", (given, shown) => {
    expect(() => stackName(given)).toThrow(
      `stack: expected a name of letters, digits, -, _ and ., such as test, got ${shown}; pulumi stack ls lists yours`,
    );
  });

  it.each(["acme/technicia/prod", "acme/prod"])("comes without another organisation, unlike %s", (given) => {
    expect(() => stackName(given)).toThrow(
      `stack: expected a name without its organisation, got ${given}; say once which one is yours, with pulumi org set-default acme, and then prod alone`,
    );
  });

  it("is one of this project", () => {
    expect(() => stackName("organization/other/test")).toThrow(
      "stack: expected one of the project technicia, got organization/other/test; give its name alone, and pulumi stack ls lists yours",
    );
  });
});
