import { describe, expect, it } from "vitest";
import { z } from "zod";

import { differences, rootOf } from "../../../provider/plugin/diff.ts";
import { check } from "../../../provider/plugin/check-inputs.ts";
import { lineDifference } from "../../../provider/host/state.ts";
import { derivedFrom } from "../../../provider/plugin/resource-state.ts";
import { decode, encode, UNKNOWN } from "../../../provider/plugin/wire.ts";

describe("differences", () => {
  it("names each changed place by its path", () => {
    const olds = {
      mode: "0644",
      rules: [{ port: 22 }, { port: 80 }],
      labels: { "a.b": "1", c: "2" },
      gone: true,
    };
    const news = {
      mode: "0644",
      rules: [{ port: 22 }, { port: 443 }, { port: 25 }],
      labels: { "a.b": "9", c: "2" },
      come: 1,
    };

    expect(differences(olds, news)).toEqual([
      { path: "rules[1].port", kind: "update" },
      { path: "rules[2]", kind: "add" },
      { path: 'labels["a.b"]', kind: "update" },
      { path: "gone", kind: "delete" },
      { path: "come", kind: "add" },
    ]);
  });

  it("treats an unknown value as changed", () => {
    expect(differences({ a: "1" }, { a: UNKNOWN })).toEqual([{ path: "a", kind: "update" }]);
  });

  it("finds the property of a path", () => {
    expect(["rules[1].port", 'labels["a.b"]', "mode"].map(rootOf)).toEqual(["rules", "labels", "mode"]);
  });
});

describe("check", () => {
  const shape = {
    path: z.string().startsWith("/", "an absolute path; write it from the root"),
    port: z.int().min(1).max(65535).default(22),
    kind: z.enum(["tcp", "udp"]).optional(),
    items: z.array(z.strictObject({ name: z.string() })).optional(),
  };

  it("reports every problem at once, with what to do", () => {
    const { problems } = check(shape, {
      values: { path: "etc", port: "x", kind: "icmp", items: [{ name: 3 }, { name: "a", size: 1 }], paht: 1 },
      secrets: [],
    });

    expect(problems).toEqual([
      "paht: unknown property; known are items, kind, path, port",
      'path: expected an absolute path, got "etc"; write it from the root',
      'port: expected a number, got "x"',
      'kind: expected one of "tcp", "udp", got "icmp"',
      "items[0].name: expected a string, got 3",
      "items[1].size: unknown property",
    ]);
  });

  it("says that nothing was given", () => {
    expect(check(shape, { values: {}, secrets: [] }).problems).toEqual([
      "path: expected a string, got nothing",
    ]);
  });

  it("never shows a secret", () => {
    const { problems } = check(shape, { values: { path: "hunter2" }, secrets: [["path"]] });

    expect(problems).toEqual(["path: expected an absolute path, got a secret value; write it from the root"]);
  });

  it("accepts unknown parts, checks the rest, and adds defaults", () => {
    const { values, problems } = check(shape, {
      values: { path: UNKNOWN, items: [{ name: UNKNOWN }, { name: 1 }] },
      secrets: [],
    });

    expect(problems).toEqual(["items[1].name: expected a string, got 1"]);
    expect(values).toMatchObject({ path: UNKNOWN, port: 22 });
  });
});

describe("wire", () => {
  it("encodes what it decoded, with secrets and unknowns in their places", () => {
    const given = {
      values: { a: "x", b: { c: [1, "two", { d: true }] }, e: UNKNOWN },
      secrets: [["a"], ["b", "c", 2]],
    };

    expect(decode(encode(given))).toEqual(given);
  });

  it("marks a whole property once a secret inside it has moved", () => {
    const origin = {
      values: { names: ["b", "a"], same: { x: "s", y: "p" } },
      secrets: [
        ["names", 0],
        ["same", "x"],
      ],
    };

    expect(derivedFrom(origin, { names: ["a", "b"], same: { x: "s", y: "p" } }).secrets).toEqual([
      ["names"],
      ["same", "x"],
    ]);
  });

  it("fails when a property is an asset", () => {
    const asset = { "4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17", text: "x" };

    expect(() => decode(encode({ values: { content: asset }, secrets: [] }))).toThrow(
      "content: expected a plain value, got an asset or a reference",
    );
  });
});

describe("lineDifference", () => {
  it("shows only the lines that differ", () => {
    expect(lineDifference("a\nb\nc", "a\nx\nc")).toBe("  - b\n  + x");
    expect(lineDifference("a\nb", "b\na")).toBe("  the same lines in another order or number");
  });
});
