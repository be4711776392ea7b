import { readFileSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";

import { deploy } from "../../../ops/deploy/deploy.ts";
import type { Operator } from "../../../ops/deploy/session.ts";
import { promote } from "../../../ops/deploy/promote.ts";
import type { DeployRequest } from "../../../ops/deploy/release-progress.ts";
import { failing, ok, pulled, TestStack } from "./test-stack.ts";

const PROD = readFileSync(new URL("../../../Pulumi.prod.yaml", import.meta.url), "utf8");

let staging: TestStack;
let prod: TestStack;
/** Text of `Pulumi.prod.yaml`. */
let file: string;
/** What the registries answer. */
let digestOf: (name: string) => Promise<string>;

beforeEach(async () => {
  [staging, prod] = await Promise.all([TestStack.open(), TestStack.open()]);
  file = PROD;
  digestOf = (name) => staging.operator.imageDigest(name, undefined);
});

afterEach(async () => {
  await staging[Symbol.asyncDispose]();
  await prod[Symbol.asyncDispose]();
});

/** One operator who reaches both. */
function operator(): Operator {
  return {
    ...staging.operator,
    imageDigest: (name) => digestOf(name),
    pulumi: (call) => (call.args.includes("prod") ? prod : staging).operator.pulumi(call),
    readSettingsFile: () => Promise.resolve(file),
    writeSettingsFile: (_stack, text) => Promise.resolve(void (file = text)),
  };
}

const run = (request: Partial<DeployRequest> = {}) =>
  deploy(
    {
      stack: "staging",
      only: undefined,
      plan: undefined,
      emergency: false,
      reason: "",
      yes: true,
      ...request,
    },
    staging.operator,
  );

const promoted = () => promote({ from: "staging", to: "prod" }, operator());

describe("promote", () => {
  it("writes the digests that were verified, and changes nothing else in the file", async () => {
    await run();
    const outcome = await promoted();

    expect(outcome.exitCode).toBe(0);
    expect(outcome.text).toContain("release 1 (0123456789ab): ");
    expect(outcome.text).toContain("of staging is now in Pulumi.prod.yaml");
    expect(outcome.text).toContain("  not checked in staging  Sauvegardes: aucune");
    const changed = file
      .split("\n")
      .flatMap((line, index) => (line === PROD.split("\n")[index] ? [] : [line]));
    expect(file.split("\n")).toHaveLength(PROD.split("\n").length);
    expect(changed).toContain(`    qdrant: ${pulled("qdrant/qdrant:v1.19.0-unprivileged")}`);
    expect(changed).toHaveLength(9);
    expect((parse(file) as { config: object }).config).toMatchObject({
      "technicia:images": { vectorStore: pulled("technicia/vector-store:1.0.0") },
      "technicia:protectData": true,
    });
    expect((await staging.history()).at(-1)).toMatch(
      /^promote: version 1 proposée pour prod : .*vectorStore/,
    );
  });

  it("changes nothing when the settings already have the images", async () => {
    await run();
    await promoted();

    expect((await promoted()).text).toMatch(/^Pulumi\.prod\.yaml already has release 1/);
    expect((await staging.history()).filter((line) => line.startsWith("promote"))).toHaveLength(1);
  });

  it("refuses what was not verified", async () => {
    await run({ only: "up" });

    await expect(promoted()).rejects.toThrow(
      "staging: expected what runs to have passed its verification, got release 1, which was not verified",
    );
    expect(file).toBe(PROD);
  });

  it("refuses what failed its verification", async () => {
    staging.verify = () => Promise.resolve([failing]);
    await run();

    await expect(promoted()).rejects.toThrow(
      "staging: expected what runs to have passed its verification, got no release",
    );
  });

  it("promotes the release that a rollback restored, not the failed one", async () => {
    await run();
    staging.setImage("vectorStore", "technicia/vector-store:1.0.1");
    staging.verify = () =>
      Promise.resolve([staging.images["vectorStore"]?.includes("1.0.1") === true ? failing : ok]);
    expect(await run()).toMatchObject({ exitCode: 4 });
    await promoted();

    expect(file).toContain(`vectorStore: ${pulled("technicia/vector-store:1.0.0")}`);
  });

  it("refuses while a deployment is under way", async () => {
    await run();
    const reached = Promise.withResolvers<void>();
    staging.verify = () => {
      reached.resolve();
      return new Promise(() => undefined);
    };
    void run();
    await reached.promise;

    await expect(promoted()).rejects.toThrow(
      /^staging: expected no deployment under way, got release 2 of alice@laptop since 2026-11-24T/,
    );
  });

  it("refuses a target that runs images that were never verified, and names each", async () => {
    staging.off = new Set(["frontend", "visionClassifier"]);
    await run();

    await expect(promoted()).rejects.toThrow(
      "images.visionClassifier: expected an image that staging has verified, because prod runs it, got none; " +
        "turn it on in staging and deploy that, or off in prod\nimages.frontend: expected an image",
    );
    expect(file).toBe(PROD);
  });

  describe("does not believe the records on the server of the source", () => {
    const record = () => join(staging.server.folder, "releases", "000001.end.json");

    /** Somebody who owns that server writes another image into its record, and perhaps runs it there. */
    async function forge(image: string): Promise<void> {
      await run();
      const text = await readFile(record(), "utf8");
      const forged = JSON.parse(text) as { images: Record<string, string> };
      forged.images["vectorStore"] = image;
      await writeFile(record(), JSON.stringify(forged));
    }

    const OTHER = `sha256:${"e".repeat(64)}`;

    it.each([
      ["another digest", `technicia/vector-store:1.0.0@${OTHER}`],
      ["another repository", `evil/vector-store:1.0.0@${OTHER}`],
      ["lines of YAML", `x@${OTHER}\n  technicia:protectData: false`],
    ])("refuses %s, and does not print it", async (_what, image) => {
      await forge(image);

      const refused = await promoted().catch((error: Error) => error.message);
      expect(refused).toBe(
        "images.vectorStore: expected the Pulumi state and the release's record on the server to name the same image, " +
          `got ${pulled("technicia/vector-store:1.0.0")} in the state; ` +
          "deploy staging again, and find out who changed the record",
      );
      expect(file).toBe(PROD);
    });
  });

  it("refuses a repository that the target does not use", async () => {
    staging.setImage("vectorStore", "elsewhere/vector-store:1.0.0");
    await run();

    await expect(promoted()).rejects.toThrow(
      "images.vectorStore: expected the repository that prod uses, technicia/vector-store, got elsewhere/vector-store; " +
        "if prod is to change its source, change it in Pulumi.prod.yaml by a review of its own",
    );
    expect(file).toBe(PROD);
  });

  it("refuses an image that its registry does not have", async () => {
    await run();
    digestOf = (name) =>
      name.startsWith("qdrant/")
        ? Promise.reject(new Error("absente du registre"))
        : staging.operator.imageDigest(name, undefined);

    await expect(promoted()).rejects.toThrow(
      /^images\.qdrant: expected qdrant\/qdrant to have sha256:[0-9a-f]{64} in its registry: absente du registre; check that/,
    );
    expect(file).toBe(PROD);
  });

  it("says that a tag names another image by now, and promotes the one that was verified", async () => {
    await run();
    digestOf = (name) =>
      Promise.resolve(name.includes("@") ? name.split("@")[1]! : `sha256:${"d".repeat(64)}`);

    expect((await promoted()).text).toContain(
      "  images.qdrant: qdrant/qdrant:v1.19.0-unprivileged is another image by now; promoted is the one that was verified",
    );
    expect(file).toContain(`    qdrant: ${pulled("qdrant/qdrant:v1.19.0-unprivileged")}`);
  });

  it("fails where the source is not deployed", async () => {
    await expect(promoted()).rejects.toThrow("staging is not deployed; deploy it");
  });
});
