import { execFile } from "node:child_process";
import { promisify } from "node:util";

import { describe, expect, it } from "vitest";

import { hashSettings, readEnvironment, readSettings } from "../../../ops/engine/settings.ts";
import { UserError } from "../../../common/user-error.ts";
import { environmentWith, validSettings } from "../../support/fixtures.ts";

const entries = Object.entries(validSettings()).map(([key, value]) => [
  `technicia:${key}`,
  { secret: false, value: typeof value === "string" ? value : JSON.stringify(value), objectValue: value },
]);
const configuration = {
  ...(Object.fromEntries(entries) as object),
  "technicia:voyageApiKey": { secret: true, value: "pa-hush" },
  "technicia:ovhConsumerKey": { secret: false, value: "" },
  "other:token": { secret: true, value: "not ours" },
};

const printing = (value: unknown) => () => Promise.resolve(JSON.stringify(value));

describe("readEnvironment", () => {
  it("reads the settings as the program would", async () => {
    expect(await readEnvironment("test", printing(configuration))).toEqual(environmentWith());
  });

  it("fails with every problem in one message for the user", async () => {
    const wrong = { ...configuration, "technicia:uploadMaxMib": { secret: false, value: "200MB" } };

    await expect(readEnvironment("test", printing(wrong))).rejects.toThrow(UserError);
    await expect(readEnvironment("test", printing(wrong))).rejects.toThrow(
      "technicia:uploadMaxMib: expected",
    );
  });

  it("asks for no secret", async () => {
    const asked: string[][] = [];
    await readEnvironment("test", ({ args }) => {
      asked.push([...args]);
      return Promise.resolve(JSON.stringify(configuration));
    });

    expect(asked).toEqual([["config", "--json", "--stack", "test"]]);
  });
});

describe("readSettings", () => {
  it("returns the settings and the secrets that are set, and nothing else", async () => {
    expect(await readSettings("test", printing(configuration))).toEqual({
      environment: environmentWith(),
      secrets: { voyageApiKey: "pa-hush" },
    });
  });

  it("reads the configuration once", async () => {
    const asked: string[][] = [];
    await readSettings("test", ({ args }) => {
      asked.push([...args]);
      return Promise.resolve(JSON.stringify(configuration));
    });

    expect(asked).toEqual([["config", "--show-secrets", "--json", "--stack", "test"]]);
  });
});

describe("the commands", () => {
  it("come without Pulumi's SDK, which takes longer to load than most of them take", async () => {
    const program = `
      const folders = ["deploy", "documents", "drift", "preview"];
      for (const file of [...folders.map((folder) => folder + "/commands"), "engine/resume-command", "secrets", "status"]) await import(\`./ops/\${file}.ts\`);
      const { _cache } = process.getBuiltinModule("node:module");
      console.log(Object.keys(_cache).filter((file) => file.includes("@pulumi/pulumi/")).join());
    `;
    const { stdout } = await promisify(execFile)(process.execPath, [
      "--input-type=module",
      "--eval",
      program,
    ]);

    expect(stdout.trim()).toBe("");
  });
});

describe("hashSettings", () => {
  it("depends on every value and not on the order of keys", () => {
    const environment = environmentWith();
    const turned = Object.fromEntries(Object.entries(environment).reverse()) as unknown as typeof environment;

    expect(hashSettings(turned)).toBe(hashSettings(environment));
    expect(hashSettings({ ...environment, uploadMaxMib: 201 })).not.toBe(hashSettings(environment));
  });
});
