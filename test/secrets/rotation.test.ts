import { describe, expect, it } from "vitest";

import { secretNames } from "../../secrets/catalog.ts";
import { entryOf } from "../../secrets/catalog.ts";
import {
  acceptedValues,
  hiddenValues,
  parseRotation,
  renderRotation,
  rotationSteps,
  valuesInEffect,
  type Rotation,
  type RotationStep,
} from "../../secrets/rotation.ts";
import { daysOf, describeRotated, otherSecrets, rotatedIn, rotationOf } from "../../secrets/rotations.ts";

const values = { qdrantApiKey: "old", voyageApiKey: "voyage" };
const at = (step: RotationStep): Rotation => ({ step, isDone: false, values: { qdrantApiKey: "new" } });

describe("a rotation", () => {
  it.each([
    ["accept", "old", ["old", "new"]],
    ["switch", "new", ["old", "new"]],
    ["remove", "new", ["new"]],
  ] as const)("at %s has readers use %s and accepts %j", (step, used, accepted) => {
    expect(valuesInEffect(values, at(step)).qdrantApiKey).toBe(used);
    expect(acceptedValues("qdrantApiKey", { values, rotation: at(step) })).toEqual(accepted);
  });

  it("leaves other secrets alone", () => {
    for (const step of rotationSteps) {
      expect(valuesInEffect(values, at(step)).voyageApiKey).toBe("voyage");
      expect(acceptedValues("voyageApiKey", { values, rotation: at(step) })).toEqual(["voyage"]);
    }
  });

  it("changes nothing when its values take their places", () => {
    const ended = { ...values, qdrantApiKey: "new" };

    expect(valuesInEffect(ended, at("remove"))).toEqual(valuesInEffect(ended, undefined));
    expect(acceptedValues("qdrantApiKey", { values: ended, rotation: undefined })).toEqual(["new"]);
    expect(acceptedValues("qdrantApiKey", { values: ended, rotation: at("remove") })).toEqual(["new"]);
  });

  it("hides both values under names that are no secret's", () => {
    const hidden = hiddenValues(values, at("accept"));

    expect(Object.values(hidden).sort()).toEqual(["new", "old"]);
    expect(Object.keys(hidden).filter((name) => (secretNames as string[]).includes(name))).toEqual([]);
  });

  it("is read back as it was written", () => {
    expect(parseRotation(renderRotation(at("switch")))).toEqual(at("switch"));
    expect(parseRotation("")).toBeUndefined();
  });

  it.each([
    ["no JSON", "canary"],
    ["a step that does not exist", '{"step":"canary","isDone":true,"values":{}}'],
    ["a secret that does not exist", '{"step":"accept","isDone":true,"values":{"canary":"canary"}}'],
  ])("fails when its text has %s, and does not show it", (_what, text) => {
    expect(() => parseRotation(text)).toThrow("expected what npm run secrets -- <stack> rotate writes");
    expect(() => parseRotation(text)).not.toThrow("canary");
  });
});

describe("the table of rotations", () => {
  it("refuses a secret with a reason, and gives every other one its days", () => {
    for (const name of secretNames) {
      const { steps, refusal } = rotationOf(name);
      expect(steps.length === 0).toBe(refusal !== undefined);
      expect(daysOf(name) === undefined).toBe(refusal !== undefined);
    }
  });

  it("ends with the readers on the next value, and with the old one refused where both were valid", () => {
    for (const name of secretNames) {
      const { steps } = rotationOf(name);
      if (steps.length === 0) continue;
      expect(steps).toContain("switch");
      expect(steps.includes("accept")).toBe(steps.at(-1) === "remove");
    }
  });

  it("asks together for what a person gives together", () => {
    for (const name of secretNames) {
      const together = rotationOf(name).together ?? [name];
      expect(together).toContain(name);
      for (const other of together) {
        expect(rotationOf(other).together ?? [other]).toEqual(together);
        expect(together.length === 1 || entryOf(other).givenBy === "user").toBe(true);
      }
    }
  });

  it("finds again what it has recorded, and nothing in other lines of the audit", () => {
    expect(rotatedIn(describeRotated(["ovhApplicationKey", "passphrase"]))).toEqual([
      "ovhApplicationKey",
      "passphrase",
    ]);
    expect(rotatedIn("secrets changés : technicia-n8n-n8n-jwt-secret")).toEqual([]);
  });

  it("names for each secret outside of the settings what to do", () => {
    for (const [name, { how }] of Object.entries(otherSecrets)) {
      expect(how("prod").length, name).toBeGreaterThan(0);
      expect(how("prod").join(" "), name).toContain("prod");
    }
  });
});
